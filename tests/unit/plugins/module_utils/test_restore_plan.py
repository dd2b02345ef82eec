# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a restore may remove, what it must not touch, and what it remembers."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import restore_plan, restore_recovery, restore_state
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.pgbackrest import KEY_CONFIG_PATH, parse_information
from ansible_collections.ringstand.flask.plugins.module_utils.postgresql_cluster import Cluster
from ansible_collections.ringstand.flask.plugins.module_utils.restore_state import State

UNREADABLE = """[{"archive":[],"backup":[],"cipher":"aes-256-cbc","db":[],"name":"main","repo":[{"key":1,"status":
{"code":99,"message":"[FormatError] unable to load info file '/r/backup.info'\nFormatError: \x01\x02"}}],
"status":{"code":99,"message":"other"}}]"""


def state(data_dir: Path, phase: str) -> State:
    return State(phase, str(data_dir), f"{data_dir}.before-restore-x", True, "latest", "2026-11-21T12:00:00Z")


@pytest.mark.parametrize(("phase", "files", "expected"), [
    ("aside", [], True),
    ("aside", ["base/1"], True),
    ("restored", ["global/pg_control", "standby.signal"], True),
    ("aside", ["global/pg_control", "recovery.signal"], True),
    ("restored", ["global/pg_control"], False),
    ("promoting", ["global/pg_control", "standby.signal"], True),
    ("promoting", ["global/pg_control"], False),
    ("restored", ["base/1"], False),
    ("promoting", [], False),
    ("begun", [], False),
    ("done", [], False),
    ("undone", ["standby.signal"], False),
])
def test_only_the_rest_of_an_unpromoted_restore_is_removed(
    tmp_path: Path, phase: str, files: list[str], expected: bool
) -> None:
    data_dir = tmp_path / "main"
    for name in files:
        (data_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (data_dir / name).touch()
    assert restore_plan.removable(str(data_dir), state(data_dir, phase)) is expected
    assert not restore_plan.removable(str(data_dir), None)
    assert not restore_plan.removable(str(tmp_path / "other"), state(data_dir, phase))


def test_the_host_must_be_named() -> None:
    restore_plan.check_confirmed(restore_plan.host_name(), "/data")
    for confirm in ("", "other", restore_plan.host_name() + ".", restore_plan.host_name().upper() + "X"):
        with pytest.raises(RingstandError, match=f"--confirm {restore_plan.host_name()}$"):
            restore_plan.check_confirmed(confirm, "/data")


def test_a_lost_and_found_is_no_data(tmp_path: Path) -> None:
    assert not restore_plan.has_data(str(tmp_path / "missing"))
    (tmp_path / "lost+found").mkdir()
    assert not restore_plan.has_data(str(tmp_path))
    (tmp_path / "PG_VERSION").touch()
    assert restore_plan.has_data(str(tmp_path))


def test_the_state_is_remembered(tmp_path: Path) -> None:
    path = str(tmp_path / "deep" / "restore.json")
    assert restore_state.read(path) is None
    written = restore_state.write(state(tmp_path, "aside"), path)
    assert restore_state.read(path) == written
    assert written.unfinished and not state(tmp_path, "done").unfinished
    Path(path).write_text("{", encoding="utf-8")
    with pytest.raises(RingstandError, match="before-restore"):
        restore_state.read(path)


def test_the_wrong_key_is_named() -> None:
    with pytest.raises(RingstandError, match="unable to load info file") as caught:
        parse_information(UNREADABLE, "main")
    assert KEY_CONFIG_PATH in caught.value.message and "\n" not in caught.value.message


def test_a_standby_has_one_signal_file_and_forgets_only_its_target(tmp_path: Path) -> None:
    cluster = Cluster("17", "main", 5432, False, "postgres", str(tmp_path))
    (tmp_path / "recovery.signal").touch()
    (tmp_path / "postgresql.auto.conf").write_text(
        "work_mem = '5MB'\nrestore_command = 'x recovery_target_time y'\n"
        "recovery_target_time = '2026-11-21 12:00:00+00'\nrecovery_target_timeline = '3'\n", encoding="utf-8"
    )
    restore_recovery._stand_by(cluster)
    restore_recovery.forget_target(cluster)
    assert sorted(path.name for path in tmp_path.glob("*.signal")) == ["standby.signal"]
    left = (tmp_path / "postgresql.auto.conf").read_text(encoding="utf-8").splitlines()
    assert [line.split(" = ")[0] for line in left] == ["work_mem", "restore_command", "recovery_target_timeline"]
