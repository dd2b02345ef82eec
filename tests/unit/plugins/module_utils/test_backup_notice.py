"""Who is told what, and when: once per change, over what can be trusted, with no secret in any message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import smtp_server
from ansible_collections.ringstand.flask.plugins.module_utils import (
    backup_metrics,
    backup_notice,
    backup_report,
    backup_settings,
    backup_status,
    mail,
)
from ansible_collections.ringstand.flask.plugins.module_utils.backup_problems import Problem

ARCHIVE = "archive: WAL is not archived (3 segments wait)"
SPACE = "space: /var/backups: 12 MB are free"


class Receiver:
    """A channel that can be down."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.down = ""

    def __call__(self, body: dict[str, Any]) -> str:
        if not self.down:
            self.got.append(body["event"])
        return self.down


def test_a_change_is_told_once(tmp_path: Path) -> None:
    path, receiver = str(tmp_path / "notified.json"), Receiver()
    hours = [[], [ARCHIVE], [ARCHIVE.replace("3", "40")], [ARCHIVE, SPACE], [SPACE], [], []]
    for faults in hours:
        assert backup_notice.tell(faults, 0, {"webhook": receiver}, path) == []
    assert receiver.got == ["backup-failure", "backup-failure", "backup-recovery"]


def test_a_channel_that_was_down_is_told_later(tmp_path: Path) -> None:
    path, good, bad = str(tmp_path / "notified.json"), Receiver(), Receiver()
    bad.down = "it answered 500"
    channels = {"webhook": good, "mail": bad}
    assert backup_notice.tell([SPACE], 0, channels, path) == ["The mail was not told of the failure: it answered 500"]
    assert backup_notice.undelivered(path) == ["The mail was not told of the failure: it answered 500"]
    bad.down = ""
    assert backup_notice.tell([SPACE], 0, channels, path) == []
    assert (good.got, bad.got) == (["backup-failure"], ["backup-failure"])
    assert backup_notice.undelivered(path) == []
    bad.down = "it answered 500"
    backup_notice.tell([], 0, channels, path)
    bad.down = ""
    backup_notice.tell([], 0, channels, path)
    assert bad.got == good.got == ["backup-failure", "backup-recovery"]


def test_a_message_names_host_and_faults_but_no_secret() -> None:
    body = backup_notice.message(backup_notice.FAILURE, ["files: sftp://me:canary@host failed"], 0, "vm1")
    assert body["text"].startswith("Backups of vm1 are not as they should be:\n- files: ")
    assert "canary" not in str(body)
    many = backup_notice.message(backup_notice.FAILURE, [f"verify: {n}" for n in range(30)], 0, "vm1")["text"]
    assert "- and 10 more" in many


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    return smtp_server.certificate(tmp_path)


def server(port: int, pem: Path, **other: Any) -> mail.Server:
    data = {"host": "localhost", "port": port, "from": "vm1@example.com", "to": ["ops@example.com", "b@example.com"],
            "user": smtp_server.USER, "password": smtp_server.PASSWORD, "ca_path": str(pem), **other}
    return mail.parse(data)


def test_mail_goes_encrypted_to_who_is_proven(pem: Path) -> None:
    receiver = smtp_server.Server(pem)
    assert mail.send(server(receiver.port, pem), "Backups of vm1\nare bad", "- dumps: shop\n") == ""
    (got,) = receiver.received
    assert (got["secure"], got["user"]) == (True, smtp_server.USER)
    assert "Subject: Backups of vm1 are bad\r\n" in got["text"]
    assert "To: ops@example.com, b@example.com\r\n" in got["text"] and "Message-ID: <" in got["text"]
    assert "Auto-Submitted: auto-generated" in got["text"]
    assert got["text"].endswith("- dumps: shop\r\n")


def test_why_mail_was_not_taken_is_said_without_the_password(pem: Path) -> None:
    receiver = smtp_server.Server(pem)
    for changed, said in (
        ({"password": "canary-wrong"}, "it answered 535 (login)"),
        ({"ca_path": ""}, "its certificate is not trusted: self-signed certificate"),
        ({"port": 1}, "Connection refused"),
        ({"host": "nowhere.invalid"}, "known"),
    ):
        reason = mail.send(server(**{"port": receiver.port, "pem": pem, **changed}), "x", "y")
        assert said in reason and "canary" not in reason
    receiver.refuses = "no such user"
    assert mail.send(server(receiver.port, pem), "x", "y") == (
        "it refused the recipients: 550 no such user; 550 no such user"
    )
    assert receiver.received == []


def test_no_password_goes_over_the_network_in_the_clear(pem: Path) -> None:
    receiver = smtp_server.Server(None)
    assert "STARTTLS" in mail.send(server(receiver.port, pem), "x", "y")
    assert receiver.received == []
    assert mail.send(server(receiver.port, pem, security="none", user="", password=""), "x", "y") == ""


def test_the_password_is_in_no_representation(tmp_path: Path) -> None:
    assert "canary" not in repr(mail.parse({"host": "h", "from": "a", "to": ["b"], "password": "canary"}))
    (tmp_path / "smtp.json").write_text('{"password": "canary"')
    with pytest.raises(Exception, match="it is damaged") as caught:
        mail.load(str(tmp_path / "smtp.json"))
    assert "canary" not in str(caught.value)
    assert mail.load(str(tmp_path / "none.json")) is None
    assert mail.parse({"host": "h", "from": "a", "to": ["b"]}).port == 587


STATUS = backup_status.merge(
    {},
    {
        "archive": {"result": "ok", "seconds": 0.5, "archived_at": 1000, "failed_count": 2, "waiting": 0},
        "space": {"result": "failed", "seconds": 0.1, "free_bytes": 12_000_000},
        "drill": {"result": "ok", "seconds": 9.25, "phases": {"restore": 3.5}, "bytes": 100},
    },
    [Problem("space", "/var/backups", "12 MB are free")],
    1_795_219_200,
)


def test_metrics_are_well_formed() -> None:
    lines = backup_metrics.metrics(STATUS).text().splitlines()
    names = {line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")}
    assert names == {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert names == {line.split()[2] for line in lines if line.startswith("# HELP")}
    assert 'ringstand_backup_success{part="space"} 0' in lines
    assert 'ringstand_backup_problems{part="space"} 1' in lines
    assert 'ringstand_backup_last_success_timestamp_seconds{part="drill"} 1795219200' in lines
    assert 'ringstand_backup_drill_phase_seconds{phase="restore"} 3.5' in lines
    assert "# TYPE ringstand_backup_wal_archive_failures_total counter" in lines
    assert not [line for line in lines if "None" in line]


def test_a_report_passes_everything_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(backup_notice, "tell", lambda faults, now: told.append(faults) or [])
    settings = backup_settings.BackupSettings(metrics_dir=str(tmp_path))
    assert backup_report.report(settings, STATUS, 1_795_219_300) == (1, [])
    assert told == [["space: /var/backups: 12 MB are free"]]
    assert (tmp_path / "ringstand_backup.prom").exists()
    # A part that nothing has run for too long is a fault as well, though its last run was good.
    good = backup_status.merge({}, {"dumps": {"result": "ok"}}, [], 0)
    assert backup_report.report(settings, good, 100_000)[0] == 0
    assert backup_report.report(settings, good, 200_000)[0] == 1
