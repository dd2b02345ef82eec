"""What ``ringstand`` says to odd arguments, to files that are damaged or missing, and to a disk that is full."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    activation,
    ledger,
    program,
    program_operations,
    program_releases,
    program_units,
    releases,
    schema_of_release,
    unproven,
)
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.layout import Layout, app_names, load_settings
from ansible_collections.ringstand.flask.plugins.module_utils.migration_plan import MigrationPlan
from settings_below import Settings  # type: ignore[import-not-found]

OK = {"result": "ok", "release": "r2", "version": "v2", "seconds": 4.2, "phases": {}, "notices": []}


def options_of(*arguments: str) -> Any:
    return program._parser().parse_args(arguments)


def verb(monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    """The program with root's rights and a verb that does this."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(program, "_version", run)


@pytest.mark.parametrize("arguments", [("--json", "releases", "shop"), ("releases", "--json", "shop"),
                                       ("releases", "shop", "--json")])
def test_json_is_understood_wherever_it_is_written(arguments: tuple[str, ...]) -> None:
    assert options_of(*arguments).json is True
    assert options_of("releases", "shop").json is False


def test_what_a_command_of_the_app_is_given_is_its_own() -> None:
    options = options_of("run", "shop", "flask", "report", "--json")
    assert (options.json, options.argv) == (False, ["flask", "report", "--json"])


def test_a_full_disk_is_a_message_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_options: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "/var/lib/ringstand/shop/request.json")

    verb(monkeypatch, fails)
    assert program.main(["version"]) == 1
    said = capsys.readouterr().err
    assert "No space left on device: /var/lib/ringstand/shop/request.json. Free some space" in said


def test_a_reader_who_has_seen_enough_ends_it_quietly() -> None:
    script = ("import os, sys; from ansible_collections.ringstand.flask.plugins.module_utils import program; "
              "os.geteuid = lambda: 0; program._version = lambda _options: program.say('x' * 100000) or 0; "
              "sys.exit(program.main(['version']))")
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"name": "other", "health": {}}', '{"name": "shop"}'])
def test_settings_that_are_damaged_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "shop.json").write_text(text)
    with pytest.raises(RingstandError, match="Failed to read .*/shop.json: .* Run site.yml to write it again"):
        load_settings("shop", str(tmp_path))


@pytest.fixture
def two_apps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "blog.json").write_text('{"name": "blog", "health": {}}')
    (tmp_path / "broken.json").write_text("[]")
    names = app_names(str(tmp_path))
    for module in (program_releases, program_units):
        monkeypatch.setattr(module, "app_names", lambda: names)
        monkeypatch.setattr(module, "load_settings", lambda name: load_settings(name, str(tmp_path)))


