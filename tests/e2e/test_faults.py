"""Deploys while something around them fails, with visitors on the site: one release serves all the time, what failed is
named, and the next deploy needs no repair."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time

import host as test_hosts
import pytest
from conftest import HOST, NAME
from load import visitors


@pytest.fixture(autouse=True)
def converges(team):
    """After every fault the next deploy is an ordinary one."""
    yield
    team.change(f"after a fault {time.time()}")
    deployed = team.play("deploy.yml", "-e", "app=shop")
    assert deployed.code == 0, deployed.output[-3000:]
    assert team.site.root("ls /srv/shop/releases | wc -l") == team.site.root(
        "ls -d /srv/shop/releases/*/manifest.json | wc -l")


@contextlib.contextmanager
def served_by(site, *releases):
    """Visitors during the block, none of whom sees a failure or another release."""
    with visitors(site.address, NAME) as seen:
        yield
    assert seen.failures == {}
    assert set(seen.releases) <= set(releases)


def wait_until_ready(site, seconds):
    deadline = time.monotonic() + seconds
    while not is_ready(site):
        assert time.monotonic() < deadline, f"not ready within {seconds} s"
        time.sleep(0.2)


def is_ready(site):
    """On a busy machine the first request waits for an app that is still starting, for longer than anybody should."""
    try:
        return site.ask("/health/ready").status == 200
    except TimeoutError:
        return False


def test_the_controller_is_killed_and_the_deploy_goes_on(site, team):
    before = team.status()["release"]
    team.change("the controller dies")
    with visitors(site.address, NAME) as seen:
        process = team.start("deploy.yml", "-e", "app=shop")
        team.wait_for_phase("observe")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        followed = site.root("ringstand follow shop")
    after = team.status()["release"]
    assert after != before
    assert f"({after}) is live" in followed
    assert seen.failures == {}


def test_a_lock_in_the_database_is_waited_for_and_then_named(site, team):
    before, head = team.status()["release"], team.head()
    revision = team.source / "migrations" / "versions" / "b10cced0b10c_blocked.py"
    revision.write_text(f"""
from alembic import op

revision, down_revision, branch_labels, depends_on = "b10cced0b10c", "{head}", None, None


def upgrade():
    op.execute("ALTER TABLE products ADD blocked integer")
""")
    hold = "BEGIN; LOCK TABLE products IN ACCESS SHARE MODE; SELECT pg_sleep(60)"
    site.root(f"systemd-run --quiet --collect --unit=holder runuser -u shop -- psql -qc '{hold}'")
    try:
        with served_by(site, before):
            run = team.play("deploy.yml", "-e", "app=shop", "-e", "migration_lock_timeout_seconds=1")
    finally:
        revision.unlink()
        site.root("systemctl stop holder")
    assert run.code != 0
    assert "lock" in run.output
    assert "migration_lock_timeout_seconds" in run.output
    assert (team.status()["release"], team.head()) == (before, head)


def test_no_space_for_dependencies(site, team):
    before = team.status()["release"]
    requirements = team.source / "requirements.txt"
    good = requirements.read_text()
    requirements.write_text(good + "# another lock, so another virtual environment\n")
    site.root("mount -t tmpfs -o size=8m,mode=0750,gid=shop tmpfs /srv/shop/venvs || true")
    try:
        with served_by(site, before):
            run = team.play("deploy.yml", "-e", "app=shop")
    finally:
        requirements.write_text(good)
        site.root("umount /srv/shop/venvs")
    assert run.code != 0
    assert "No space left on device" in run.output or "MB free" in run.output
    assert team.status()["release"] == before


def test_the_package_index_is_down(site, team):
    before = team.status()["release"]
    requirements = team.source / "requirements.txt"
    good = requirements.read_text()
    requirements.write_text("--index-url http://127.0.0.1:9/simple\n" + good + "# new\n")
    try:
        with served_by(site, before):
            run = team.play("deploy.yml", "-e", "app=shop")
    finally:
        requirements.write_text(good)
    assert run.code != 0
    assert "The package index does not answer" in run.output
    assert team.status()["release"] == before


def test_a_release_that_was_pruned(site, team):
    before = team.status()["release"]
    with served_by(site, before):
        run = team.play("rollback.yml", "-e", "app=shop", "-e", "release=20200101T000000Z-0000000")
    assert run.code != 0
    assert "no complete release on this host has that id" in run.output
    assert team.status()["release"] == before


def test_the_database_is_down(site, team):
    before = team.status()["release"]
    team.change("no database")
    site.root("systemctl stop 'postgresql@*'")
    try:
        run = team.play("deploy.yml", "-e", "app=shop")
    finally:
        site.root("systemctl start 'postgresql@*-main' postgresql")
    assert run.code != 0
    assert "Failed to migrate" in run.output
    assert team.status()["release"] == before
    wait_until_ready(site, 20)  # nobody has to restart the app


@pytest.mark.parametrize("step", ["dependencies", "gate", "probation"])
def test_the_power_fails(site, team, step):
    """Afterwards the proven release serves, as the links and the ledger say, and a boot needs nobody."""
    before = team.status()["release"]
    team.change(f"the power fails at {step}")
    if step == "dependencies":
        requirements = team.source / "requirements.txt"
        good = requirements.read_text()
        requirements.write_text(good + f"# {time.time()}\n")
    try:
        process = team.start("deploy.yml", "-e", "app=shop")
        team.wait_for_phase(step)
        test_hosts.cut_power(HOST)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finally:
        if step == "dependencies":
            requirements.write_text(good)
    wait_until_ready(site, 30)
    ended = json.loads(site.root("ringstand --json releases shop"))["ledger"][-1]
    assert "ended from outside during" in str(ended)
    # On a busy machine the probation may have been over when its time came.
    proven = step == "probation" and ended["result"] == "ok"
    live = ended["release"] if proven else before
    assert team.status()["release"] == ended["live"] == live
    assert ("the traffic went back to" in str(ended)) is (step == "probation" and not proven)
    with served_by(site, live):
        time.sleep(1)
