"""What the ledger tells people of releases and attempts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    app_state,
    ledger,
    program,
    program_releases,
    releases,
    switch,
)
from ansible_collections.ringstand.flask.plugins.module_utils.release_history import (
    attempt_lines,
    schema_revision,
    went_live,
)
from settings_below import Settings  # type: ignore[import-not-found]

ONE, TWO, THREE = "20261121T120000Z-1111111", "20261121T130000Z-2222222", "20261121T140000Z-3333333"


def entry(kind: str, release: str | None, started: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "by": "ann", "release": release, "started": started, "seconds": 4.2, "result": "ok", **more}


LEDGER = [
    entry("deploy", ONE, "2026-11-21T12:00:00Z", migration={"before": None, "after": "aaa"}, live=ONE),
    entry("deploy", TWO, "2026-11-21T13:00:00Z", migration={"before": "aaa", "after": "bbb"}, live=TWO, previous=ONE),
    entry("rollback", ONE, "2026-11-21T13:30:00Z", live=ONE, previous=TWO),
    entry("deploy", THREE, "2026-11-21T14:00:00Z", migration={"after": "ccc"}, result="failed", live=ONE,
          reason="Failed to start:\n  postgres://shop:hunter2@db/shop " + "is not there " * 20),
    entry("restart", ONE, "2026-11-21T15:00:00Z", migration={}, live=ONE),
]
NONSENSE: list[dict[str, Any]] = [
    {}, {"release": [ONE], "kind": 3, "result": {}, "seconds": "long", "started": None, "migration": "bbb"},
    {"kind": "deploy", "result": "ok", "release": TWO}, {"kind": "deploy", "result": "ok", "release": TWO, "seconds": 1,
                                                         "started": "today"},
]


def test_what_is_known_of_a_release() -> None:
    assert [schema_revision(LEDGER, name) for name in (ONE, TWO, THREE)] == ["aaa", "bbb", "ccc"]
    assert [schema_revision(LEDGER, name) for name in ("other", None)] == [None, None]
    assert went_live(LEDGER, ONE) == "2026-11-21T13:30:04Z"  # neither its first time nor its restart
    assert went_live(LEDGER, TWO) == "2026-11-21T13:00:04Z"
    assert went_live(LEDGER, THREE) is None


def test_attempts_are_short_and_without_secrets() -> None:
    lines = attempt_lines(LEDGER * 3)
    assert len(lines) == 10
    assert lines[-1] == f"2026-11-21T15:00:00Z  restart   ann  {ONE}  ok      4.2 s"
    assert lines[-2].startswith(f"2026-11-21T14:00:00Z  deploy    ann  {THREE}  failed  4.2 s  Failed to start: ")
    assert lines[-2].endswith("…")
    assert len(lines[-2]) < 220
    assert "hunter2" not in "".join(lines)


def test_lines_that_somebody_else_has_written_are_shown_as_they_are() -> None:
    assert attempt_lines([]) == []
    assert attempt_lines(NONSENSE)[0] == "-      -       -  -                             -   -"
    assert [schema_revision(NONSENSE, TWO), went_live(NONSENSE, TWO)] == [None, None]


def test_releases_for_people(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = settings.layout
    monkeypatch.setattr(program_releases, "load_settings", lambda _app: settings)
    options = program._parser().parse_args(["releases", "shop"])
    assert program_releases._releases(options) == 0
    assert capsys.readouterr().out == "shop: nothing deployed yet\n"
    for number, name in enumerate((ONE, TWO, THREE), 1):
        Path(layout.release_dir(name)).mkdir()
        releases.write_manifest(layout, name, {"id": name, "version": f"v{number}"})
    for line in LEDGER:
        ledger.append_line(layout.ledger, line)
    monkeypatch.setattr(switch, "live_release", lambda _layout: ONE)
    assert program_releases._releases(options) == 0
    table, _blank, attempts = capsys.readouterr().out.partition("\n\n")
    assert table.splitlines() == [
        f"{ONE}  live          v1  schema aaa  live 2026-11-21T13:30:04Z",
        f"{TWO}  rolled back   v2  schema bbb  live 2026-11-21T13:00:04Z",
        f"{THREE}  never served  v3  schema ccc",
    ]
    assert len(attempts.splitlines()) == 1 + len(LEDGER)


def test_the_state_has_the_revision_of_what_serves(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in LEDGER:
        ledger.append_line(settings.layout.ledger, line)
    monkeypatch.setattr(app_state, "holder", lambda _layout: "")
    monkeypatch.setattr(app_state.switch, "should_serve", lambda _layout: (None, ONE))
    monkeypatch.setattr(app_state.maintenance, "read", lambda _app: None)
    assert app_state.app_state(settings.layout)["schema_revision"] == "aaa"
