"""The second place of backups: what the engines are told, which WAL goes there, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    backup_offsite,
    backup_offsite_host,
    backup_redis,
    backup_run,
    backup_settings,
    backup_shipping,
    backup_ssh,
    backup_status,
    pgbackrest,
    program_backup,
    restic,
)
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.validation.backup_repository import (
    check_backup_repository,
)
from ansible_collections.ringstand.flask.plugins.module_utils.validation.problems import Problems

FRAME = "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----"
KEY = FRAME.format("b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ==")
LOCKED = FRAME.format("b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHI=")
PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPFr9OMg3"
SFTP: dict[str, Any] = {
    "type": "sftp", "host": "backup.example.com", "user": "vm", "path": "/backups", "private_key": KEY,
    "known_hosts": [f"backup.example.com {PUBLIC}"],
}
SSH: dict[str, Any] = {**SFTP, "type": "ssh"}
S3: dict[str, Any] = {
    "type": "s3", "endpoint": "s3.example.com", "bucket": "backups", "access_key": "AKIA0", "secret_key": "s3cr3t/x",
}
PATH: dict[str, Any] = {"type": "path", "path": "/mnt/backup"}


def found(value: Any) -> list[str]:
    problems = Problems()
    check_backup_repository("backup_repository", value, problems)
    return [str(problem) for problem in problems.errors]


@pytest.mark.parametrize("value", [
    {}, SFTP, S3, PATH, {**SFTP, "port": 2222, "known_hosts": [f"[backup.example.com]:2222 {PUBLIC}"]},
    {**S3, "endpoint": "https://10.0.0.1:9000/", "path": "/vms", "path_style": True, "region": "eu-1"},
    {**PATH, "name": "vm1", "dumps": False, "retention_full_count": 4, "retention_files_days": 90},
    {**SFTP, "known_hosts": [f"|1|abc=|def= {PUBLIC}"]}, SSH, {**SSH, "replaces": "0a1b2c3d"},
])
def test_what_is_accepted(value: dict[str, Any]) -> None:
    assert found(value) == []


@pytest.mark.parametrize(("value", "path", "words"), [
    ({"type": "ftp"}, "type", "Write sftp, ssh, s3, path"),
    ({"path": "/mnt"}, "type", "it says how"),
    ({**SFTP, "known_hosts": []}, "known_hosts", "needs it"),
    ({**SFTP, "known_hosts": [f"other.example.com {PUBLIC}"]}, "known_hosts", "no line is of backup.example.com"),
    ({**SFTP, "port": 2222}, "known_hosts", "no line is of [backup.example.com]:2222"),
    ({**SFTP, "known_hosts": ["SHA256:abc"]}, "known_hosts[0]", "not a line of a known_hosts file"),
    ({**SFTP, "private_key": "changeme"}, "private_key", "not the text of a private key"),
    ({**SFTP, "private_key": LOCKED}, "private_key", "passphrase"),
    ({**SFTP, "host": "vm@backup.example.com"}, "host", "neither a host name"),
    ({**SFTP, "bucket": "x"}, "bucket", "of type sftp has no such key"),
    ({**SFTP, "pathh": "/x"}, "pathh", "Do you mean path?"),
    ({**SFTP, "path": "/backups/../etc"}, "path", "a path from / on"),
    ({**SFTP, "port": "22"}, "port", "an integer"),
    ({**SSH, "known_hosts": []}, "known_hosts", "needs it"),
    ({**SSH, "path": "backups"}, "path", "a path from / on"),
    ({**SSH, "replaces": 12345678}, "replaces", "in quotes"),
    ({**S3, "endpoint": "http://s3.example.com"}, "endpoint", "reached by https"),
    ({**S3, "bucket": "My_Bucket"}, "bucket", "lower-case"),
    ({**S3, "secret_key": "changeme"}, "secret_key", "placeholder"),
    ({**S3, "ca_certificate": "/etc/ca.pem"}, "ca_certificate", "not the text"),
    ({**PATH, "path": "/etc/backup"}, "path", "do not belong there"),
    ({**PATH, "path": "/"}, "path", "do not belong there"),
    ({**PATH, "name": "../other"}, "name", "a name has"),
    ({**PATH, "retention_full_count": 0}, "retention_full_count", "from 1 to 100"),
])
def test_what_is_refused(value: dict[str, Any], path: str, words: str) -> None:
    messages = found(value)
    assert any(message.startswith(f"backup_repository.{path}") and words in message for message in messages), messages
    assert not any("s3cr3t" in message or "b3BlbnNza" in message for message in messages)


@pytest.mark.parametrize(("given", "where", "location"), [
    (SFTP, "sftp://vm@backup.example.com/backups/vm1", "sftp:ringstand-offsite:/backups/vm1/restic"),
    ({**SFTP, "port": 2222, "name": "x"}, "sftp://vm@backup.example.com:2222/backups/x",
     "sftp:ringstand-offsite:/backups/x/restic"),
    (SSH, "ssh://vm@backup.example.com/backups/vm1", "sftp:ringstand-offsite:/backups/vm1/restic"),
    (S3, "s3://s3.example.com/backups/vm1", "s3:https://s3.example.com/backups/vm1/restic"),
    ({**S3, "endpoint": "https://s3:9000/", "path": "/a"}, "s3://s3:9000/backups/a/vm1",
     "s3:https://s3:9000/backups/a/vm1/restic"),
    (PATH, "/mnt/backup/vm1", "/mnt/backup/vm1/restic"),
])
def test_a_place_as_each_engine_names_it(given: dict[str, Any], where: str, location: str) -> None:
    described = backup_offsite.describe(given, "vm1", 2, 30)
    assert described and (described["where"], described["restic"]) == (where, location)
    place = backup_offsite.parse(json.loads(json.dumps(described)))
    assert place and (place.full_count, place.files_days, place.dumps) == (2, 30, True)
    text = json.dumps(described)
    assert "PRIVATE" not in text and "s3cr3t" not in text


def test_restic_reaches_a_bucket_as_pgbackrest_does() -> None:
    given = {**S3, "region": "eu-central-1", "path_style": True, "ca_certificate": "x"}
    place = backup_offsite.parse(backup_offsite.describe(given, "vm1", 2, 30))
    assert place
    assert place.repository("/key").options == [
        f"--cacert={backup_ssh.DIRECTORY}/ca.pem", "-o", "s3.region=eu-central-1", "-o", "s3.bucket-lookup=path",
    ]
    plain = backup_offsite.parse(backup_offsite.describe(S3, "vm1", 2, 30))
    assert plain and plain.repository("/key").options == []


@pytest.mark.parametrize(("given", "lines"), [
    (SFTP, ["repo1-type=sftp", "repo1-sftp-host-key-check-type=strict", "repo1-path=/backups/vm1/pgbackrest"]),
    (S3, ["repo1-type=s3", "repo1-s3-uri-style=host", "repo1-s3-key-secret=s3cr3t/x"]),
    ({**S3, "endpoint": "s3:9000", "ca_certificate": "x"},
     ["repo1-s3-endpoint=s3", "repo1-storage-port=9000", f"repo1-storage-ca-file={backup_ssh.DIRECTORY}/ca.pem"]),
    (PATH, ["repo1-path=/mnt/backup/vm1/pgbackrest"]),
    (SSH, [f"repo1-path={backup_ssh.MOUNT_DIR}/vm1/pgbackrest"]),
])
def test_pgbackrests_configuration(given: dict[str, Any], lines: list[str]) -> None:
    described = backup_offsite.describe(given, "vm1", 2, 30)
    assert described
    text = backup_offsite_host.config_text(given, described, "k" * 20, ["[main]", "pg1-path=/data"]).splitlines()
    for line in [*lines, "repo1-cipher-type=aes-256-cbc", f"repo1-cipher-pass={'k' * 20}", "[main]", "expire-auto=n"]:
        assert line in text


@pytest.mark.parametrize("given", [SFTP, SSH, S3, PATH])
def test_secrets_are_in_no_file_that_others_read(given: dict[str, Any]) -> None:
    described = backup_offsite.describe(given, "vm1", 2, 30)
    assert described
    for cluster in ([], ["[main]"]):
        for entry in backup_offsite_host.entries(given, described, "k" * 20, cluster):
            text = entry.get("content", "")
            assert not any(secret in text for secret in ("k" * 20, "s3cr3t", "PRIVATE"))
            if "secret_content" in entry:
                assert entry["mode"] == "0600" or (entry["mode"], entry["group"]) == ("0640", "postgres")


@pytest.mark.parametrize(("given", "cluster", "left"), [
    ({}, [], {"pgbackrest.conf", "postgres.key", "root.key", "s3_credentials", "ringstand-offsite-mount.service"}),
    (PATH, ["[main]"], {"postgres.key", "root.key", "s3_credentials", "ringstand-offsite-mount.service"}),
    (SFTP, ["[main]"], {"s3_credentials", "ringstand-offsite-mount.service"}),
    (SSH, ["[main]"], {"s3_credentials", "postgres.key"}),
    (SSH, [], {"s3_credentials", "postgres.key", "pgbackrest.conf", "ringstand-offsite-mount.service"}),
])
def test_what_another_kind_has_left_is_removed(given: dict[str, Any], cluster: list[str], left: set[str]) -> None:
    described = backup_offsite.describe(given, "vm1", 2, 30) or {}
    found = backup_offsite_host.entries(given, described, "k" * 20, cluster)
    assert {os.path.basename(entry["path"]) for entry in found if entry.get("state") == "absent"} == left
    paths = [entry["path"] for entry in found]
    assert len(paths) == len(set(paths))


def test_an_old_pgbackrest_is_refused_for_sftp_only() -> None:
    with pytest.raises(RingstandError, match=r"pgBackRest 2\.45 .* needs 2\.48\. .*Use type ssh"):
        backup_offsite_host.check_possible(SFTP, (2, 45))
    backup_offsite_host.check_possible(SFTP, (2, 50))
    backup_offsite_host.check_possible(S3, (2, 45))
    backup_offsite_host.check_possible({}, (2, 37))


def test_what_is_not_mounted_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"type": "path", "path": str(tmp_path / "mount")}
    described = backup_offsite.describe(given, "vm1", 2, 30)
    assert described
    with pytest.raises(RingstandError, match="is no directory on this host"):
        backup_offsite_host.check_mounted(given, described)
    (tmp_path / "mount").mkdir()
    monkeypatch.setattr(backup_offsite_host, "CONFIG_PATH", str(tmp_path / "pgbackrest.conf"))
    backup_offsite_host.check_mounted(given, described)
    (tmp_path / "pgbackrest.conf").write_text(f"repo1-path={described['base']}/pgbackrest\n")
    with pytest.raises(RingstandError, match="is .*/mount mounted"):
        backup_offsite_host.check_mounted(given, described)


def segment(number: int, timeline: int = 1) -> str:
    return f"{timeline:08X}{0:08X}{number:08X}"


@pytest.mark.parametrize(("local", "there", "expected"), [
    ([], [], []),
    ([segment(1), segment(2), segment(3)], [], [segment(3)]),  # it begins with what its first backup will need
    ([segment(1), segment(2), segment(5), segment(4)], [segment(2)], [segment(4), segment(5)]),
    ([segment(2), segment(3), segment(4)], [segment(2), segment(4)], [segment(3)]),  # what an outage left out
    ([segment(3), "00000002.history", segment(3, 2)], [segment(2), segment(3)], ["00000002.history", segment(3, 2)]),
])
def test_what_is_shipped(local: list[str], there: list[str], expected: list[str]) -> None:
    assert backup_shipping.to_ship(local, there) == expected


def test_the_names_in_a_repository(tmp_path: Path) -> None:
    log = tmp_path / "17-2" / "0000000100000000"
    log.mkdir(parents=True)
    (tmp_path / "17-1" / "0000000100000000").mkdir(parents=True)
    sha = "0" * 40
    for name in (f"{segment(1)}-{sha}.zst", f"{segment(2)}-{sha}.zst.pgbackrest.tmp", f"{segment(2)}.00000028.backup",
                 f"{segment(3)}.partial-{sha}.zst"):
        (log / name).touch()
    (tmp_path / "17-2" / "00000002.history").touch()
    local = backup_shipping.Local(str(tmp_path))
    assert set(local.names()) == {segment(1), "00000002.history"}
    (log / f"{segment(2)}-{sha}.zst").touch()
    os.utime(log, (0, 0))
    assert set(local.names()) == {segment(1), segment(2), "00000002.history"}
    assert backup_shipping.Local(str(tmp_path / "none")).names() == {}


@pytest.mark.parametrize(("state", "words"), [
    ({}, "no WAL has been shipped yet"),
    ({"looked": 100}, "no WAL has been shipped since"),
    ({"looked": 9_990, "failing_since": 9_900, "reason": "x"}, ""),
    ({"looked": 9_990, "failing_since": 9_000, "waiting": 7, "reason": "no route"}, "7 WAL segments .*: no route"),
    ({"looked": 9_990, "oldest_waiting": 9_000, "waiting": 7}, "more is written than the way to it can take"),
])
def test_when_shipping_is_late(state: dict[str, Any], words: str) -> None:
    problems = backup_shipping.problems(state, 10_000)
    assert bool(problems) == bool(words)
    if words:
        assert pytest.importorskip("re").search(words, problems[0].reason)


def test_wal_of_a_cluster_before_is_not_taken_for_this_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps([{"name": "main", "status": {"code": 0, "message": "ok"}, "backup": [], "archive": [],
                        "db": [{"id": 2, "version": "17"}, {"id": 1, "version": "17"}]}])
    information = pgbackrest.parse_information(text, "main")
    assert information.archive == "17-2"
    listed = {f"17-{number}/0000000100000000/{segment(number)}-{'0' * 40}.zst": {} for number in (1, 2)}
    monkeypatch.setattr(backup_shipping.pgbackrest, "information", lambda _stanza: information)
    monkeypatch.setattr(backup_shipping.pgbackrest, "listing", lambda *_arguments: listed)
    monkeypatch.setattr(backup_shipping.backup_owner, "check_own", lambda _settings: None)
    settings = backup_settings.BackupSettings(
        offsite=backup_offsite.parse(backup_offsite.describe(PATH, "vm1", 2, 30))
    )
    assert backup_shipping.Shipper(settings)._listing() == {segment(2)}


class Engines:
    """Stands for pgBackRest: which of its calls fail."""

    def __init__(self, names: list[str]) -> None:
        self.names, self.away, self.pushed = names, False, list[str]()

    def call(self, stanza: pgbackrest.Stanza, *arguments: str, **_options: Any) -> Any:
        if stanza.config and self.away:
            return restic.Result(82, "", "P00  ERROR: [082]: no route to host")
        if arguments[0] == "repo-ls":
            files = {f"17-1/0000000100000000/{name}-{'0' * 40}.zst": {"type": "file", "size": 9, "time": 1}
                     for name in self.pushed}
            return restic.Result(0, json.dumps(files), "")
        if arguments[0] == "archive-push":
            self.pushed.append(os.path.basename(arguments[1]))
        return restic.Result(0, "", "")

    def information(self, _stanza: pgbackrest.Stanza) -> pgbackrest.Information:
        if self.away:
            raise RingstandError("Failed to read the backups of 'main': no route to host")
        return pgbackrest.Information(True)


def test_an_outage_is_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engines = Engines([])
    monkeypatch.setattr(backup_shipping.pgbackrest, "call", engines.call)
    monkeypatch.setattr(backup_shipping.pgbackrest, "information", engines.information)
    settings = backup_settings.BackupSettings(
        directory=str(tmp_path), offsite=backup_offsite.parse(backup_offsite.describe(PATH, "vm1", 2, 30))
    )
    log = tmp_path / "pgbackrest/archive/main/17-1/0000000100000000"
    log.mkdir(parents=True)

    def archive(number: int) -> None:
        (log / f"{segment(number)}-{'0' * 40}.zst").touch()
        os.utime(log, (number, number))

    shipper = backup_shipping.Shipper(settings)
    archive(1)
    assert shipper.round()["waiting"] == 0 and engines.pushed == [segment(1)]
    engines.away = True
    for number in range(2, 9):
        archive(number)
    state = shipper.round()
    assert state["waiting"] == 7 and "no route to host" in state["reason"] and state["newest"] == segment(1)
    engines.away = False
    state = shipper.round()
    assert (state["waiting"], state["reason"], state["newest"]) == (0, "", segment(8))
    assert sorted(engines.pushed) == [segment(number) for number in range(1, 9)]


def test_a_place_that_was_moved_is_due_at_once() -> None:
    described = backup_offsite.describe(PATH, "vm1", 2, 30)
    settings = backup_settings.BackupSettings(cluster="", offsite=backup_offsite.parse(described))
    for where, due in (("/mnt/backup/vm1", False), ("ssh://elsewhere/vm1", True)):
        parts = {"offsite": {"result": "ok", "where": where}}
        status = backup_status.merge({}, parts, [], 1_795_219_200)
        last, _full = backup_run.evidence(settings, status)
        assert (last["offsite"] is None) == due
        known = program_backup._elsewhere(settings, status)
        assert known and (known["good"] is None) == due


def write(path: Path, text: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_redis_files_are_those_of_one_moment(tmp_path: Path) -> None:
    folder = tmp_path / "shop-queue" / "appendonlydir"
    write(folder / "appendonly.aof.manifest", "file appendonly.aof.1.base.rdb seq 1 type b\n"
                                              "file appendonly.aof.1.incr.aof seq 1 type i\n")
    for name in ("appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof", "temp-rewriteaof-bg-1.aof"):
        write(folder / name)
    write(tmp_path / "shop-cache" / "other")
    write(tmp_path / "old" / "appendonly.aof")
    with backup_redis.snapshot(str(tmp_path)) as paths:
        assert paths == [str(tmp_path / backup_redis.FOLDER)]
        taken = {str(path.relative_to(paths[0])) for path in Path(paths[0]).rglob("*") if path.is_file()}
    assert taken == {"old/appendonly.aof", *(f"shop-queue/appendonlydir/appendonly.aof.{end}"
                                             for end in ("manifest", "1.base.rdb", "1.incr.aof"))}
    assert not (tmp_path / backup_redis.FOLDER).exists()


def test_redis_without_files_is_nothing(tmp_path: Path) -> None:
    write(tmp_path / "shop-cache" / "other")
    for directory in (str(tmp_path), str(tmp_path / "none"), ""):
        with backup_redis.snapshot(directory) as paths:
            assert paths == []


def test_settings_say_which_place_is_meant() -> None:
    described = backup_offsite.describe(S3, "vm1", 2, 30)
    data = {"schema": 1, "dir": "/b", "cluster": "main", "databases": ["all"], "paths": {}, "hour": 2,
            "offsite": described}
    settings = backup_settings.parse(data)
    assert (settings.stanza.config, settings.stanza.repository) == ("", "/b/pgbackrest")
    there = settings.at_offsite()
    assert (there.stanza.config, there.repository.remote) == (backup_offsite.CONFIG_PATH, True)
    with pytest.raises(RingstandError, match="Backups live on this machine only"):
        backup_settings.parse({**data, "offsite": None}).at_offsite()