def test_one_broken_app_keeps_no_other_from_being_seen(
    two_apps: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {"release": None, "maintenance": None, "activation": "", "service": "active", "socket": True,
             "processes": []}
    monkeypatch.setattr(program_releases, "app_state", lambda layout: {"app": layout.app, **state})
    monkeypatch.setattr(program_releases.certificate_state, "all_states", list)
    monkeypatch.setattr(program_releases.backup_status, "load", dict)
    monkeypatch.setattr(program_releases.backup_settings, "here_only", lambda: False)
    assert program_releases._status(options_of("status")) == 3
    said = capsys.readouterr()
    assert "blog: nothing deployed yet" in said.out
    assert "broken.json" in said.err
    with pytest.raises(RingstandError, match="broken.json"):
        program_releases._status(options_of("status", "broken"))


@pytest.mark.parametrize("error", [RingstandError("Failed to link"), FileNotFoundError(2, "No such file", "/srv/x")])
def test_one_broken_app_keeps_no_other_from_starting(
    two_apps: None, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    looked_at = []

    def settle(settings: Any, at_boot: bool) -> str:
        looked_at.append(settings.name)
        raise error

    monkeypatch.setattr(program_units, "holder", lambda _layout: "")
    monkeypatch.setattr(unproven, "settle", settle)
    assert program_units._boot(options_of("boot")) == 1
    assert looked_at == ["blog"]


def test_an_app_whose_files_are_gone_is_named_at_a_boot(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As when a disk was not mounted. One that is out of service is no failure."""
    monkeypatch.setattr(program_units, "app_names", lambda: ["shop"])
    monkeypatch.setattr(program_units, "load_settings", lambda _name: settings)
    monkeypatch.setattr(program_units, "holder", lambda _layout: "")
    ledger.append_line(settings.layout.ledger, {"result": "ok", "live": "20261121T120000Z-1111111"})
    assert program_units._boot(options_of("boot")) == 1
    assert "20261121T120000Z-1111111 has to serve" in capsys.readouterr().err
    ledger.append_line(settings.layout.ledger, {"result": "failed", "live": None})
    assert program_units._boot(options_of("boot")) == 0


def test_an_activation_begins_although_what_is_left_cannot_be_put_right(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else nothing could ever be deployed again, and the message would be that it was ended from outside."""

    def settle(_settings: Any) -> str:
        raise FileNotFoundError(2, "No such file or directory", "/srv/shop/slots/blue")

    request = tmp_path / "request"
    request.write_text(json.dumps({"kind": "restart", "by": "ann", "token": "t", "release": "live"}))
    monkeypatch.setattr(program_units, "load_settings", lambda _app: settings)
    monkeypatch.setattr(unproven, "settle", settle)
    monkeypatch.setattr(program_units, "_carry_out", lambda *_arguments: None)
    assert program_units._activation(SimpleNamespace(app="shop", request=str(request))) == 0  # type: ignore[arg-type]
    assert ledger.read_lines(settings.layout.ledger)[-1]["result"] == "ok"


def test_lines_of_others_in_the_ledger_and_in_the_progress_are_left_out(layout: Layout) -> None:
    Path(layout.ledger).write_text('{"result": "ok"}\n[1]\n{}\n\x00\x00\n')
    assert ledger.good_releases(layout) == []
    for text in ('{"event": "start"}\n', "{}\n", '{"event": "phase", "phase": "gate"}\n'):
        Path(layout.progress).write_text(text)
        assert ledger.unfinished(layout) is None


def test_an_empty_name_is_no_release(layout: Layout) -> None:
    """As a script has it whose variable is not set: with one release on the host it would be that one."""
    os.makedirs(layout.release_dir("20261121T120000Z-1111111"))
    releases.write_manifest(layout, "20261121T120000Z-1111111", {"id": "20261121T120000Z-1111111"})
    with pytest.raises(RingstandError, match="its name is empty"):
        releases.find_release(layout, "", [])


@pytest.mark.parametrize("sha", ["", "main", "../../x", "5EED5EED", "5eed5e"])
def test_a_hash_that_is_none_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch, sha: str) -> None:
    monkeypatch.setattr(program_releases, "load_settings", lambda _app: settings)
    monkeypatch.setattr(program_releases, "app_state", lambda _layout: {"sha": None})
    with pytest.raises(RingstandError, match="is not a hash: 7 to 64 hexadecimal digits"):
        program_releases._deploy(options_of("deploy", "shop", "--archive", __file__, "--sha", sha, "--version", "v1"))


def test_the_limits_of_a_deploy_reach_its_migrations(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """0 is a limit of its own, and what is not given is that of the app."""
    (tmp_path / "source.tar").touch()
    seen: list[Any] = []
    monkeypatch.setattr(program_releases, "load_settings", lambda _app: settings)
    monkeypatch.setattr(program_releases, "app_state", lambda _layout: {"sha": None})
    monkeypatch.setattr(program_releases, "run_activation", lambda _app, request, _tell: seen.append(request) or OK)
    given = ["--archive", str(tmp_path / "source.tar"), "--sha", "5eed5ee", "--version", "v1",
             "--migration-lock-timeout-seconds", "2.5", "--migration-statement-timeout-seconds", "0"]
    assert program_releases._deploy(options_of("--json", "deploy", "shop", *given)) == 0

    def migrate(request: Any, _runner: Any, _check: bool) -> Any:
        seen.append(request)
        return SimpleNamespace(before=None, after="aaa", applied=[], invalid_indexes=[])

    monkeypatch.setattr(schema_of_release, "migrate", migrate)
    monkeypatch.setattr(schema_of_release, "migration_plan", lambda *_arguments: MigrationPlan("migrations", ()))
    upgrade = schema_of_release.upgrade
    monkeypatch.setattr(activation, "deploy", lambda changed, _source, steps: upgrade(changed, "r", steps))
    of_app = replace(settings, migration_statement_timeout_seconds=9, migration_timeout_seconds=77)
    program_units._carry_out(of_app, seen[0], SimpleNamespace(about={}))  # type: ignore[arg-type]
    request = seen[1]
    assert (request.lock_timeout_seconds, request.statement_timeout_seconds, request.timeout_seconds) == (2.5, 0, 77)


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("result", ["ok", "failed"])
def test_a_notice_is_told_whatever_the_outcome(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], result: str, as_json: bool
) -> None:
    """Once: that of a step at its time, that of none with the outcome."""
    notices = ["Not read.", "Ended late."]
    entry = {**OK, "result": result, "reason": "Failed to start", "details": {}, "notices": notices}

    def run_activation(_settings: Any, _request: Any, tell: Any) -> Any:
        tell("gate")
        tell("Not read.")
        return entry

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(program_releases, "load_settings", lambda _app: settings)
    monkeypatch.setattr(program_releases, "run_activation", run_activation)
    code = program.main([*(["--json"] if as_json else []), "restart", "shop"])
    assert code == (0 if result == "ok" else 1)
    said = capsys.readouterr()
    if as_json:
        answer = json.loads(said.out)
        assert (answer if result == "ok" else answer["details"])["notices"] == notices
        assert said.err == ""
    else:
        assert said.err.splitlines()[:3] == ["shop: gate", "shop: Not read.", "shop: Ended late."]
        assert ("ringstand: Failed to start" in said.err) is (result == "failed")


@pytest.mark.parametrize(
    ("seconds", "words"), [("0", "not between 0"), ("-1", "not between 0"), ("nan", "not between"), ("9", "is missing")]
)
def test_a_run_that_cannot_begin_says_why(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, seconds: str, words: str
) -> None:
    monkeypatch.setattr(program_operations, "load_settings", lambda _app: settings)
    with pytest.raises(RingstandError, match=words):
        program_operations._run(options_of("run", f"--timeout={seconds}", "shop", "true"))
