"""The module as Ansible runs it, with real arguments and real files."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.ringstand.flask.plugins.module_utils import file_stage, file_transaction
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.modules import config_files
from module_result import result_of

MINE = {"owner": str(os.geteuid()), "group": str(os.getegid())}
CANARY = "canary-9f2c1e"


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    monkeypatch.setattr(file_transaction, "LOCK_PATH", str(tmp_path_factory.mktemp("lock") / "lock"))

    def call(entries: list, **options: Any) -> dict:
        arguments = {"files": [{**MINE, **one} for one in entries], **options}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            config_files.main()
        return result_of(capsys.readouterr().out)

    return call


def test_check_predicts_what_is_then_done(run: Any, tmp_path: Path) -> None:
    (tmp_path / "same").write_text("same")
    (tmp_path / "same").chmod(0o644)
    (tmp_path / "old").write_text("old")
    entries: list[dict[str, Any]] = [
        {"path": f"{tmp_path}/same", "content": "same"},
        {"path": f"{tmp_path}/made", "state": "directory"},
        {"path": f"{tmp_path}/made/file", "content": "x"},
        {"path": f"{tmp_path}/old", "state": "absent"},
    ]
    predicted = run(entries, _ansible_check_mode=True, _ansible_diff=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "same"]
    done = run(entries, _ansible_diff=True)
    for key in ("changed", "changed_paths", "diff"):
        assert predicted[key] == done[key]
    assert done["changed_paths"] == [f"{tmp_path}/made", f"{tmp_path}/made/file", f"{tmp_path}/old"]
    again = run(entries)
    assert (again["changed"], again["changed_paths"]) == (False, [])


def test_check_accepts_what_is_not_there_yet(run: Any, tmp_path: Path) -> None:
    entries = [{"path": f"{tmp_path}/none/file", "content": "x", "owner": "not-yet", "group": "not-yet"}]
    result = run(entries, _ansible_check_mode=True, _ansible_diff=True)
    assert result["changed"]
    assert "file (not there yet):(not there yet) 0644" in str(result["diff"])
    assert "does not exist; list it before" in run(entries)["msg"]


@pytest.mark.parametrize("command", ["true", "sh -c 'cat $0 >&2; exit 1' %s"], ids=["good", "refused"])
def test_no_secret_comes_out(run: Any, tmp_path: Path, command: str) -> None:
    text = f"password = {CANARY}\n"
    one = {"path": f"{tmp_path}/x", "secret_content": text, "mode": "0600"}
    one["validate"] = command if "%s" in command else "test -e %s"
    result = run([one], _ansible_diff=True, _ansible_verbosity=3)
    assert result.get("changed", False) == (command == "true")
    assert CANARY not in json.dumps(result)


def test_one_bad_entry_stops_all(run: Any, tmp_path: Path) -> None:
    good = {"path": f"{tmp_path}/a", "content": ""}
    result = run([good, {"path": f"{tmp_path}/b", "content": "", "mode": 0o644}])
    assert result["failed"]
    assert result["msg"].startswith(f"Failed to check '{tmp_path}/b': mode is the number 420; quote it")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("command", ["", "nginx -t 'x", "visudo -cf %s"])
@pytest.mark.parametrize("check", [True, False])
def test_commands_are_checked_before_the_first_change(run: Any, tmp_path: Path, command: str, check: bool) -> None:
    result = run([{"path": f"{tmp_path}/a", "content": ""}], validate=[command], _ansible_check_mode=check)
    assert result["msg"].startswith("Failed to check validate: ")
    assert not (tmp_path / "a").exists()


def test_unknown_option_is_refused(run: Any, tmp_path: Path) -> None:
    assert "Unsupported parameters" in run([{"path": f"{tmp_path}/a", "contents": ""}])["msg"]


def test_no_secret_is_in_the_hosts_log(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Ansible masks a nested secret by its value, which the log shows escaped when it has a quote or several lines.
    recorded: list[Any] = []
    monkeypatch.setattr(AnsibleModule, "log", lambda _self, *arguments, **_options: recorded.append(arguments))
    run([{"path": f"{tmp_path}/file", "secret_content": f"A=it's\nB={CANARY}\n"}])
    assert recorded
    assert CANARY not in str(recorded)


def test_units_follow_the_files(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def act(module: AnsibleModule, predicted_paths: list[str]) -> dict[str, Any]:
        asked.append((module.check_mode, predicted_paths, (tmp_path / "a").exists()))
        return {"changed": True, "units": {"a.service": {"actions": ["restart"]}}, "diff": [{"prepared": "restart"}]}

    monkeypatch.setattr(config_files.unit_options, "run", act)
    path = f"{tmp_path}/a"
    options: dict[str, Any] = {"units": [{"name": "a", "state": "started"}], "predicted_paths": ["/etc/b"]}
    foreseen = run([{"path": path, "content": "x"}], _ansible_check_mode=True, _ansible_diff=True, **options)
    done = run([{"path": path, "content": "x"}], _ansible_diff=True, **options)
    for result in (foreseen, done):
        assert result["units"] == {"a.service": {"actions": ["restart"]}}
        assert result["diff"][-1] == {"prepared": "restart"}
    assert asked == [(True, ["/etc/b", path], False), (False, ["/etc/b", path], True)]
    # Nothing to write is no reason to leave a unit as it is.
    again = run([{"path": path, "content": "x"}], **options)
    assert (again["changed"], again["changed_paths"]) == (True, [])


def test_a_unit_that_fails_leaves_the_files_and_says_so(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(_module: AnsibleModule, _paths: list[str]) -> dict[str, Any]:
        raise RingstandError("Failed to start a.service: it is failed", units={"a.service": {"actions": []}})

    monkeypatch.setattr(config_files.unit_options, "run", act)
    result = run([{"path": f"{tmp_path}/a", "content": "x"}], units=[{"name": "a", "state": "started"}])
    assert result["msg"].startswith("Failed to start a.service")
    assert result["changed_paths"] == [f"{tmp_path}/a"]
    assert (tmp_path / "a").read_text() == "x"


def test_a_unit_that_cannot_be_is_refused_before_any_file(run: Any, tmp_path: Path) -> None:
    result = run([{"path": f"{tmp_path}/a", "content": "x"}], units=[{"name": "a b"}])
    assert "that is not a unit name" in result["msg"]
    assert not (tmp_path / "a").exists()


def test_what_is_refused_of_parts_is_told(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _self, text: warnings.append(text))
    monkeypatch.setattr(file_stage, "STAGES_DIR", str(tmp_path.parent))
    entries = [{"path": f"{tmp_path}/{name}", "content": name, "part": name} for name in ("good", "bad")]
    options: dict[str, Any] = {"stage_dir": str(tmp_path), "validate": [f"sh -c '! test -e {tmp_path}/bad'"]}
    done = run(entries, **options)
    assert done["changed_paths"] == [f"{tmp_path}/good"]
    assert [(one["part"], one["kept"]) for one in done["refused"]] == [("bad", False)]
    assert str(warnings).startswith("['bad is left out: ")
    assert run(entries[:1], **options)["refused"] == []


def test_parts_need_a_stage(run: Any, tmp_path: Path) -> None:
    result = run([{"path": f"{tmp_path}/a", "content": "", "part": "a"}])
    assert "it belongs to part 'a'; parts need stage_dir" in result["msg"]
    made = run([{"path": f"{tmp_path}/a", "state": "directory", "part": "a"}], stage_dir=str(tmp_path))
    assert "a directory belongs to no part" in made["msg"]


def test_what_is_not_there_yet_is_not_judged_in_check_mode(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _self, text: warnings.append(text))
    entries = [{"path": f"{tmp_path}/a", "content": "", "part": "a"}]
    options: dict[str, Any] = {"stage_dir": str(tmp_path), "validate": ["false"], "_ansible_check_mode": True}
    foreseen = run(entries, predicted_paths=["/etc/certificate"], **options)
    assert (foreseen["changed_paths"], foreseen["refused"]) == ([f"{tmp_path}/a"], [])
    assert warnings == ["What these would say cannot be foreseen: false"]
