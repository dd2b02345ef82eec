"""Restores on a host that loses its data, in the order of this file: each leaves a host that works for the next."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import corruption_trials
import pytest
import restore_trials
from remote import Remote

CHECKOUT = Path(__file__).resolve().parents[3]
KEPT = "ls -d /var/lib/postgresql/*/main.before-restore-*"


@pytest.fixture(scope="module")
def remote(host: Any) -> Remote:
    found = Remote(host.backend.get_hostname())
    found.must("mkdir -p /srv/shop/shared; while systemctl is-active --quiet ringstand-backup; do sleep 1; done")
    corruption_trials.prepare(found)
    found.sql("DROP TABLE IF EXISTS marks; CREATE TABLE marks (name text, at timestamptz DEFAULT clock_timestamp())")
    return found


def mark(remote: Remote, name: str) -> str:
    """Commit a row of this name; returns a moment after it, with room on both sides."""
    remote.sql(f"INSERT INTO marks VALUES ('{name}')")
    time.sleep(0.3)
    moment = remote.sql("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    time.sleep(0.3)
    return moment


def marks(remote: Remote) -> list[str]:
    return remote.sql("SELECT name FROM marks ORDER BY at").split()


def left(remote: Remote) -> list[str]:
    """What is there of a scratch cluster and of a database that is being made."""
    databases = "runuser -u postgres -- psql -XAtl -h /run/postgresql"
    return remote.must("ls -d /var/lib/postgresql/*/ringstand-scratch /run/ringstand-scratch 2>/dev/null || true; "
                       f"{databases} | grep ringstand_restoring || true").split()


def state(remote: Remote) -> str:
    """What may not change when a restore is refused."""
    return remote.must("systemctl show --property=MainPID 'postgresql@*-main.service'; ls /var/lib/postgresql/*/; "
                       "stat -c %i /var/lib/postgresql/*/main")


@pytest.mark.parametrize(("arguments", "words"), [
    ("", "it holds data, and that needs the name of this host"),
    ("--confirm other-host", "--confirm is 'other-host', which is another name"),
    ("--confirm $(hostname) --to 2026-11-21T03:00", "it names no zone"),
    ("--confirm $(hostname) --to 2001-01-01T00:00:00Z", "no backup is that old"),
    ("--confirm $(hostname) --to 2099-01-01T00:00:00Z", "in the future"),
    ("--undo --confirm $(hostname)", "none was interrupted"),
])
def test_what_is_refused_changes_nothing(remote: Remote, arguments: str, words: str) -> None:
    before = state(remote)
    done = remote.run(f"ringstand restore {arguments}")
    assert done.code == 1
    assert words in done.output
    assert state(remote) == before


@pytest.fixture
def little_room(remote: Remote) -> Iterator[None]:
    """The cluster on a disk of its own with 100 MB to spare: the one below is shared with the whole machine."""
    place = remote.must("echo /var/lib/postgresql/*/")
    remote.must(f"""set -e
        systemctl stop 'postgresql@*-main.service'
        mkdir /small
        mount -t tmpfs -o size=$(($(du -sm {place} | cut -f1) + 100))m none /small
        cp -a {place}. /small/
        mount --bind /small {place}
        systemctl start 'postgresql@*-main.service' postgresql""")
    yield
    remote.must(f"""set -e
        systemctl stop 'postgresql@*-main.service'
        umount {place}
        rm -r {place}main
        cp -a /small/main {place}
        umount /small
        rmdir /small
        systemctl start 'postgresql@*-main.service' postgresql""")


def test_too_little_room_is_refused(remote: Remote, little_room: None) -> None:
    before = state(remote)
    done = remote.run("ringstand restore --confirm $(hostname)")
    assert done.code == 1
    assert "MiB free, and the restored data needs" in done.output
    assert state(remote) == before


def test_a_moment_between_two_marks(remote: Remote) -> None:
    moment = mark(remote, "before")
    later = mark(remote, "after")
    plan = remote.must(f"ringstand restore --check --confirm $(hostname) --to {moment}")
    assert plan.startswith("would stop postgresql@")
    output = remote.must(f"ringstand restore --confirm $(hostname) --to {moment}")
    assert "restored up to" in output
    assert marks(remote)[-1] == "before"
    old = remote.must(KEPT).splitlines()
    assert old and remote.must(f"cat {old[-1]}/PG_VERSION")
    assert remote.sql("SELECT pg_is_in_recovery()") == "f"
    assert not remote.must("ls /var/lib/postgresql/*/main | grep signal || true")  # it would recover again
    remote.must("systemctl restart 'postgresql@*-main.service'")
    # What came after it is not gone: it is on the timeline that was left.
    remote.must(f"ringstand restore --confirm $(hostname) --to {later}")
    assert marks(remote)[-1] == "after"


def test_the_state_before_a_release_in_place_and_beside(remote: Remote) -> None:
    """A deploy names a moment before its migrations; one database of it comes back without touching the live one."""
    mark(remote, "before-the-release")
    remote.must("mkdir -p /var/lib/ringstand/shop")
    point = remote.sql("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') "
                       "FROM (SELECT pg_create_restore_point('release-r2')) made")
    entry = {"release": "r2", "migration": {"restore_point": {"name": "release-r2", "at": point}}}
    remote.put("/var/lib/ringstand/shop/ledger.jsonl", json.dumps(entry))
    in_shop = "runuser -u postgres -- psql -XAtqw -h /run/postgresql -v ON_ERROR_STOP=1 -d"
    remote.must(f"{in_shop} shop -c 'DELETE FROM ballast WHERE n > 10' -c 'CREATE TABLE migrated (i int)'")
    mark(remote, "after-the-release")
    unknown = remote.run("ringstand restore --confirm $(hostname) --before-release r9")
    assert unknown.code == 1 and f"There are: shop/r2 ({point})" in unknown.output
    listed = remote.json("ringstand --json restore --list")
    assert listed["points"] == [{"app": "shop", "release": "r2", "time": point, "name": "release-r2"}]
    assert "shop" in {dump["database"] for dump in listed["dumps"]} and listed["files"]
    assert listed["times"]["from"] < point

    foreseen = remote.must("ringstand restore --database shop --before-release r2 --check")
    assert foreseen.startswith("would load shop from the backup") and "scratch cluster" in foreseen
    said = remote.must("ringstand restore --database shop --before-release r2 --as then 2>&1")
    assert "nothing else was changed" in said and "dropdb then" in said
    remote.must("ringstand restore --database shop --to latest --as now --table ballast")
    remote.must("ringstand restore --database shop")
    count = "-c 'SELECT count(*) FROM ballast'"
    day = remote.must("date -u +%Y%m%d")
    assert [remote.must(f"{in_shop} {name} {count}") for name in ("shop", "then", "now", f"shop_restored_{day}")] == [
        "10", "50000", "10", "50000"]
    assert remote.run("ringstand restore --database shop --as now").output.count("it exists") == 1
    assert left(remote) == []
    for name in ("then", "now", f"shop_restored_{day}"):
        remote.must(f"runuser -u postgres -- dropdb {name}")

    assert "restored up to" in remote.must("ringstand restore --confirm $(hostname) --before-release shop/r2")
    assert marks(remote)[-1] == "before-the-release"
    gone = remote.must(f"{in_shop} shop {count} -c \"SELECT to_regclass('migrated') IS NULL\"")
    assert gone.split() == ["50000", "t"]
    remote.must(f"rm -r $({KEPT})")


def test_a_side_database_whose_making_is_killed_leaves_nothing_for_long(remote: Remote) -> None:
    killed = ("(ringstand restore --database shop --to latest --as then & wait) 2>&1 | while read -r line; do "
              "echo \"$line\"; "
              "case $line in *'replaying WAL'*) systemctl kill --signal=SIGKILL ringstand-restore;; esac; done")
    assert "ended from outside" in remote.run(killed).output
    remote.must("ringstand restore --database shop --to latest --as then; runuser -u postgres -- dropdb then")
    assert left(remote) == []


def test_archiving_goes_on_and_the_new_timeline_restores(remote: Remote) -> None:
    mark(remote, "on-the-new-timeline")
    remote.must("runuser -u postgres -- pgbackrest --stanza=main check")
    remote.must(f"rm -rf $({KEPT})\n{restore_trials.destroy_script()}")
    remote.must("ringstand restore")  # there is nothing to confirm: no data is left
    assert marks(remote)[-1] == "on-the-new-timeline"


@pytest.mark.parametrize("crash", sorted(restore_trials.CRASHES))
def test_a_crash_is_one(remote: Remote, crash: str) -> None:
    """systemd does not start the server behind the test's back, and what was committed is recovered."""
    mark(remote, crash)
    remote.must(restore_trials.CRASHES[crash])
    time.sleep(3)
    assert remote.run("pgrep -u postgres -x postgres").code == 1
    assert remote.must("systemctl is-active 'postgresql@*-main.service' || true") in ("", "inactive", "failed")
    found = remote.must("/usr/lib/postgresql/*/bin/pg_controldata /var/lib/postgresql/*/main | grep 'cluster state'")
    assert found.endswith("in production")  # an orderly stop leaves "shut down"
    remote.must("systemctl start $(pg_lsclusters -h | awk '{print \"postgresql@\" $1 \"-main.service\"}')")
    assert marks(remote)[-1] == crash


