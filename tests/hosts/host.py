"""Test hosts of this checkout: containers that run systemd and answer SSH like a machine does."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import Any

import image
from machine import (
    CHECKOUT,
    STATE,
    HostError,
    checkout_lock,
    is_cgroup2,
    podman,
    release_namespace,
    run,
    shared_lock,
)

CHECKOUT_ID = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:6]
NETWORK = f"ringstand-{CHECKOUT_ID}"
LABEL = "ringstand.hosts"
USER = "admin"
KEY = STATE / "key"
KNOWN_HOSTS = STATE / "known_hosts"
SSH_CONFIG = STATE / "ssh_config"
BOOT_SECONDS = 90
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


@dataclass
class Host:
    name: str
    address: str
    distribution: str
    image: str
    publish: list[str]
    state: str

    @property
    def container(self) -> str:
        return container_name(self.name)


def container_name(name: str) -> str:
    return f"ringstand-{CHECKOUT_ID}-{name}"


def hosts() -> list[Host]:
    """All hosts of this checkout."""
    command = podman("ps", "--all", "--filter", f"label={LABEL}={CHECKOUT_ID}", "--format", "json")
    found = []
    for container in json.loads(run(command, "list the test hosts") or "[]"):
        labels = container["Labels"]
        found.append(Host(labels[f"{LABEL}.name"], labels[f"{LABEL}.address"], labels[f"{LABEL}.distribution"],
                          container["Image"], labels[f"{LABEL}.publish"].split(), container["State"]))
    return sorted(found, key=lambda host: host.name)


def find(name: str) -> Host:
    for host in hosts():
        if host.name == name:
            return host
    raise HostError(f"Failed to find the test host {name}: there is none; tests/hosts/testhost up {name}")


def up(name: str, distribution: str, from_image: str | None, publish: list[str]) -> Host:
    """Make the host unless it exists, start it unless it runs, wait until it has booted and answers SSH.

    ``from_image`` may be a folder that holds its whole tree.
    """
    if not NAME.fullmatch(name):
        raise HostError(f"Failed to name a test host: {name!r} is not lower case letters, digits and hyphens")
    base = from_image or image.ensure(distribution)
    with checkout_lock():
        existing = next((host for host in hosts() if host.name == name), None)
        if existing and (existing.distribution != distribution or existing.publish != publish):
            raise HostError(
                f"Failed to bring up {name}: it exists as {existing.distribution} publishing "
                f"{' '.join(existing.publish) or 'nothing'}; tests/hosts/testhost rm {name} first"
            )
        if existing and from_image and existing.image != from_image:
            raise HostError(f"Failed to bring up {name}: it exists, made from {existing.image}; "
                            f"tests/hosts/testhost rm {name} first")
        make_key()
        host = existing or create(name, distribution, base, publish)
        if host.state != "running":
            start(host, remove_on_failure=existing is None)
    wait_until_booted(host)
    admit(host)
    return host


def create(name: str, distribution: str, base: str, publish: list[str]) -> Host:
    address = free_address()
    labels = {LABEL: CHECKOUT_ID, f"{LABEL}.name": name, f"{LABEL}.address": address,
              f"{LABEL}.distribution": distribution, f"{LABEL}.publish": " ".join(publish)}
    # --privileged: systemd's own sandboxing needs it, and so does ufw.
    command = podman("create", "--systemd=always", "--privileged", "--name", container_name(name),
                     "--hostname", name, "--network", NETWORK, "--ip", address, "--mac-address", mac_of(address),
                     *(f"--label={key}={value}" for key, value in labels.items()),
                     *(f"--publish={ports}" for ports in publish), *(["--rootfs"] if base.startswith("/") else []),
                     base, "/sbin/init")
    run(command, f"create the test host {name}")
    return Host(name, address, distribution, base, publish, "created")


def start(host: Host, remove_on_failure: bool) -> None:
    """Start the container. A new one that cannot start, because a port is taken, is not left behind."""
    try:
        run(podman("start", host.container), f"start {host.name}")
    except HostError:
        if remove_on_failure:
            run(podman("rm", "--force", host.container), f"remove {host.name}")
        raise


def mac_of(address: str) -> str:
    """The same at each boot: this machine remembers an old one for ten seconds, in which the host cannot be reached."""
    return "02:52:" + ipaddress.ip_address(address).packed.hex(":")


def free_address() -> str:
    """The next static address. An address is not reused at once: an SSH master to its last owner may still live."""
    with shared_lock("network.lock"):
        if subprocess.run(podman("network", "exists", NETWORK), check=False).returncode:
            run(podman("network", "create", NETWORK), f"create the network {NETWORK}")
    network = json.loads(run(podman("network", "inspect", NETWORK), f"inspect the network {NETWORK}"))[0]
    subnet = ipaddress.ip_network(network["subnets"][0]["subnet"])
    taken = {host.address for host in hosts()}
    last = STATE / "last_address"
    offset = int(last.read_text(encoding="utf-8")) if last.exists() else 9
    for _attempt in range(240):
        offset = offset + 1 if offset < 249 else 10
        if str(subnet[offset]) not in taken:
            last.write_text(str(offset), encoding="utf-8")
            return str(subnet[offset])
    raise HostError(f"Failed to find a free address in {subnet}: remove hosts with tests/hosts/testhost rm")


def make_key() -> None:
    if not KEY.exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ringstand test hosts", "-f", str(KEY)],
            "make the SSH key of the test hosts")


def wait_until_booted(host: Host) -> None:
    """systemd says itself when it is done; until its bus answers, ask again."""
    deadline = time.monotonic() + BOOT_SECONDS
    command = podman("exec", host.container, "systemctl", "is-system-running", "--wait")
    while True:
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        state = done.stdout.strip()
        if state == "running":
            return
        if state == "degraded":
            failed = run(podman("exec", host.container, "systemctl", "list-units", "--failed", "--plain",
                                "--no-legend"), "list failed units")
            raise HostError(f"Failed to boot {host.name}: it runs, but units failed:\n  {failed.strip()}")
        if time.monotonic() > deadline:
            raise HostError(f"Failed to boot {host.name} within {BOOT_SECONDS} s: {state or 'no answer'}")
        time.sleep(0.25)


def admit(host: Host) -> None:
    """Let our key in and learn the host's key, both over podman and never over an unverified connection."""
    script = (f"install -d -m 0700 -o {USER} -g {USER} /home/{USER}/.ssh && "
              f"install -m 0600 -o {USER} -g {USER} /dev/stdin /home/{USER}/.ssh/authorized_keys && "
              "cat /etc/ssh/ssh_host_ed25519_key.pub")
    public = KEY.with_suffix(".pub").read_text(encoding="utf-8")
    host_key = run(podman("exec", "--interactive", host.container, "sh", "-c", script),
                   f"install the SSH key on {host.name}", input=public).split()
    with checkout_lock():
        write_known(host.address, " ".join(host_key[:2]))
        directory = STATE / host.name
        directory.mkdir(exist_ok=True)
        (directory / "address").write_text(host.address, encoding="utf-8")
        write_ssh_config()
    run(ssh_command(host) + ["true"], f"reach {host.name} by SSH")


