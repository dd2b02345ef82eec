"""Another host by SSH: the mount, why it is not there, and a place that is new to a host or another machine's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    backup_offsite,
    backup_offsite_look,
    backup_offsite_run,
    backup_owner,
    backup_settings,
    backup_shipping,
    backup_ssh,
    commands,
    pgbackrest,
    restic,
)
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.restic import Snapshot

SSH: dict[str, Any] = {
    "type": "ssh", "host": "backup.example.com", "user": "vm", "path": "/backups", "private_key": "K3Y",
    "known_hosts": ["backup.example.com ssh-ed25519 AAAA"],
}
CHANGED = """@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
Host key for backup.example.com has changed and you have requested strict checking.
Host key verification failed.
Connection closed
"""
OURS, THEIRS = "0a1b2c3d", "4e5f6a7b"


@pytest.mark.parametrize(("rc", "stderr", "expected"), [
    (0, "", ""),
    (255, CHANGED, "Host key for backup.example.com has changed and you have requested strict checking. "
                   "Host key verification failed"),
    (255, "ssh: connect to host b port 22: Connection refused\nConnection closed\n",
     "ssh: connect to host b port 22: Connection refused"),
    (1, "realpath /backups: No such file\n", "realpath /backups: No such file"),
    (255, "Connection closed\n", "sftp ended with 255"),
    (127, "sh: 1: sftp: not found\n", "sh: 1: sftp: not found"),
])
def test_why_it_cannot_be_reached(rc: int, stderr: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_ssh, "run", lambda *_args, **_options: commands.Result(rc, "", stderr))
    assert backup_ssh.problem("/backups") == expected


def test_pgbackrest_is_not_asked_of_what_is_not_mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_ssh, "is_mounted", lambda: False)
    monkeypatch.setattr(backup_ssh, "problem", lambda path: f"no {path}")
    monkeypatch.setattr(pgbackrest, "run", lambda *_args, **_options: pytest.fail("it was asked"))
    place = backup_offsite.parse(backup_offsite.describe(SSH, "vm1", 2, 30))
    assert place
    with pytest.raises(RingstandError, match="Failed to read the backups of 'main': ERROR: no /backups"):
        pgbackrest.information(place.stanza("main"))


def test_the_mount_is_for_one_user_and_checks_the_host() -> None:
    unit = backup_ssh.unit_text("/backups", "postgres")
    assert "default_permissions,uid=$$(id -u postgres)" in unit and "ringstand-offsite:/backups /run/" in unit
    assert "StrictHostKeyChecking yes" in backup_ssh.config_text(SSH)
    assert "IdentityFile /run/x/root.key" in backup_ssh.config_text({**SSH, "port": 2222}, "/run/x")


def snapshot(host: str, time: str = "2026-11-21T02:00:00.123Z") -> Snapshot:
    return Snapshot("1" * 64, "host", time, ["/etc"], host)


@pytest.fixture(autouse=True)
def this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_owner, "machine", lambda: OURS)


def test_snapshots_are_in_order_whatever_their_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    times = ["2026-11-21T02:30:00.123456789Z", "2026-11-21T03:00:00.1+01:00", "2026-11-20T23:00:00-05:00"]
    text = json.dumps([{"id": time, "time": time, "paths": []} for time in times])
    monkeypatch.setattr(restic, "exists", lambda _repository: True)
    monkeypatch.setattr(restic, "call", lambda *_arguments, **_options: commands.Result(0, text, ""))
    assert [item.id for item in restic.snapshots(restic.Repository("/r", "/k"))] == [times[1], times[0], times[2]]


@pytest.mark.parametrize(("hosts", "replaces", "refused"), [
    ([], "", False),
    ([f"vm1/{OURS}"], "", False),
    ([f"renamed/{OURS}"], "", False),
    (["vm1"], "", False),  # that of another program
    ([f"vm1/{THEIRS}"], "", True),
    ([f"vm1/{THEIRS}"], THEIRS, False),
    ([f"vm1/{THEIRS}"], "00000000", True),
    ([f"vm1/{THEIRS}", f"vm1/{OURS}"], "", False),  # it has taken over
    ([f"vm1/{OURS}", f"vm1/{THEIRS}"], "", True),  # the other one has
])
def test_whose_a_place_is(hosts: list[str], replaces: str, refused: bool) -> None:
    found = [snapshot(host) for host in hosts]
    if not refused:
        backup_owner.check(found, "ssh://there", [replaces])
        return
    with pytest.raises(backup_owner.NotOursError, match=rf"host vm1 \(machine {THEIRS}\), .* at 2026-11-21T02:00:00Z"):
        backup_owner.check(found, "ssh://there", [replaces])


def test_a_recovered_machine_is_the_owner_of_that_place_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "recover.json"
    path.write_text(f'{{"phase": "done", "where": "ssh://there", "replaced": "{THEIRS}"}}')
    replaced = backup_owner.replaced
    monkeypatch.setattr(backup_owner, "replaced", lambda where: replaced(where, str(path)))
    backup_owner.check([snapshot(f"vm1/{THEIRS}")], "ssh://there")
    with pytest.raises(backup_owner.NotOursError):
        backup_owner.check([snapshot(f"vm1/{THEIRS}")], "ssh://elsewhere")


def settings(where: str = "vm1") -> backup_settings.BackupSettings:
    return backup_settings.BackupSettings(
        offsite=backup_offsite.parse(backup_offsite.describe(SSH, where, 2, 30)), directory="/nowhere"
    )


def test_nothing_goes_to_another_machines_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def untouched(*_arguments: Any, **_options: Any) -> Any:
        pytest.fail("it was written to")

    monkeypatch.setattr(restic, "snapshots", lambda _repository: [snapshot(f"vm1/{THEIRS}")])
    monkeypatch.setattr(restic, "back_up", untouched)
    monkeypatch.setattr(pgbackrest, "back_up", untouched)
    monkeypatch.setattr(pgbackrest, "call", untouched)
    monkeypatch.setattr(pgbackrest, "information", lambda _stanza: pgbackrest.Information(True))
    problems = backup_offsite_run.run(settings(), 0, print, {}, {})
    assert len(problems) == 1 and f"(machine {THEIRS})" in problems[0].reason
    assert f"(machine {THEIRS})" in backup_shipping.Shipper(settings()).round()["reason"]


class Look:
    """A look at a new place, with what it was asked for."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parent, self.reason, self.there = tmp_path, "", [snapshot(f"vm1/{OURS}")]
        self.known: backup_settings.BackupSettings | None = None
        self.seen: dict[str, int] = {}
        monkeypatch.setattr(backup_offsite_look, "_PARENT", str(tmp_path))
        monkeypatch.setattr(backup_settings, "load", self._load)
        monkeypatch.setattr(backup_ssh, "problem", self._problem)
        monkeypatch.setattr(restic, "snapshots", self._snapshots)

    def _load(self) -> backup_settings.BackupSettings:
        if self.known is None:
            raise RingstandError("there are none")
        return self.known

    def _problem(self, path: str, directory: str) -> str:
        assert path == "/backups"
        self.seen = {name: os.stat(f"{directory}/{name}").st_mode & 0o777 for name in os.listdir(directory)}
        return self.reason

    def _snapshots(self, repository: restic.Repository) -> list[Snapshot]:
        assert repository.password_file.startswith(str(self.parent)) and "--no-cache" in repository.options
        return self.there

    def look(self, recover: bool = False) -> None:
        backup_offsite_look.look(SSH, backup_offsite.describe(SSH, "vm1", 2, 30) or {}, "k" * 20, recover, False)
        assert not os.listdir(self.parent), "keys were left"


@pytest.fixture
def looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    return Look(tmp_path, monkeypatch)


def test_a_new_place_is_looked_at_and_nothing_is_left(looking: Look) -> None:
    looking.look()
    assert looking.seen == {"key": 0o600, "known_hosts": 0o600, "root.key": 0o600, "ssh_config": 0o600}


def test_a_new_place_that_cannot_be_reached_is_refused(looking: Look) -> None:
    looking.reason = "Host key verification failed"
    with pytest.raises(RingstandError, match=r"cannot be used: Host key verification failed\. Nothing was changed"):
        looking.look()
    assert not os.listdir(looking.parent)
    looking.known = settings()  # it was there before: each backup says so
    looking.look()


def test_a_new_place_of_another_machine_is_refused_but_to_recover(looking: Look) -> None:
    looking.there = [snapshot(f"vm1/{THEIRS}")]
    looking.known = settings("another")
    with pytest.raises(backup_owner.NotOursError):
        looking.look()
    looking.look(recover=True)
