"""A host without PostgreSQL: its files are backed up and verified, and nothing asks for a cluster."""

from __future__ import annotations

import json
import time


def test_files_are_backed_up_and_verified(host):
    deadline = time.monotonic() + 120
    while host.run("systemctl is-active ringstand-backup").rc == 0:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert not host.package("pgbackrest").is_installed
    assert not host.file("/etc/pgbackrest").exists
    found = json.loads(host.check_output("ringstand --json backups"))
    assert (found["state"], found["problems"]) == ("ok", [])
    assert {item["name"] for item in found["files"]} == {"host", "shop"}
    assert set(found["parts"]) == {"space", "files", "verify"}


def test_it_says_that_they_are_here_only(host):
    assert "Backups live on this machine only" in host.check_output("ringstand backups")


def test_files_come_back(host):
    host.check_output("rm -rf /root/restored && ringstand restore --files shop --into /root/restored")
    assert host.file("/root/restored/srv/shop/shared/upload.txt").content_string == "canary-upload\n"