def write_known(address: str, key: str | None) -> None:
    lines = KNOWN_HOSTS.read_text(encoding="utf-8").splitlines() if KNOWN_HOSTS.exists() else []
    lines = [line for line in lines if line.split()[0] != address] + ([f"{address} {key}"] if key else [])
    KNOWN_HOSTS.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_ssh_config() -> None:
    blocks = [f"Host {host.name} {host.address}\n  HostName {host.address}\n  User {USER}\n  IdentityFile {KEY}\n"
              f"  IdentitiesOnly yes\n  UserKnownHostsFile {KNOWN_HOSTS}\n  StrictHostKeyChecking yes\n"
              for host in hosts()]
    SSH_CONFIG.write_text("\n".join(blocks), encoding="utf-8")


def ssh_options() -> list[str]:
    return ["-i", str(KEY), "-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={KNOWN_HOSTS}",
            "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=10"]


def ssh_command(host: Host) -> list[str]:
    return ["ssh", *ssh_options(), "-l", USER, host.address]


def restart(name: str) -> None:
    """A real shutdown of systemd, then a boot. /run is new afterwards, the disk is what it was."""
    host = find(name)
    run(podman("stop", "--time", "90", host.container), f"shut down {name}")
    run(podman("start", host.container), f"start {name}")
    wait_until_booted(host)
    run(ssh_command(host) + ["true"], f"reach {name} by SSH")


