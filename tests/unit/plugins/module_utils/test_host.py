"""Facts: pure parts as tables, the whole on the machine that runs the tests."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import host, ssh_ports
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError

on_debian = pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="needs dpkg")


def test_os_release() -> None:
    text = '# comment\nID=ubuntu\nVERSION_ID="24.04"\nNAME=\'A "b"\'\nBROKEN="x\n\nUBUNTU_CODENAME=noble\n'
    assert host.read_os_release(text) == {
        "ID": "ubuntu",
        "VERSION_ID": "24.04",
        "NAME": 'A "b"',
        "BROKEN": "x",
        "UBUNTU_CODENAME": "noble",
    }


INSTALLED = {"nginx": {"amd64": "1.26.3-3"}, "libc6": {"amd64": "2.41", "i386": "2.41"}, "chrony": {"amd64": "4.6"}}


@pytest.mark.parametrize(
    "package, missing",
    [
        ("nginx", False),
        ("nginx:amd64", False),
        ("nginx:i386", True),
        ("libc6:i386", False),
        ("nginx=1.26*", False),
        ("nginx=1.26.3-3", False),
        ("nginx=1.27*", True),
        ("apache2", True),
        ("systemd-timesyncd | chrony", False),
        ("ntpsec|openntpd", True),
    ],
)
def test_is_installed(package: str, missing: bool) -> None:
    assert any(host.is_installed(one, INSTALLED) for one in host.parse_package(package)) is not missing


@pytest.mark.parametrize("package", ["", "Nginx", "nginx php", "--force", "nginx=", "a |", "nginx; true"])
def test_what_is_no_package(package: str) -> None:
    with pytest.raises(RingstandError, match="is not a package such as"):
        host.parse_package(package)


@on_debian
def test_all_facts_of_this_machine() -> None:
    facts, missing = host.gather(["dpkg", "no-such-package-1 | no-such-package-2", "dpkg=0.1"])
    assert missing == ["no-such-package-1", "dpkg=0.1"]
    assert facts["os_id"] in ("debian", "ubuntu")
    assert re.fullmatch(r"[a-z0-9]+", facts["architecture"])
    assert 1 <= facts["cpu_count"] <= (os.cpu_count() or 1)
    assert 100 < facts["memory_mb"] < 10_000_000
    assert list(facts["free_mb"]) == ["/", "/var", "/srv"]
    assert "C.UTF-8" in facts["locales"]
    assert set(facts["firewall"]) == {"installed", "enabled", "active", "loaded", "ipv6", "incoming", "rules"}
    assert "net.core.somaxconn" in facts["kernel"]


KNOWN = "python3-certbot-dns-rfc2136\npython3-certbot-dns-google\n"


@pytest.mark.parametrize(("known", "found"), [(KNOWN, ["python3-certbot-dns-ovh"]), ("", [])], ids=["lists", "none"])
def test_plugins_that_the_distribution_does_not_have(
    monkeypatch: pytest.MonkeyPatch, known: str, found: list[str]
) -> None:
    monkeypatch.setattr(host.commands, "run", lambda _argv: host.commands.Result(0, known, ""))
    missing = ["nginx", "python3-certbot-dns-ovh", "python3-certbot-dns-rfc2136"]
    assert host.unavailable(missing) == found


def test_the_connection_is_found_above_sudo() -> None:
    program = """
import os, subprocess, sys
if len(sys.argv) == 1:
    clean = {name: value for name, value in os.environ.items() if name != "SSH_CONNECTION"}
    subprocess.run([sys.executable, "-c", sys.orig_argv[2], "inner"], env=clean, check=True)
else:
    from ansible_collections.ringstand.flask.plugins.module_utils import ssh_ports
    print(ssh_ports.ssh_client_address(), 2222 in ssh_ports.ssh_ports())
"""
    environment = {**os.environ, "SSH_CONNECTION": "192.0.2.7 50000 192.0.2.1 2222"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["192.0.2.7", "True"]


def test_listeners_are_found() -> None:
    program = "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); "
    with subprocess.Popen(
        [sys.executable, "-c", program + "sys.stdin.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        listening = ssh_ports._listening_ports()
        found = {listening[inode] for inode in ssh_ports._sockets(server.pid) if inode in listening}
        server.communicate()
    assert found == {port}
