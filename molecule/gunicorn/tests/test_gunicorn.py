"""What the role leaves on a host, asked from outside. Runs before and after a restart of the host."""

from __future__ import annotations

import pytest

ENVIRONMENT = "/etc/ringstand/environment/crucible.env"


def test_the_app_answers_and_names_its_release_only_to_the_gate(crucible):
    answer = crucible.host.check_output("curl -sSi --unix-socket /run/crucible/live.sock http://localhost/health")
    assert " 200 " in answer.splitlines()[0]
    assert f"Server: crucible/{crucible.live()}" in answer


def test_live_socket_and_persistent_link_agree(host, crucible):
    slot = crucible.slot()
    assert host.check_output("readlink /run/crucible/live.sock") == f"{slot}.sock"
    assert host.service(f"ringstand-crucible@{slot}.service").is_running
    assert host.service("ringstand-boot.service").is_enabled


def test_one_slot_runs_and_nothing_failed(host):
    units = host.check_output("systemctl list-units --plain --no-legend 'ringstand-crucible@*.service'").splitlines()
    assert len(units) == 1
    assert host.check_output("systemctl list-units --failed --no-legend 'ringstand*'") == ""


def test_values_arrive_verbatim(crucible):
    assert crucible.get("/environment/TRICKY") == (
        'dollar $HOME back`tick quote" slash\\ hash # percent %d brace { end\nsecond line'
    )


@pytest.mark.parametrize(("name", "value"), [("FLASK_DEBUG", "0"), ("PYTHONUNBUFFERED", "1"), ("WEB_CONCURRENCY", "2")])
def test_the_environment_contract(crucible, name, value):
    assert crucible.get(f"/environment/{name}") == value
    assert crucible.get("/environment/SENTRY_RELEASE") == crucible.live()


@pytest.mark.parametrize(
    ("path", "user", "group", "mode"),
    [
        (ENVIRONMENT, "root", "root", 0o600),
        ("/etc/ringstand/environment", "root", "root", 0o700),
        ("/etc/ringstand/apps/crucible.json", "root", "root", 0o644),
        ("/usr/local/bin/ringstand", "root", "root", 0o755),
        ("/srv/crucible/releases", "root", "crucible", 0o750),
        ("/srv/crucible/venvs", "root", "crucible", 0o750),
        ("/srv/crucible/static", "root", "root", 0o755),
        ("/srv/crucible/shared", "crucible", "crucible", 0o750),
        ("/var/lib/ringstand/crucible", "root", "root", 0o750),
    ],
)
def test_owners_and_modes(host, path, user, group, mode):
    file = host.file(path)
    assert (file.user, file.group, file.mode) == (user, group, mode)


def test_the_app_can_write_nothing_of_its_release(host):
    assert host.check_output("find /srv/crucible/releases /srv/crucible/venvs ! -user root ! -type l") == ""
    assert host.check_output("find /srv/crucible/releases /srv/crucible/venvs -perm /022 ! -type l") == ""


def test_only_the_web_server_may_connect(host):
    sockets = host.check_output("stat -c '%U:%G %a' /run/crucible/*.sock").splitlines()
    assert "root:www-data 660" in sockets


def test_static_files_are_published(host):
    assert host.file("/srv/crucible/static/app.css").mode == 0o644


def test_the_secret_is_in_no_readable_file_and_no_journal(host):
    canary = "canary-''7f3e9a51d2"  # in two pieces, because sudo writes this very command to the journal
    assert host.check_output(f"grep -rlF {canary} /etc /srv /var/lib /opt /usr/local || true") == ENVIRONMENT
    assert host.check_output(f"journalctl --no-pager | grep -cF {canary} || true") == "0"


def test_the_sandbox_is_tight(host, crucible):
    line = host.check_output(f"systemd-analyze security --no-pager ringstand-crucible@{crucible.slot()} | tail -1")
    assert float(line.split(":")[1].split()[0]) <= 1.5


def test_listens_on_no_port(host):
    assert host.check_output("ss -ltnpH | grep -c gunicorn || true") == "0"