def cut_power(name: str) -> None:
    """Every process is gone at once, and /run with them; then a boot. What the kernel has not yet written stays."""
    host = find(name)
    run(podman("kill", host.container), f"kill {name}")
    run(podman("wait", host.container), f"wait for the end of {name}")
    run(podman("start", host.container), f"start {name}")
    wait_until_booted(host)
    run(ssh_command(host) + ["true"], f"reach {name} by SSH")


def remove(names: list[str]) -> None:
    """Remove hosts, and with the last one this checkout's network. Hosts that are not there are no error."""
    with checkout_lock():
        unwanted = [host for host in hosts() if host.name in names]
        remove_containers(unwanted)
        for host in unwanted:
            write_known(host.address, None)
        for name in names:
            (STATE / name / "address").unlink(missing_ok=True)
            if (STATE / name).is_dir():
                (STATE / name).rmdir()
        write_ssh_config()
        if not hosts() and not subprocess.run(podman("network", "exists", NETWORK), check=False).returncode:
            run(podman("network", "rm", NETWORK), f"remove the network {NETWORK}")


def remove_containers(unwanted: list[Host]) -> None:
    """podman may find that a container it is about to kill has just stopped by itself: that is no failure."""
    # At once: nothing of them is wanted, so nobody waits for their shutdown.
    command = podman("rm", "--force", "--ignore", "--time", "0", *(host.container for host in unwanted))
    if unwanted and subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   check=False).returncode:
        run(command, f"remove {', '.join(host.name for host in unwanted)}")


def clean() -> None:
    """Remove what is left when no host is: images that nothing uses, keys and notes, and the mount namespace."""
    image.remove_unused()
    ours = hosts()
    # A container of somebody else that a restart of this machine has broken makes podman fail, and counts as one.
    listed = subprocess.run(podman("ps", "--all", "--quiet"), text=True, capture_output=True, check=False)
    if not listed.returncode and not listed.stdout.strip() and not is_cgroup2():
        release_namespace()
    if not ours:
        shutil.rmtree(STATE, ignore_errors=True)


def inventory(names: list[str]) -> dict[str, Any]:
    """An inventory with these hosts, as plain data."""
    known = {host.name: host for host in hosts()}
    missing = [name for name in names if name not in known]
    if missing:
        raise HostError(f"Failed to list {missing[0]}: no such test host; tests/hosts/testhost up {missing[0]}")
    return {"all": {"hosts": {name: host_variables(known[name]) for name in names or known}}}


def host_variables(host: Host) -> dict[str, Any]:
    return {
        "ansible_host": host.address,
        "ansible_user": USER,
        "ansible_ssh_private_key_file": str(KEY),
        "ansible_ssh_common_args": f"-o IdentitiesOnly=yes -o UserKnownHostsFile={KNOWN_HOSTS} "
                                   "-o StrictHostKeyChecking=yes",
        "ansible_become": True,
        "ansible_python_interpreter": "/usr/bin/python3",
    }


def exec_ssh(name: str, command: list[str]) -> None:
    host = find(name)
    argv = [*ssh_command(host), *command]
    os.execvp(argv[0], argv)
