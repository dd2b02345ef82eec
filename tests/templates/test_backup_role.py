"""What the backup role writes, with and without what is optional."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.ringstand.flask.plugins.module_utils import backup_settings, mail, prometheus
from role_templates import Role

WEBHOOK, SMTP = "/etc/ringstand/backup/webhook.url", "/etc/ringstand/backup/smtp.json"


def files(**variables: Any) -> dict[str, dict[str, Any]]:
    role = Role("backup", inventory_hostname="vm1", **variables)
    return {entry["path"]: entry for entry in role.value("__backup_files + __backup_notification_files")}


def test_what_the_host_reads_is_what_was_written() -> None:
    text = files(backup_drill_interval_days=30, backup_metrics_dir="")["/etc/ringstand/backup/settings.json"]["content"]
    settings = backup_settings.parse(json.loads(text))
    assert (settings.drill_days, settings.metrics_dir) == (30, "")
    defaults = backup_settings.parse(json.loads(files()["/etc/ringstand/backup/settings.json"]["content"]))
    assert (defaults.drill_days, defaults.metrics_dir) == (7, prometheus.DIRECTORY)


def test_whom_to_tell_is_in_files_of_their_own() -> None:
    smtp = {"host": "mail.example.com", "from": "vm1@example.com", "to": ["ops@example.com"], "user": "u",
            "password": "canary"}
    found = files(backup_webhook_url="https://hooks.example.com/canary", backup_smtp=smtp)
    assert found[WEBHOOK]["secret_content"] == "https://hooks.example.com/canary\n"
    server = mail.parse(json.loads(found[SMTP]["secret_content"]))
    assert (server.host, server.port, server.password, server.recipients) == (
        "mail.example.com", 587, "canary", ["ops@example.com"]
    )
    assert found[WEBHOOK]["mode"] == found[SMTP]["mode"] == "0600"
    assert "canary" not in "".join(str(entry.get("content")) for entry in found.values())


def test_wal_is_shipped_by_a_service_that_sees_a_mount_which_comes_later() -> None:
    for kind, closed in (("ssh", False), ("sftp", True), ("path", True)):
        role = Role("backup", inventory_hostname="vm1", backup_repository={"type": kind, "path": "/mnt/backup"})
        text = role.value("__backup_shipping_file")["content"]
        assert ("ProtectSystem=strict" in text) == closed == ("PrivateDevices=yes" in text)
        assert ("ringstand-offsite-mount.service" in text) != closed
        assert ("ReadWritePaths=" in text and "/mnt/backup" in text) == (kind == "path")
    packages = Role("backup", inventory_hostname="vm1", backup_repository={"type": "ssh"}).value("backup_packages")
    assert {"sshfs", "openssh-client"} <= set(packages)


def test_who_is_no_longer_told_is_forgotten() -> None:
    found = files()
    assert found[WEBHOOK]["state"] == found[SMTP]["state"] == "absent"
