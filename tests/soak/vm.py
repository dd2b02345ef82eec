"""An emulated machine for what a container cannot show: loss of power, reboots, clocks, memory, full disks.

Its disk is made once and kept in ``.cache/vm``: a test host is converged by ``site.yml`` as a container, at the speed
of this machine, gets a kernel, and its tree becomes an ext4 file system. Each machine writes into an overlay of it, so
it starts with the site already there. qemu emulates the processor (no KVM is asked for), which makes everything about
ten times slower.

To cut the power is to kill qemu with SIGKILL. What the guest has not flushed by then is gone: its page cache with it,
and what qemu holds back of a qcow2 file until the guest asks for a flush. So that this is seen at the speed of an
emulated machine, the guest flushes nothing by itself: no writeback of old pages and a journal that is committed every
ten minutes only. What survives is what a program has asked to be made durable.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import host as test_hosts
from machine import CHECKOUT, HostError, as_root, podman, run
from steps import NAME, SHOP, Place

CACHE = CHECKOUT / ".cache" / "vm"
DISK_MB = 5120
INODES = 200_000
BOOT_SECONDS = 900
PROGRAMS = {"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils", "mkfs.ext4": "e2fsprogs"}
KERNEL_PACKAGES = "linux-image-cloud-amd64 initramfs-tools udev"
# Nothing becomes durable that nobody asks for.
COMMIT_SECONDS = 600
NO_WRITEBACK = "vm.dirty_writeback_centisecs = 0\nvm.dirty_expire_centisecs = 600000\n"
PREPARE = f"""set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends {KERNEL_PACKAGES} >/dev/null
systemctl unmask systemd-udevd systemd-modules-load
systemctl enable systemd-networkd
systemctl disable apt-daily.timer apt-daily-upgrade.timer
printf '[Match]\\nType=ether\\nVirtualization=vm\\n[Network]\\nDHCP=yes\\n' > /etc/systemd/network/20-vm.network
printf '{NO_WRITEBACK}' > /etc/sysctl.d/90-vm.conf
rm -f /etc/cron.d/ringstand-backup /etc/machine-id
touch /etc/machine-id
"""


def install_programs() -> None:
    """What only this needs is installed only for this."""
    missing = [package for program, package in PROGRAMS.items()
               if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
    if missing:
        run(as_root(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]),
            f"install {' '.join(missing)}")


def shop_variables(source: Path) -> dict[str, Any]:
    """A shop whose limits of time fit a machine that is ten times slower than others."""
    return {
        "flask_apps": {"shop": {
            "domains": [NAME], "source": {"path": str(source)}, "wsgi": "shop:create_app()",
            "static": {"url": "/static/", "dir": "shop/static"}, "tls": {"certificate": "self_signed"},
            "health": {"path": "/health/ready", "timeout_seconds": 600, "probation_seconds": 6},
            "start_timeout_seconds": 900, "timeout_seconds": 60, "graceful_timeout_seconds": 60,
            "workers": 2, "keep_releases": 3,
            "redis_password": "a-password-of-the-tests",
        }},
        # Sized for the emulated machine and not for the one that makes its disk.
        "postgresql_settings": {"shared_buffers": "64MB", "max_connections": 40},
        "backup_key": "a-key-of-the-tests-and-of-nobody-else",
    }


class Disk:
    """The disk with the converged site, with its kernel; made once."""

    def __init__(self, distribution: str) -> None:
        self.distribution = distribution
        recipe = PREPARE + str(shop_variables(Path("/"))) + f"{DISK_MB} {INODES}"
        content = content_of(CHECKOUT / "plugins", CHECKOUT / "roles", CHECKOUT / "playbooks", SHOP)
        self.directory = CACHE / f"{distribution}-{hashlib.sha256(recipe.encode() + content).hexdigest()[:10]}"

    @property
    def image(self) -> Path:
        return self.directory / "disk.raw"

    def ensure(self) -> Disk:
        """Make it unless it is there."""
        install_programs()
        if not self.image.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            with Place("soak-vm-disk", self.distribution) as place:
                place.variables = shop_variables(place.source)
                place.play()
                place.wait_for_background()
                place.root(PREPARE)
                self._make(place.host)
        return self

    def _make(self, host: test_hosts.Host) -> None:
        with tempfile.TemporaryDirectory(dir=self.directory) as temporary:
            tree, partial = Path(temporary) / "tree", Path(temporary) / "disk.raw"
            tree.mkdir()
            run(podman("stop", "--time", "90", host.container), "shut down the host that becomes a disk")
            archive = Path(temporary) / "tree.tar"
            run(podman("export", "--output", str(archive), host.container), "export it")
            run(as_root(["tar", "-x", "--numeric-owner", "-f", str(archive), "-C", str(tree)]), "unpack it")
            archive.unlink()
            self._adjust(tree)
            run(["truncate", f"--size={DISK_MB}M", str(partial)], "make a disk")
            run(as_root(["mkfs.ext4", "-q", "-N", str(INODES), "-d", str(tree), str(partial)]), "make its file system")
            for name, pattern in (("vmlinuz", "vmlinuz-*"), ("initrd", "initrd.img-*")):
                run(as_root(["sh", "-c", f"install -m 0644 {tree}/boot/{pattern} {self.directory}/{name}"]),
                    f"find its {name}")
            run(as_root(["rm", "-rf", str(tree)]), "remove the tree")
            partial.rename(self.image)
            shutil.copy(test_hosts.KEY, self.directory / "key")
            (self.directory / "host_key.pub").write_text(self._host_key, encoding="utf-8")

    def _adjust(self, tree: Path) -> None:
        self._host_key = (tree / "etc/ssh/ssh_host_ed25519_key.pub").read_text(encoding="utf-8")
        for name, text in (("hostname", "soak-vm\n"), ("hosts", "127.0.0.1 localhost soak-vm\n"),
                           ("resolv.conf", "nameserver 10.0.2.3\n")):
            (tree / "etc" / name).unlink(missing_ok=True)
            (tree / "etc" / name).write_text(text, encoding="utf-8")


class Machine(Place):
    """An emulated machine with the site on it, for as long as the block lasts."""

    def __init__(self, disk: Disk, memory_mb: int = 1024) -> None:
        super().__init__("soak-vm", disk.distribution)
        self.disk, self.memory_mb = disk, memory_mb
        self.port, self.https_port = free_port(), free_port()
        self._qemu: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Machine:
        super().__enter__()
        self.variables = shop_variables(self.source)
        return self

    @property
    def serial_log(self) -> Path:
        """What the kernel and systemd say on the console, of all boots."""
        return self.disk.directory / "serial.log"

    @property
    def overlay(self) -> Path:
        return self.disk.directory / "overlay.qcow2"

    def start(self) -> None:
        """A new overlay, and the first boot."""
        self.serial_log.unlink(missing_ok=True)
        self.overlay.unlink(missing_ok=True)
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(self.disk.image), "-F", "raw", str(self.overlay)],
            "make an overlay")
        self.known_hosts = self.work / "known_hosts"
        key = (self.disk.directory / "host_key.pub").read_text(encoding="utf-8").split()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {key[0]} {key[1]}\n", encoding="utf-8")
        self.boot()

    def remove(self) -> None:
        self.cut_power()

    def boot(self) -> float:
        """Switch it on; returns the seconds until it answers SSH and systemd has started all."""
        began = time.monotonic()
        self._qemu = subprocess.Popen(
            ["nice", "-n", "19", "qemu-system-x86_64", "-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max",
             "-smp", "2", "-m", str(self.memory_mb), "-display", "none", "-nodefaults", "-no-user-config",
             "-kernel", str(self.disk.directory / "vmlinuz"), "-initrd", str(self.disk.directory / "initrd"),
             "-append", f"root=/dev/vda rw console=ttyS0 quiet panic=5 rootflags=commit={COMMIT_SECONDS}",
             "-drive", f"file={self.overlay},format=qcow2,if=virtio,cache=writeback",
             "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{self.port}-:22,"
                        f"hostfwd=tcp:127.0.0.1:{self.https_port}-:443",
             "-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci",
             "-chardev", f"file,id=serial,path={self.serial_log},append=on", "-serial", "chardev:serial"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
        self.wait_until_up(began)
        return time.monotonic() - began

    def wait_until_up(self, began: float, previous_boot: str = "") -> None:
        """Until it answers SSH, in another boot than ``previous_boot``, and systemd has nothing left to start."""
        while True:
            assert self._qemu
            if self._qemu.poll() is not None:
                raise HostError(f"Failed to run the machine: qemu ended with {self._qemu.returncode}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                command = [*self.ssh(), "cat /proc/sys/kernel/random/boot_id; sudo systemctl is-system-running --wait"]
                done = subprocess.run(command, text=True, capture_output=True, timeout=BOOT_SECONDS, check=False)
                said = done.stdout.split()
                if said and said[0] != previous_boot and said[-1] in ("running", "degraded"):
                    return
            if time.monotonic() - began > BOOT_SECONDS:
                tail = self.serial_log.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise HostError(f"Failed to boot within {BOOT_SECONDS} s; the console ends with:\n{tail}")
            time.sleep(1)

    def reboot(self) -> float:
        """As the machine's owner does it; returns the seconds until it is up again."""
        boot, began = self.root("cat /proc/sys/kernel/random/boot_id").strip(), time.monotonic()
        subprocess.run([*self.ssh(), "sudo systemctl reboot --no-wall"], capture_output=True, check=False)
        self.wait_until_up(began, boot)
        return time.monotonic() - began

    def cut_power(self) -> None:
        """From one instruction to the next there is nothing any more."""
        if self._qemu and self._qemu.poll() is None:
            os.killpg(self._qemu.pid, signal.SIGKILL)
            self._qemu.wait()

    def shut_down(self) -> None:
        """An orderly end."""
        subprocess.run([*self.ssh(), "sudo systemctl poweroff --no-wall"], capture_output=True, check=False)
        assert self._qemu
        self._qemu.wait(BOOT_SECONDS)

    def ssh(self) -> list[str]:
        return ["ssh", "-p", str(self.port), "-l", test_hosts.USER, *self._ssh_options(), "127.0.0.1"]

    def _ssh_options(self) -> list[str]:
        return ["-i", str(self.disk.directory / "key"), "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes",
                "-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "ConnectTimeout=60",
                "-o", "ServerAliveInterval=20", "-o", "LogLevel=ERROR"]

    def inventory(self) -> dict[str, Any]:
        return {"all": {"hosts": {self.name: {
            "ansible_host": "127.0.0.1", "ansible_port": self.port, "ansible_user": test_hosts.USER,
            "ansible_ssh_private_key_file": str(self.disk.directory / "key"),
            "ansible_ssh_common_args": f"-o IdentitiesOnly=yes -o UserKnownHostsFile={self.known_hosts} "
                                       "-o StrictHostKeyChecking=yes -o ConnectTimeout=60",
            "ansible_become": True, "ansible_python_interpreter": "/usr/bin/python3", "ansible_timeout": 120,
        }}}}


def content_of(*folders: Path) -> bytes:
    """A digest of all files, so that a disk is made anew for each version of the collection."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()):
        if "__pycache__" not in path.parts:
            digest.update(str(path).encode() + b"\0" + path.read_bytes())
    return digest.digest()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