def test_a_restore_that_is_killed_is_undone_or_repeated(remote: Remote) -> None:
    mark(remote, "before-the-kill")
    killed = ("(ringstand restore --confirm $(hostname) & wait) 2>&1 | while read -r line; do echo \"$line\"; "
              "case $line in *'restoring the backup'*) systemctl kill --signal=SIGKILL ringstand-restore;; esac; done")
    for repair in ("--undo", "--to latest"):
        assert "ended from outside" in remote.run(killed).output
        assert remote.run("runuser -u postgres -- psql -h /run/postgresql -c 'SELECT 1'").code != 0
        remote.must(f"ringstand restore --confirm $(hostname) {repair}")
        assert marks(remote)[-1] == "before-the-kill"
    remote.must(f"rm -r $({KEPT})")


def test_wal_that_cannot_be_read_is_not_the_end_of_the_wal(remote: Remote) -> None:
    mark(remote, "before-the-damage")
    remote.must("runuser -u postgres -- pgbackrest --stanza=main check")
    segment = remote.must(f"find {restore_trials.REPOSITORY}/archive -type f -name '*-*.*' -printf '%T@ %p\\n' "
                          "| sort -n | tail -n 1 | cut -d' ' -f2")
    mark(remote, "after-the-damage")
    remote.must("runuser -u postgres -- pgbackrest --stanza=main check")
    original = remote.must(f"cp -a {segment} /root/segment; stat -c %s {segment}")
    remote.must(f"dd if=/dev/urandom of={segment} bs=1 seek={int(original) // 2} count=9 conv=notrunc status=none")
    done = remote.run("ringstand restore --confirm $(hostname)")
    remote.must(f"cp -a /root/segment {segment}")
    assert done.code == 1
    assert segment.rsplit("/", 1)[1][:24] in done.output
    assert "The old data directory is in its place again, and the cluster runs on it" in done.output
    assert marks(remote)[-1] == "after-the-damage"


