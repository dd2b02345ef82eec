"""What the role's user has at the end: encrypted backups that cron makes and that say what is wrong with them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from backup_host import DIR, archived, backups, sql, switch, wait_until
from once import once_per_host

SETTINGS = "/etc/ringstand/backup/settings.json"
STATUS = "/var/lib/ringstand/backup/status.json"
CRON = "/etc/cron.d/ringstand-backup"
METRICS = "/var/lib/prometheus/node-exporter/ringstand_backup.prom"
# What cron gives to a command, and nothing else.
CRON_ENVIRONMENT = "env -i SHELL=/bin/sh HOME=/root LOGNAME=root PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


def status(host):
    return json.loads(host.file(STATUS).content_string)


def cron_line(host):
    lines = host.file(CRON).content_string.splitlines()
    return next(line for line in lines if "ringstand backup" in line and not line.startswith("#"))


@pytest.fixture(scope="module", autouse=True)
def cron_waits(host):
    """Its hourly run would hold the lock just when a test wants it; the last tests start cron again."""
    assert host.service("cron").is_running
    host.check_output("systemctl stop cron")
    yield
    host.check_output("systemctl start cron")


@pytest.fixture(scope="module", autouse=True)
def node_exporter(host):
    """As its package makes it, so that metrics are written."""
    host.check_output("mkdir -p /var/lib/prometheus/node-exporter")


@pytest.fixture(scope="module", autouse=True)
def here_only(host, first_backup):
    """Without the second place, which has tests of its own and takes its time in every backup."""
    settings = host.file(SETTINGS).content_string
    if not json.loads(settings)["offsite"]:
        yield
        return
    host.check_output("printf %%s %s > %s", json.dumps({**json.loads(settings), "offsite": None}), SETTINGS)
    host.check_output("systemctl stop ringstand-offsite")
    yield
    host.check_output("printf %%s %s > %s", settings, SETTINGS)
    host.check_output("systemctl start ringstand-offsite")


@pytest.fixture(scope="module")
def once(host):
    """What a restart of the host changes nothing of."""
    once_per_host(host, "backup")


def test_the_first_backup_is_complete_and_verified(host):
    state = backups(host)
    assert (state["state"], state["problems"]) == ("ok", [])
    assert [item["kind"] for item in state["cluster"]][0] == "full"
    assert {item["database"] for item in state["dumps"]} == {"shop"}
    assert {item["name"] for item in state["files"]} == {"host", "shop"}
    parts = {"archive", "space", "postgresql", "dumps", "files", "verify"}
    assert set(status(host)["parts"]) - {"drill", "offsite"} == parts
    assert status(host)["parts"]["verify"]["pgbackrest_verify"] == "done"


def test_repositories_are_encrypted_and_closed(host):
    assert host.run("grep -rlaE 'canary-(row|upload)' %s/pgbackrest %s/restic", DIR, DIR).rc == 1
    dump = backups(host)["dumps"][-1]["path"]
    assert "canary-row-1000" in host.check_output("pg_restore --file=- %s", dump)
    restic = f"restic --no-cache --no-lock -r {DIR}/restic --password-file /etc/ringstand/backup/key"
    assert host.check_output(f"{restic} dump --tag shop latest /srv/shop/shared/upload.txt") == "canary-upload"
    for path, mode, group in (
        (f"{DIR}/pgbackrest", 0o750, "postgres"), (f"{DIR}/dumps", 0o700, "root"), (f"{DIR}/globals", 0o700, "root"),
        (f"{DIR}/restic", 0o700, "root"), ("/etc/ringstand/backup/key", 0o600, "root"), (dump, 0o600, "root"),
        ("/etc/pgbackrest/conf.d/ringstand-key.conf", 0o640, "postgres"), (f"{dump}.sha256", 0o600, "root"),
    ):
        file = host.file(path)
        assert (path, file.mode, file.group) == (path, mode, group)
    # A file of root's in the repository would stop archiving.
    assert host.check_output("find %s/pgbackrest ! -user postgres", DIR) == ""


def test_the_key_is_on_the_controller_and_nowhere_else(host):
    escrow = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "inventory/backup-keys")
    name = host.check_output("hostname")
    key = (escrow / f"{name}.key.txt").read_text()
    assert key == host.file("/etc/ringstand/backup/key").content_string
    assert (escrow / f"{name}.key.txt").stat().st_mode & 0o777 == 0o600
    assert escrow.stat().st_mode & 0o777 == 0o700
    assert (escrow / ".gitignore").read_text() == "*\n"
    # The pattern comes from the file: sudo writes arguments to the journal.
    assert host.run("journalctl --no-pager -q | grep -cFf /etc/ringstand/backup/key").stdout.strip() == "0"


def test_roles_and_their_passwords_are_kept_too(host):
    newest = host.check_output("ls %s/globals", DIR).split()[-2]
    assert "CREATE ROLE shop" in host.file(f"{DIR}/globals/{newest}").content_string


def test_wal_is_archived_within_seconds(host):
    segment = switch(host)
    wait_until(lambda: archived(host, segment), 30, f"{segment} in the repository")
    assert sql(host, "SHOW archive_timeout") == "30s"


def test_dumps_can_be_restored(host):
    for item in backups(host)["dumps"]:
        assert "TABLE DATA public customers" in host.check_output("pg_restore --list %s", item["path"])
        folder, name = os.path.split(item["path"])
        host.check_output("cd %s && sha256sum -c %s.sha256", folder, name)


def test_the_line_of_cron_runs_as_cron_runs_it(host):
    line = cron_line(host)
    minute, *rest, user, command = line.split(None, 6)
    assert 0 <= int(minute) < 60 and rest == ["*", "*", "*", "*"] and user == "root"
    assert host.file(CRON).mode == 0o644
    before = status(host)["parts"]
    host.check_output(f"cd / && {CRON_ENVIRONMENT} /bin/sh -c %s", command)
    after = status(host)["parts"]
    assert after["archive"]["finished"] > before["archive"]["finished"]
    assert after["postgresql"] == before["postgresql"], "nothing was due"
    wait_until(lambda: "archive" in host.check_output("journalctl -q --no-pager -t ringstand-backup"), 10, "its output")


def test_another_one_at_the_same_time_is_refused_by_name(once, host):
    host.check_output("systemd-run --quiet --collect --unit=backup-one ringstand backup")
    wait_until(lambda: host.run("flock -n /run/lock/ringstand-backup.lock true").rc == 1, 20, "the first one's lock")
    second = host.run("ringstand backup")
    assert second.rc == 1
    assert "another one is under way (backup, process " in second.stderr
    assert "under way: backup, process" in host.run("ringstand backups").stdout
    wait_until(lambda: host.run("systemctl is-active backup-one").rc != 0, 120, "end of the first one")
    assert host.run("ringstand backups").rc == 0
    assert backups(host)["cluster"][-1]["kind"] == "diff"


def test_a_part_that_fails_is_reported_and_hides_no_other(once, host):
    settings = host.file(SETTINGS).content_string
    changed = {**json.loads(settings), "databases": ["missing", "shop"]}
    before = status(host)["parts"]
    host.check_output("printf %%s %s > %s", json.dumps(changed), SETTINGS)
    try:
        failed = host.run("ringstand backup")
    finally:
        host.check_output("printf %%s %s > %s", settings, SETTINGS)
    assert failed.rc == 1
    assert 'database "missing" does not exist' in failed.stdout
    now = status(host)
    assert now["result"] == "failed"
    assert [(item["part"], item["file"]) for item in now["problems"]] == [("dumps", "missing")]
    assert [name for name, part in now["parts"].items() if part["result"] != "ok"] == ["dumps"]
    assert now["parts"]["dumps"]["paths"]["shop"] != before["dumps"]["paths"]["shop"]
    told = host.run("ringstand backups")
    assert told.rc == 3
    assert "NOT GOOD: dumps: missing" in told.stdout
    host.check_output("ringstand backup --if-due")  # what failed is due again
    assert host.run("ringstand backups").rc == 0


def test_a_disk_that_is_too_full_is_said_before_it_is_filled(once, host):
    host.check_output("mkdir -p /srv/small && (mountpoint -q /srv/small || mount -t tmpfs -o size=64m none /srv/small)")
    settings = host.file(SETTINGS).content_string
    host.check_output("printf %%s %s > %s", json.dumps({**json.loads(settings), "dir": "/srv/small"}), SETTINGS)
    try:
        failed = host.run("ringstand backup")
    finally:
        host.check_output("printf %%s %s > %s", settings, SETTINGS)
        host.check_output("umount /srv/small")
    assert failed.rc == 1
    assert "/srv/small has 6" in failed.stdout and "MB are kept free. Make room" in failed.stdout
    host.check_output("ringstand backup")


def test_a_full_repository_stops_archiving_alone(once, host):
    """For some seconds here, for ten minutes under load in bin/soak full."""
    if host.check_output("hostname") != "backup-13":
        pytest.skip("is the same on all")
    repository, failed = f"{DIR}/pgbackrest", "SELECT failed_count FROM pg_stat_archiver"
    before = int(sql(host, failed))
    host.check_output(
        f"mkdir -p /srv/full && size=$(($(du -sm {repository} | cut -f1) + 8))m"
        f" && mount -t tmpfs -o size=$size,mode=0750 none /srv/full"
        f" && cp -a {repository}/. /srv/full/ && chown postgres: /srv/full && mount --bind /srv/full {repository}"
    )
    host.run("dd if=/dev/zero of=/srv/full/ballast bs=64k")
    try:
        segments, until = [], time.monotonic() + 10
        while time.monotonic() < until:
            segments.append(switch(host))  # each is a commit that succeeds
            time.sleep(1)
        wait_until(lambda: int(sql(host, failed)) > before, 20, "a failure")
        told = host.run("PGBACKREST_ARCHIVE_TIMEOUT=2 ringstand backup --if-due")
        assert told.rc == 1 and "WAL is not archived" in told.stdout
        assert "NOT GOOD: archive" in host.run("ringstand backups").stdout
        host.check_output("rm /srv/full/ballast")
        segments.append(switch(host))
        wait_until(lambda: archived(host, segments[-1]), 30, "archiving again")
    finally:
        host.run("rm -f /srv/full/ballast")
        host.check_output(f"umount {repository} && cp -a /srv/full/. {repository}/ && umount /srv/full")
    assert all(archived(host, segment) for segment in segments)
    host.run("ringstand backup --if-due")  # which tells of failures since the last one
    host.check_output("ringstand backup --if-due")
    assert host.run("ringstand backups").rc == 0, "no gap"


def drill(host):
    """The exit status of a drill, and its problems as pairs of what they are of and the reason."""
    done = host.run("ringstand --json drill")
    return done.rc, [(item["file"], item["reason"]) for item in json.loads(done.stdout)["problems"]]


def test_a_drill_without_its_wal_names_the_segment(once, host):
    sql(host, "SELECT pg_switch_wal()")
    host.check_output("pgbackrest_wal() { find %s/pgbackrest/archive -name '0000*-*' -newer %s; }; sleep 1; "
                      "runuser -u postgres -- pgbackrest --stanza=main check; "
                      "pgbackrest_wal | sort | head -1 > /root/wal; mv $(cat /root/wal) /root/wal.moved", DIR, STATUS)
    path = host.check_output("cat /root/wal")
    try:
        code, problems = drill(host)
    finally:
        host.check_output("mv /root/wal.moved %s", path)
    assert code == 3
    assert os.path.basename(path)[:24] in [of for of, _reason in problems]


def test_a_drill_finds_what_no_checksum_tells(once, host):
    """A row that is in no index."""
    sql(host, "CREATE TABLE broken (n int PRIMARY KEY); INSERT INTO broken VALUES (1)")
    sql(host, "UPDATE pg_index SET indisready = false WHERE indexrelid = 'broken_pkey'::regclass")
    sql(host, "INSERT INTO broken VALUES (2)")
    sql(host, "UPDATE pg_index SET indisready = true WHERE indexrelid = 'broken_pkey'::regclass")
    try:
        code, problems = drill(host)
    finally:
        sql(host, "DROP TABLE broken")
    assert code == 3
    assert {of for of, _reason in problems} == {"pg_amcheck"}
    assert any('"broken_pkey"' in reason for _of, reason in problems)
    told = host.run("ringstand backups")
    assert told.rc == 3 and "NOT GOOD: drill: " in told.stdout and "FAILED" in told.stdout
    assert 'success{part="drill"} 0' in host.file(METRICS).content_string


def test_a_drill_proves_the_backup_and_leaves_nothing(once, host):
    """Nor what one has left that was killed."""
    host.check_output("systemd-run --quiet --collect --unit=ringstand-drill ringstand drill --here")
    wait_until(lambda: host.run("systemctl is-active ringstand-scratch").rc == 0, 60, "a scratch cluster")
    host.check_output("systemctl kill --kill-whom=all --signal=SIGKILL ringstand-drill")
    host.check_output("ls -d /var/lib/postgresql/*/ringstand-scratch")
    assert drill(host) == (0, [])
    part = status(host)["parts"]["drill"]
    assert part["result"] == "ok" and part["label"] == backups(host)["cluster"][-1]["label"]
    assert {"restore", "replay", "compare", "amcheck", "dump", "files"} <= set(part["phases"])
    assert part["rows_of_our_own"] == 2
    assert host.run("ls -d /var/lib/postgresql/*/ringstand-scratch /run/ringstand-scratch %s/drill", DIR).stdout == ""
    assert "could be restored and is sound" in host.check_output("ringstand backups")
    # The live cluster knows nothing of it, and still archives.
    assert sql(host, "SELECT pg_is_in_recovery(), current_setting('archive_mode')") == "f|on"


def test_cron_takes_the_file(host):
    host.check_output("systemctl start cron")
    said = host.run("journalctl -q --no-pager -b -u cron").stdout
    assert said and "ERROR" not in said and "WRONG" not in said


def test_cron_itself_runs_it(once, host):
    """The same command in the same file format, but every minute. Last, because its lock would refuse the others."""
    command = cron_line(host).split(None, 5)[5].replace("-t ringstand-backup", "-t ringstand-every-minute")
    head = [line for line in host.file(CRON).content_string.splitlines() if "=" in line.split(" ")[0]]
    host.check_output("printf %%s %s > /etc/cron.d/every-minute", "\n".join([*head, f"* * * * * {command}", ""]))
    host.check_output("systemctl start cron")
    try:
        log = "journalctl -q --no-pager -b -t ringstand-every-minute"
        wait_until(lambda: "archive" in host.run(log).stdout, 90, "a line of cron's own run")
    finally:
        host.check_output("rm /etc/cron.d/every-minute")
    said = host.run("journalctl -q --no-pager -b -u cron").stdout
    assert "ERROR" not in said and "WRONG" not in said
