"""The second place of the backups: everything is there within its time, and its absence stops nothing."""

from __future__ import annotations

import json

import pytest
from backup_host import archived, backups, sql, switch, wait_until
from once import once_per_host

OFFSITE = "/etc/ringstand/offsite"
MOUNT = "ringstand-offsite-mount"


@pytest.fixture
def once(host):
    once_per_host(host, "offsite")


@pytest.fixture
def kind(host):
    """How the second place is reached."""
    return json.loads(host.file("/etc/ringstand/backup/settings.json").content_string)["offsite"]["type"]


@pytest.fixture
def once_by_ssh(once, kind):
    """The others are no different, and what they say is seen when a host is lost."""
    if kind != "ssh":
        pytest.skip("is not for this kind")


@pytest.fixture
def once_by_size(once, host, kind):
    """Where its files are seen from this host."""
    places = {"path": f"/srv/elsewhere/{host.check_output('hostname')}",
              "ssh": f"/run/ringstand-offsite/{host.check_output('hostname')}"}
    if kind not in places:
        pytest.skip("is not for this kind")
    return places[kind]


def status_problems(host):
    return json.loads(host.file("/var/lib/ringstand/backup/status.json").content_string)["problems"]


@pytest.fixture
def away(host, kind):
    """It cannot be used: the directory is gone, or the server shows another key than it should."""
    there = "/srv/elsewhere" if kind == "path" else f"{OFFSITE}/known_hosts"
    another_key = f"sed 's/ AAAA.*/ AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAA/' {there}.good > {there}"
    other = "true" if kind == "path" else another_key
    again = f"systemctl restart {MOUNT}" if kind == "ssh" else "true"
    host.check_output(f"mv {there} {there}.good; {other}; {again}")
    yield lambda: host.check_output(f"rm -rf {there}; mv {there}.good {there}; {again}")
    host.run(f"test ! -e {there}.good || (rm -rf {there}; mv {there}.good {there}; {again})")


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
    segment = switch(host)
    wait_until(lambda: (backups(host)["offsite"]["newest"] or "")[8:] >= segment[8:], 30, f"{segment} elsewhere")


def test_its_absence_stops_nothing_and_leaves_no_gap(once, host, kind, away):
    failures = sql(host, "SELECT failed_count FROM pg_stat_archiver")
    segments = [switch(host) for _number in range(3)]
    wait_until(lambda: all(archived(host, segment) for segment in segments), 30, "the segments in the first repository")
    failed = host.run("ringstand backup --verify-only")
    assert failed.rc == 1
    status = backups(host)
    assert {name for name, part in status["parts"].items() if part["result"] == "failed"} == {"offsite"}
    assert sql(host, "SELECT failed_count FROM pg_stat_archiver") == failures
    told = host.run("ringstand backups").stdout
    assert "NOT GOOD: offsite" in told and (kind != "ssh" or "Host key verification failed" in told)
    away()
    host.check_output("systemctl restart ringstand-offsite")  # which else tries again in half a minute
    wait_until(lambda: backups(host)["offsite"]["waiting"] == 0
               and backups(host)["offsite"]["newest"][8:] >= segments[-1][8:], 60, "what was missed")
    host.check_output("ringstand backup --verify-only")
    assert host.run("ringstand backups").rc == 0


def test_another_host_is_mounted_for_postgres_alone(once_by_ssh, host):
    assert host.service(MOUNT).is_enabled and host.service(MOUNT).is_running
    assert host.run("runuser -u postgres -- ls /run/ringstand-offsite/%s", host.check_output("hostname")).rc == 0
    assert host.run("runuser -u nobody -- ls /run/ringstand-offsite").rc != 0
    host.check_output("systemctl stop %s", MOUNT)
    try:
        assert host.run("runuser -u postgres -- touch /run/ringstand-offsite/x").rc != 0, "it would be on this host"
        assert "has not mounted it" in host.run("ringstand backups --offsite").stdout
    finally:
        host.check_output("systemctl start %s", MOUNT)


def test_a_drill_restores_from_there(once_by_ssh, host):
    done = host.run("ringstand --json drill --offsite")
    found = json.loads(done.stdout)
    assert (done.rc, found["problems"], found["from"]) == (0, [], "offsite")


def test_what_is_damaged_there_is_found_although_its_size_is_as_before(once_by_size, host):
    """Of a manifest, which pgBackRest's verify passes over."""
    manifest = host.check_output("ls %s/pgbackrest/backup/main/*F/backup.manifest | head -n 1", once_by_size)
    host.check_output("cp -a %s /root/manifest && printf x | dd of=%s bs=1 seek=99 conv=notrunc", manifest, manifest)
    try:
        assert host.run("ringstand backup --verify-only").rc == 3
        found = [item["file"] for item in status_problems(host)]
        assert found == [manifest.partition("/pgbackrest/")[2]]
    finally:
        host.check_output("cp -a /root/manifest %s", manifest)
    host.check_output("ringstand backup --verify-only")


def test_what_was_lost_comes_back_from_there(once, host):
    """A database beside, files, and the whole cluster, which is backed up on the host and there afterwards."""
    listed = json.loads(host.check_output("ringstand --json restore --list --offsite"))
    assert (listed["problems"], listed["dumps"]) == ([], [])
    assert {item["name"] for item in listed["files"]} == {"host", "shop", "dumps"}
    before = sql(host, "SELECT count(*) FROM customers")
    sql(host, "CREATE TABLE since (at timestamptz)")
    host.check_output("ringstand restore --offsite --database shop --to latest --as there")
    assert sql(host, "SELECT count(*) FROM customers", "there") == before
    assert sql(host, "SELECT to_regclass('since') IS NOT NULL", "there") == "t"
    host.check_output("runuser -u postgres -- dropdb there")
    host.check_output("ringstand restore --offsite --files shop --into /root/there")
    assert host.file("/root/there/srv/shop/shared/upload.txt").content_string == "canary-upload\n"
    sql(host, "DELETE FROM customers")
    moment = sql(host, "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    sql(host, "DROP TABLE since")
    host.check_output("ringstand restore --offsite --confirm $(hostname) --to %s", moment)
    assert sql(host, "SELECT count(*) FROM customers, since") == "0"
    sql(host, f"INSERT INTO customers SELECT g, 'canary-row-' || g FROM generate_series(1, {before}) AS g")
    host.check_output("rm -r /root/there /var/lib/postgresql/*/main.before-restore-*")
    host.check_output("ringstand backup")
    assert backups(host, "--offsite")["problems"] == []


def test_another_machine_is_kept_from_writing_there(once_by_ssh, host):
    """Such as one that was lost and is back, beside the one that took its place."""
    host.check_output("tr 0-9a-f 1-9a-f0 < /etc/machine-id > /run/another && mount --bind /run/another /etc/machine-id")
    try:
        assert host.run("ringstand backup --verify-only").rc == 1
        assert "it belongs to the host" in host.run("ringstand backups").stdout
        host.check_output("systemctl restart ringstand-offsite")
        wait_until(lambda: "belongs to" in (backups(host)["offsite"]["reason"] or ""), 30, "no shipping")
    finally:
        host.check_output("umount /etc/machine-id")
        host.check_output("systemctl restart ringstand-offsite")
    host.check_output("ringstand backup --verify-only")