def test_only_one_at_a_time(remote: Remote) -> None:
    done = remote.run("flock /run/lock/ringstand-backup.lock ringstand restore --confirm $(hostname)")
    assert done.code == 1
    assert "another one is under way" in done.output


def test_the_playbook(remote: Remote, tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.json"
    inventory.write_text(subprocess.run([CHECKOUT / "tests/hosts/testhost", "inventory", remote.name], text=True,
                                        stdout=subprocess.PIPE, check=True).stdout, encoding="utf-8")
    moment = mark(remote, "for-the-playbook")
    mark(remote, "too-late")

    def play(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["ansible-playbook", "-i", str(inventory), str(CHECKOUT / "playbooks/restore.yml"), *arguments]
        return subprocess.run(command, cwd=CHECKOUT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False)

    refused = play()
    assert refused.returncode and "that needs the name of this host" in refused.stdout
    two = play("-i", "another-host,", "-e", f"confirm={remote.name}")
    assert two.returncode and "are 2 hosts" in two.stdout
    before = state(remote)
    foreseen = play("--check", "-e", f"confirm={remote.name}", "-e", f"to={moment}")
    assert foreseen.returncode == 0, foreseen.stdout
    assert "stop postgresql@" in foreseen.stdout
    assert state(remote) == before
    done = play("-e", f"confirm={remote.name}", "-e", f"to={moment}")
    assert done.returncode == 0, done.stdout
    assert "recovered_to" in done.stdout
    assert marks(remote)[-1] == "for-the-playbook"


def test_files_come_back_beside_the_live_ones(remote: Remote) -> None:
    remote.must("echo first > /etc/ringstand/proof; ringstand backup; echo second > /etc/ringstand/proof")
    remote.must("ringstand restore --files host --into /root/restored --path /etc/ringstand")
    assert remote.must("cat /root/restored/etc/ringstand/proof /etc/ringstand/proof").split() == ["first", "second"]
    for arguments, words in (("--files host --into /etc/ringstand", "it exists"), ("--into /root/x", "--files"),
                             ("--files host --path /root", "the files of host are below"),
                             ("--files host --in-place --path /etc/ringstand/proof", "needs the name of this host"),
                             ("--files host --in-place --path /etc/ringstand --confirm $(hostname)", "Name single"),
                             ("--files none --into /root/none", "there are only host, shop"),
                             ("--files host --into new", "from / on"),
                             ("--files host --into /root/x --to 2001-01-01T00:00:00Z", "the oldest snapshot is of")):
        done = remote.run(f"ringstand restore {arguments}")
        assert done.code == 1 and words in done.output, done.output
    remote.must("ringstand restore --files host --in-place --path /etc/ringstand/proof --confirm $(hostname)")
    assert remote.must("cat /etc/ringstand/proof /etc/ringstand/proof.before-restore-*").split() == ["first", "second"]
    remote.must("rm -r /root/restored /etc/ringstand/proof*")


def test_the_files_of_an_app_come_back_in_place(remote: Remote) -> None:
    remote.must("echo lost > /srv/shop/shared/lost; ringstand backup; cd /srv/shop/shared; rm lost; echo new > new")
    about = "stat -c '%i %U %a' /srv/shop/shared"
    before = remote.must(about)
    remote.must("ringstand restore --files shop --in-place --confirm $(hostname)")
    assert remote.must(about) == before  # the sandbox of the app has it mounted, and goes on seeing it
    assert remote.must("cd /srv/shop; cat shared/lost shared.before-restore-*/new; ls shared").split() == [
        "lost", "new", "lost"]
    beside = remote.must("ringstand restore --files shop --path /srv/shop/shared/lost")
    assert "as of" in beside and remote.must("cat /srv/shop/restored-*/srv/shop/shared/lost") == "lost"
    remote.must("rm -r /srv/shop/shared.before-restore-* /srv/shop/restored-*")


def test_a_drill_restores_dumps_of_what_is_gone_or_elsewhere(remote: Remote) -> None:
    """One has a role that no longer exists; the other is of another host, in a locale that this one lacks."""
    remote.sql("CREATE ROLE gone")
    remote.sql("CREATE DATABASE gone OWNER gone")
    remote.must("""in_gone='runuser -u postgres -- psql -XAtqw -h /run/postgresql -v ON_ERROR_STOP=1 -d gone'
        $in_gone -c 'CREATE EXTENSION citext' -c 'CREATE TABLE t (i citext)' -c 'ALTER TABLE t OWNER TO gone' \\
          -c "INSERT INTO t VALUES ('x')"
        ringstand backup
        cd /var/backups/ringstand/dumps
        cp -a gone away@elsewhere
        sed -i 's/C\\.UTF-8/x_XX-89/g; s/en_US\\.UTF-8/xx_XX\\.UTF-8/g' away@elsewhere/*.dump
        grep -q xx*_XX away@elsewhere/*.dump
        (cd away@elsewhere; for each in *.dump; do sha256sum $each > $each.sha256; done)
        runuser -u postgres -- dropdb -h /run/postgresql gone""")
    remote.sql("DROP ROLE gone")
    databases = remote.must("ls /var/backups/ringstand/dumps").split()
    said = [remote.must("ringstand --json drill") for _turn in databases]
    found = {one["dumps"][0].split("/")[-2]: one for one in (json.loads(text.splitlines()[-1]) for text in said)}
    assert sorted(found) == sorted(databases)  # each had its turn
    for name in ("gone", "away@elsewhere"):
        assert (found[name]["drill"], found[name]["dump_tables"], found[name].get("only_read")) == ("ok", 1, None)
    remote.must("rm -r /var/backups/ringstand/dumps/gone /var/backups/ringstand/dumps/away@elsewhere")


def test_ten_corruptions_are_reported(remote: Remote) -> None:
    remote.must("ringstand backup --full")
    trials = corruption_trials.run(remote, 10, random.Random(), print)
    assert not [trial for trial in trials if not trial.passed]


def test_every_commit_older_than_a_minute_comes_back(remote: Remote) -> None:
    remote.must("ringstand backup")
    trials = restore_trials.run(remote, 3, random.Random(), print)
    assert len(trials) == 3
    assert not [trial for trial in trials if not trial.passed]
