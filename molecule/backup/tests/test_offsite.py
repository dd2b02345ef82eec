"""The second place of the backups: everything is there within its time, and its absence stops nothing."""

from __future__ import annotations

import json

import pytest
from backup_host import DIR, backups, sql, wait_until
from once import once_per_host

OFFSITE = "/etc/ringstand/offsite"


def switch(host):
    """Write something and end its segment; returns that."""
    segment = sql(host, "INSERT INTO visits VALUES (now()) RETURNING pg_walfile_name(pg_current_wal_insert_lsn())")
    sql(host, "SELECT pg_switch_wal()")
    return segment


def archived(host, segment):
    return host.run("find %s/pgbackrest/archive -name %s | grep -q .", DIR, f"{segment}-*").rc == 0


@pytest.fixture
def once(host):
    once_per_host(host, "offsite")


@pytest.fixture
def away(host):
    """It cannot be used: the directory is gone, or the server shows another key than it should."""
    kind = json.loads(host.file("/etc/ringstand/backup/settings.json").content_string)["offsite"]["type"]
    there = "/srv/elsewhere" if kind == "path" else f"{OFFSITE}/known_hosts"
    another_key = f"sed 's/ AAAA.*/ AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAA/' {there}.good > {there}"
    other = "true" if kind == "path" else another_key
    host.check_output(f"mv {there} {there}.good; {other}")
    yield lambda: host.check_output(f"rm -rf {there}; mv {there}.good {there}")
    host.run(f"test ! -e {there}.good || (rm -rf {there}; mv {there}.good {there})")


def test_everything_is_there_too(host):
    found = backups(host, "--offsite")
    assert (found["state"], found["problems"]) == ("ok", [])
    assert found["cluster"][0]["kind"] == "full"
    assert {item["name"] for item in found["files"]} == {"host", "shop", "dumps"}
    assert found["offsite"]["good"] and found["offsite"]["verified"]


def test_keys_are_closed(host):
    modes = {"pgbackrest.conf": (0o640, "root", "postgres"), "postgres.key": (0o600, "postgres", "postgres"),
             "root.key": (0o600, "root", "root"), "known_hosts": (0o644, "root", "root")}
    for name in host.check_output("ls %s", OFFSITE).split():
        file = host.file(f"{OFFSITE}/{name}")
        if name in modes:
            assert (name, file.mode, file.user, file.group) == (name, *modes[name])
    assert host.file(f"{OFFSITE}/pgbackrest.conf").exists
    # The pattern comes from a file: sudo writes arguments to the journal.
    host.check_output("sed -n 2p %s/root.key 2>/dev/null > /run/pattern || true", OFFSITE)
    if host.file("/run/pattern").size:
        assert host.run("journalctl --no-pager -q | grep -cFf /run/pattern").stdout.strip() == "0"


def test_wal_is_there_within_seconds(host):
    sql(host, "CREATE TABLE IF NOT EXISTS visits (at timestamptz)")
    segment = switch(host)
    wait_until(lambda: (backups(host)["offsite"]["newest"] or "")[8:] >= segment[8:], 30, f"{segment} elsewhere")


def test_its_absence_stops_nothing_and_leaves_no_gap(once, host, away):
    failures = sql(host, "SELECT failed_count FROM pg_stat_archiver")
    segments = [switch(host) for _number in range(3)]
    wait_until(lambda: all(archived(host, segment) for segment in segments), 30, "the segments in the first repository")
    failed = host.run("ringstand backup --verify-only")
    assert failed.rc == 1
    status = backups(host)
    assert {name for name, part in status["parts"].items() if part["result"] == "failed"} == {"offsite"}
    assert sql(host, "SELECT failed_count FROM pg_stat_archiver") == failures
    assert "NOT GOOD: offsite" in host.run("ringstand backups").stdout
    away()
    host.check_output("systemctl restart ringstand-offsite")  # which else tries again in half a minute
    wait_until(lambda: backups(host)["offsite"]["waiting"] == 0
               and backups(host)["offsite"]["newest"][8:] >= segments[-1][8:], 60, "what was missed")
    host.check_output("ringstand backup --verify-only")
    assert host.run("ringstand backups").rc == 0
