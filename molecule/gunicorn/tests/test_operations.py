"""What an operator does with a running app through ringstand."""

from __future__ import annotations

import hashlib

CANARY = "canary-7f3e9a51d2"


def test_run_has_the_code_the_environment_and_the_rights_of_the_live_release(crucible):
    done = crucible.host.run("ringstand run crucible -- sh -c 'id -un; pwd -P; echo $RELEASE_ID $CANARY; exit 7'")
    live = crucible.live()
    assert done.rc == 7
    assert done.stdout.splitlines() == ["crucible", f"/srv/crucible/releases/{live}/src", f"{live} {CANARY}"]


def test_run_finds_the_commands_of_the_virtual_environment(crucible):
    assert "gunicorn" in crucible.host.check_output("ringstand run crucible gunicorn --version")


def test_run_cannot_change_the_release(crucible):
    assert crucible.host.run("ringstand run crucible touch app.py").rc != 0
    assert crucible.host.run("ringstand run crucible touch /srv/crucible/shared/by-run").rc == 0


def test_run_reads_what_it_is_given_and_has_a_terminal_where_there_is_one(crucible):
    assert crucible.host.check_output("echo through | ringstand run crucible cat") == "through"
    assert "/dev/pts/" in crucible.host.check_output("script -qec 'ringstand run crucible tty' /dev/null")


def test_run_ends_a_command_after_its_timeout(crucible):
    assert crucible.host.run("timeout 20 ringstand run --timeout 1 crucible sleep 60").rc not in (0, 124)


def test_run_of_an_unknown_app_or_of_nothing_is_an_error(crucible):
    assert "Failed to find app" in crucible.host.run("ringstand run nobody true").stderr
    assert "name one" in crucible.host.run("ringstand run crucible").stderr


def test_logs_show_one_process_and_what_matches(crucible):
    everything = crucible.host.check_output("ringstand logs crucible")
    assert "gunicorn" in everything or "Booting worker" in everything
    booted = crucible.host.check_output("ringstand logs crucible --process web --grep 'Booting worker' --lines 5")
    lines = [line for line in booted.splitlines() if not line.startswith("--")]
    assert 0 < len(lines) <= 5
    assert all("Booting worker" in line for line in lines)
    assert crucible.host.run("ringstand logs crucible --grep never-written").rc == 0
    assert crucible.host.run("ringstand logs crucible --grep '('").rc == 1


def test_env_has_names_and_fingerprints_and_no_values(crucible):
    text = crucible.host.check_output("ringstand env crucible")
    assert CANARY not in text
    shown = crucible.ringstand("env", "crucible")["environment"]
    assert shown["CANARY"] == hashlib.sha256(CANARY.encode()).hexdigest()[:12]
    assert {"TRICKY", "FLASK_DEBUG", "PATH"} <= set(shown)
