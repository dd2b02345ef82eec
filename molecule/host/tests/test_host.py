"""What the role leaves on a host, from inside and from outside, before and after a restart."""

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest
from once import once_per_host

FOREIGN = 9999


@pytest.fixture(scope="module")
def once(host):
    """What a restart of the host changes nothing of."""
    once_per_host(host, "role")


def name_of(host):
    return host.run("hostname").stdout.strip()


@pytest.fixture
def address(host):
    """Where the tests reach the host, and the play does."""
    return host.check_output("ip -4 -o addr show scope global").split()[3].partition("/")[0]


@pytest.fixture
def listener(host):
    """Something that listens on a port for a while."""
    started = []

    def listen(port):
        unit = f"listener-{port}"
        program = f"import socket; s = socket.create_server(('', {port}))\nwhile True: s.accept()"
        host.run_test("systemd-run --quiet --collect --unit=%s /usr/bin/python3 -c %s", unit, program)
        started.append(unit)
        host.run_expect([0], f"timeout 10 sh -c 'until ss -ltnH sport = :{port} | grep -q .; do sleep 0.1; done'")

    yield listen
    for unit in started:
        host.run(f"systemctl stop {unit}")


def reachable(address, port):
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


def test_only_allowed_ports_are_reachable(host, address, listener):
    for port in (80, 443, 5432, 8080):
        listener(port)
    assert reachable(address, 22)
    assert reachable(address, 80)
    assert reachable(address, 443)
    assert not reachable(address, 5432), "allowed from another network only"
    assert not reachable(address, 8080)


def test_rules_of_others_and_all_ssh_ports_stay_open(host, address, listener):
    if name_of(host) != "host-13":
        pytest.skip("only host-13 has such")
    listener(FOREIGN)
    assert reachable(address, FOREIGN)
    assert reachable(address, 2222)
    rules = host.check_output("ufw status")
    assert f"{FOREIGN}/tcp                   ALLOW       Anywhere" in rules


def test_firewall_comes_back_after_a_restart(host):
    assert "ENABLED=yes" in host.file("/etc/ufw/ufw.conf").content_string
    assert host.service("ufw").is_enabled
    status = host.check_output("ufw status verbose")
    assert "Status: active" in status
    assert "Default: deny (incoming)" in status


def test_time_and_locale(host):
    assert host.file("/etc/localtime").linked_to == "/usr/share/zoneinfo/Europe/Berlin"
    assert host.check_output("date --date @0 +%H:%M") == "01:00"
    if host.file("/etc/timezone").exists:
        assert host.file("/etc/timezone").content_string == "Europe/Berlin\n"
    assert host.file("/etc/default/locale").content_string == "LANG=de_DE.UTF-8\n"
    assert "de_DE.utf8" in host.check_output("locale -a")
    assert host.run("env LANG=de_DE.UTF-8 locale").stderr == ""


def test_one_time_daemon(host):
    daemons = [name for name in ("systemd-timesyncd", "chrony") if host.package(name).is_installed]
    assert daemons == ["chrony" if name_of(host) == "host-13" else "systemd-timesyncd"]


def test_journal_is_limited_and_kept(host):
    assert "SystemMaxUse=200M" in host.file("/etc/systemd/journald.conf.d/50-ringstand.conf").content_string
    assert host.file("/var/log/journal").is_directory
    assert "max 200" in host.check_output("journalctl --unit=systemd-journald --output=cat | grep 'System Journal'")


def test_updates_are_looked_for(host):
    for timer in ("apt-daily.timer", "apt-daily-upgrade.timer"):
        assert host.service(timer).is_enabled
        assert host.service(timer).is_running
    configuration = host.check_output("apt-config dump APT::Periodic")
    assert 'APT::Periodic::Unattended-Upgrade "1";' in configuration
    assert 'APT::Periodic::Update-Package-Lists "1";' in configuration


def test_only_security_updates_and_no_databases_at_night(once, host):
    said = host.run("env LC_ALL=C.UTF-8 unattended-upgrade --dry-run --debug").stdout
    origins = next(line for line in said.splitlines() if line.startswith("Allowed origins are:"))
    assert "-security,label=Debian-Security" in origins
    assert "label=Debian," not in origins
    assert "Initial blacklist: postgresql redis" in said


def test_needrestart_keeps_databases_and_apps(host):
    path = "/etc/needrestart/conf.d/50-ringstand.conf"
    units = ["postgresql@16-main.service", "redis-server@shop-queue.service", "ringstand-shop@blue.service"]
    units += ["nginx.service"]
    program = """
        our %nrconf; do shift;
        for my $unit (@ARGV) { print "$unit\\n" if grep { $unit =~ $_ } keys %{$nrconf{override_rc}} }
    """
    kept = host.run("perl -e %s %s %s %s %s %s", program, path, *units).stdout.split()
    assert kept == units[:3]


def test_kernel_settings_are_loaded(host):
    assert host.sysctl("net.core.somaxconn") == 4096
    assert host.file("/etc/sysctl.d/50-ringstand.conf").content_string == "net.core.somaxconn = 4096\n"


@pytest.mark.parametrize(
    "path", ["/etc/localtime", "/etc/default/locale", "/etc/sysctl.d/50-ringstand.conf", "/etc/needrestart/conf.d"]
)
def test_files_belong_to_root(host, path):
    status = host.check_output("stat --dereference --format '%%U:%%G %%a' %s", path)
    assert status in ("root:root 644", "root:root 755")


def facts(host):
    return host.ansible("ringstand.flask.host_facts", check=False, become=True)["ansible_facts"]["ringstand"]


def test_a_list_that_locks_out_is_refused_before_the_first_change(once, host, tmp_path):
    before = host.check_output("ufw status")
    play = [
        {
            "hosts": name_of(host),
            "become": True,
            "gather_facts": False,
            "roles": [
                {
                    "role": "ringstand.flask.host",
                    "host_firewall_allow": [
                        {"port": "22", "from": "198.51.100.0/24"},
                        {"port": "2222", "from": "198.51.100.0/24"},
                    ],
                }
            ],
        }
    ]
    path = tmp_path / "play.yml"
    path.write_text(json.dumps(play))
    inventory = Path(
        os.environ["MOLECULE_INVENTORY_FILE"]
    ).parent  # Molecule's own file, beside that with the addresses
    argv = ["ansible-playbook", "-i", str(inventory), str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode != 0
    assert "it would lock out this run" in done.stdout + done.stderr, done.stdout
    assert "changed=0" in done.stdout
    assert host.check_output("ufw status") == before


def test_facts_tell_whether_the_firewall_works(once, host):
    before = facts(host)
    assert before["ssh_ports"] == ([22, 2222] if name_of(host) == "host-13" else [22])
    assert (before["firewall"]["enabled"], before["firewall"]["active"]) == (True, True)
    host.run_test("ufw disable")
    try:
        without = facts(host)["firewall"]
    finally:
        host.run_test("ufw --force enable")
    assert (without["enabled"], without["active"]) == (False, False)
    assert without["rules"] == before["firewall"]["rules"]
