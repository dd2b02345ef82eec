"""What a recovery refuses to write over, also when it goes on, and what it keeps."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import recover_run, restore_state
from ansible_collections.ringstand.flask.plugins.module_utils.backup_settings import BackupSettings
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.restore_state import State


@pytest.mark.parametrize("reached", ["", recover_run.BEGUN, recover_run.FILES, recover_run.DONE])
@pytest.mark.parametrize(("live", "databases", "running", "restore", "words"), [
    ([], [], True, "", ""),
    (["/srv/shop/live"], [], True, "", "the apps shop are deployed"),
    ([], ["shop"], True, "", "has the databases shop"),
    ([], ["shop"], True, "done", "has the databases shop"),
    ([], ["shop"], True, "begun", "has the databases shop"),  # nothing had been moved yet
    ([], ["shop"], False, "restored", ""),  # nobody can have written to it
])
def test_what_is_in_use_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reached: str, live: list[str], databases: list[str], running: bool,
    restore: str, words: str,
) -> None:
    data_dir = str(tmp_path)
    (tmp_path / ("standby.signal" if restore == "restored" and reached else "PG_VERSION")).touch()
    cluster = SimpleNamespace(running=running, unit="u", data_dir=data_dir, query=lambda _sql: databases)
    state = State(restore, data_dir, "/k", True, "latest", "") if restore and reached else None
    monkeypatch.setattr(recover_run, "phase", lambda: reached)
    monkeypatch.setattr(recover_run.glob, "glob", lambda _pattern: live)
    monkeypatch.setattr(BackupSettings, "find_cluster", lambda _settings: cluster)
    monkeypatch.setattr(restore_state, "read", lambda: state)
    if not reached and not running:
        words = "does not run"
    if not words or reached == recover_run.DONE:
        recover_run.check_fresh(BackupSettings())
        return
    with pytest.raises(RingstandError, match=words) as caught:
        recover_run.check_fresh(BackupSettings())
    assert (f"stopped at '{reached}'" in caught.value.message) == bool(reached)


def test_a_cluster_that_was_stopped_to_be_restored_is_started_and_looked_into(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "PG_VERSION").touch()
    cluster = SimpleNamespace(running=False, unit="u", data_dir=str(tmp_path), query=lambda _sql: ["shop"])
    monkeypatch.setattr(recover_run, "phase", lambda: recover_run.FILES)
    monkeypatch.setattr(BackupSettings, "find_cluster", lambda _settings: cluster)
    monkeypatch.setattr(restore_state, "read", lambda: None)
    monkeypatch.setattr(recover_run, "systemctl", lambda *_of: setattr(cluster, "running", True))
    recover_run.check_fresh(BackupSettings(), check=True)
    assert not cluster.running
    with pytest.raises(RingstandError, match="has the databases shop"):
        recover_run.check_fresh(BackupSettings())


@pytest.mark.parametrize(("numbers", "holds"), [([1, 4, 5], False), ([1, 13757, 13758], False), ([1, 5, 16384], True)])
def test_a_directory_with_databases_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: list[int], holds: bool
) -> None:
    kept = tmp_path / "main.before-restore-x"
    for number in numbers:
        (kept / "base" / str(number)).mkdir(parents=True)
    (kept / "base" / "pgsql_tmp").mkdir()
    written: list[str] = []
    done: dict[str, Any] = {"kept": str(kept), "target": "", "backup": "", "recovered_to": "", "databases": []}
    there: Any = SimpleNamespace(offsite=None, repository=None)
    monkeypatch.setattr(recover_run, "phase", lambda: recover_run.FILES)
    monkeypatch.setattr(recover_run, "check_fresh", lambda _settings: None)
    monkeypatch.setattr(recover_run, "_write", lambda reached, *_of: written.append(reached))
    monkeypatch.setattr(recover_run, "replace", lambda cluster, **_of: cluster)
    monkeypatch.setattr(recover_run.restic, "snapshots", lambda _repository: [])
    monkeypatch.setattr(recover_run.backup_owner, "of", lambda _snapshots: None)
    monkeypatch.setattr(recover_run.restore_run, "stop", lambda _cluster: None)
    monkeypatch.setattr(recover_run.restore_run, "perform", lambda *_of, **_options: done)
    monkeypatch.setattr(recover_run.restore_plan, "make", lambda *_of, **_options: None)
    settings: Any = SimpleNamespace(cluster="main", at_offsite=lambda: there, find_cluster=lambda: None)
    result = recover_run.perform(settings, "latest", None)  # type: ignore[arg-type]
    assert kept.exists() == holds == bool(result["problems"])
    assert (result["kept"], written[0]) == (str(kept) if holds else "", recover_run.DONE)
