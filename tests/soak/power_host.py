"""A test host whose file system loses what was not flushed, as that of a machine does when its power is cut.

The container's whole tree is an ext4 file system of its own, on a copy of the disk that the emulated machine has too.
To cut the power is ext4's own emergency stop without a flush of the log (what file system developers test with), and
then SIGKILL to every process. What nobody has made durable is gone: names of files may be there with nothing in them.
The processor is the real one, so that a deploy runs at its usual speed between two commits of the journal, which the
kernel makes every ten minutes only.
"""

from __future__ import annotations

import subprocess
import time
import uuid

import host as test_hosts
from machine import HostError, beside_podman, podman, run
from steps import Place
from vm import COMMIT_SECONDS, Disk, shop_variables

# EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH, include/uapi/linux/ext4.h
STOP = ("import fcntl, os, struct, sys; "
        "fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))")
# What the emulated machine needs, and what would be the business of the machine underneath here.
REMOVED = ("/etc/sysctl.d/90-vm.conf", "/etc/systemd/network/20-vm.network")
MASKED = ("systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket",
          "systemd-udev-trigger.service", "systemd-modules-load.service", "systemd-networkd.service",
          "systemd-networkd.socket")
BOOT_ID = "/proc/sys/kernel/random/boot_id"


class PowerHost(Place):
    """The converged site on a host whose power can be cut, for as long as the block lasts."""

    def __init__(self, name: str, disk: Disk) -> None:
        super().__init__(name, disk.distribution)
        self.disk = disk
        self.image, self.tree = disk.directory / f"{name}.raw", disk.directory / name

    def __enter__(self) -> PowerHost:
        super().__enter__()
        self.variables = shop_variables(self.source)
        return self

    def start(self) -> None:
        run(["cp", "--sparse=always", str(self.disk.image), str(self.image)], "copy the disk")
        self.tree.mkdir(exist_ok=True)
        self._mount()
        for path in REMOVED:
            self._beside("rm", "-f", f"{self.tree}{path}")
        for unit in MASKED:
            self._beside("ln", "-sf", "/dev/null", f"{self.tree}/etc/systemd/system/{unit}")
        self.host = test_hosts.up(self.name, self.distribution, str(self.tree), [])
        self._new_boot_id()

    def remove(self) -> None:
        test_hosts.remove([self.name])
        self._umount()
        self.image.unlink()
        self.tree.rmdir()

    def cut_power(self) -> None:
        """The file system stops first, so that no process can flush anything while it is killed."""
        self._beside("python3", "-c", STOP, str(self.tree))
        subprocess.run(podman("kill", self.host.container), capture_output=True, check=False)
        run(podman("wait", self.host.container), f"wait for the end of {self.name}")
        self._umount()

    def boot(self) -> float:
        """Switch it on again; the journal of the file system is replayed."""
        began = time.monotonic()
        self._mount()
        run(podman("start", self.host.container), f"start {self.name}")
        self._new_boot_id()
        self.wait_until_up()
        return time.monotonic() - began

    def reboot(self) -> float:
        """An orderly shutdown, and a boot."""
        began = time.monotonic()
        run(podman("stop", "--time", "90", self.host.container), f"shut down {self.name}")
        run(podman("start", self.host.container), f"start {self.name}")
        self._new_boot_id()
        self.wait_until_up()
        return time.monotonic() - began

    def wait_until_up(self) -> None:
        test_hosts.wait_until_booted(self.host)
        run([*self.ssh(), "true"], f"reach {self.name} by SSH")

    def _new_boot_id(self) -> None:
        """Containers have the boot id of the machine underneath; a machine has another one after each boot."""
        script = f"echo {uuid.uuid4()} > /run/boot_id && mount --bind /run/boot_id {BOOT_ID}"
        run(podman("exec", self.host.container, "sh", "-c", f"until test -d /run/systemd/units; do sleep 0.1; done; "
                   f"{script}"), "give it a boot id")

    def _mount(self) -> None:
        self._beside("mount", "-o", f"loop,commit={COMMIT_SECONDS}", str(self.image), str(self.tree))

    def _umount(self) -> None:
        for _attempt in range(100):
            if not subprocess.run(beside_podman("umount", str(self.tree)), capture_output=True, check=False).returncode:
                return
            time.sleep(0.1)
        raise HostError(f"Failed to unmount {self.tree}: something still uses it")

    def _beside(self, *command: str) -> None:
        run(beside_podman(*command), f"{command[0]} the tree of {self.name}")
