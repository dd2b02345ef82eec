"""Images of freshly installed machines, built with mmdebstrap and shared by all checkouts on this machine."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

from machine import HostError, as_root, podman, run, shared_lock

# distribution: suite, keyring (None: the one mmdebstrap finds)
DISTRIBUTIONS = {
    "debian-12": ("bookworm", None),
    "debian-13": ("trixie", None),
    "ubuntu-22.04": ("jammy", "/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
    "ubuntu-24.04": ("noble", "/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
    "ubuntu-26.04": ("resolute", "/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
}
DEFAULT_DISTRIBUTION = "debian-13"
REPOSITORY = "localhost/ringstand-host"

# What a minimal cloud image has. Nothing that the roles install: a first run has to do its work.
PACKAGES = [
    "systemd", "systemd-sysv", "dbus", "python3", "python3-apt", "iproute2", "sudo", "ca-certificates",
    "openssh-server", "cron", "procps", "kmod",
]

# Each host makes its own SSH key at first boot, as cloud images do.
HOST_KEY_UNIT = """[Unit]
Description=Make this host's SSH key
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
[Install]
WantedBy=multi-user.target
"""

CUSTOMIZE = f"""set -eu
root=$1
chroot "$root" useradd --create-home --shell /bin/bash admin
echo 'admin ALL=(ALL) NOPASSWD: ALL' > "$root/etc/sudoers.d/admin"
chmod 0440 "$root/etc/sudoers.d/admin"
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/apt/apt.conf.d/99mmdebstrap"
cat > "$root/etc/systemd/system/ssh-host-key.service" <<'UNIT'
{HOST_KEY_UNIT}UNIT
chroot "$root" systemctl enable --quiet ssh-host-key.service
chroot "$root" systemctl mask --quiet systemd-modules-load.service systemd-udevd.service
chroot "$root" update-ca-certificates >/dev/null
"""


def authorities() -> list[Path]:
    """Certificate authorities that the controller trusts on top of its distribution's: a company proxy's, mostly."""
    system = Path("/etc/ssl/certs/ca-certificates.crt")
    found = sorted(Path("/usr/local/share/ca-certificates").glob("**/*.crt"))
    for variable in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        bundle = Path(os.environ.get(variable) or system)
        if bundle.is_file() and bundle.resolve() != system.resolve():
            return [*found, bundle]
    return found


def recipe(distribution: str) -> list[str]:
    """The mmdebstrap command that builds the image, everything but where the result goes."""
    if distribution not in DISTRIBUTIONS:
        raise HostError(
            f"Failed to choose a distribution: {distribution!r} is not one of {', '.join(DISTRIBUTIONS)}"
        )
    suite, keyring = DISTRIBUTIONS[distribution]
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}",
               '--aptopt=Acquire::http::Timeout "20"', '--aptopt=Acquire::Retries "1"']
    if keyring:
        # Redis, certbot and the backup tools are in universe; Debian has them in main.
        command += [f"--keyring={keyring}", "--components=main,universe"]
    for number, path in enumerate(authorities()):
        copy = f"/usr/local/share/ca-certificates/controller-{number}.crt"
        command.append(f"--customize-hook=install -m 0644 {shlex.quote(str(path))} \"$1{copy}\"")
    return [*command, f"--customize-hook={CUSTOMIZE}", suite]


def tag(distribution: str) -> str:
    content = hashlib.sha256("\0".join(recipe(distribution)).encode())
    for path in authorities():
        content.update(path.read_bytes())
    return f"{REPOSITORY}:{distribution}-{content.hexdigest()[:12]}"


def exists(image: str) -> bool:
    return subprocess.run(podman("image", "exists", image), check=False).returncode == 0


def ensure(distribution: str) -> str:
    """Build the image unless it is there; return its tag."""
    image = tag(distribution)
    if exists(image):
        return image
    keyring = DISTRIBUTIONS[distribution][1]
    if keyring and not Path(keyring).exists():
        raise HostError(
            f"Failed to build the image {distribution}: the keyring of its archive, {keyring}, is not on this machine; "
            f"choose another distribution ({other_distributions(distribution)})"
        )
    with shared_lock(f"image-{distribution}.lock"):
        if not exists(image):
            print(f"Building the image {distribution} (about 30 seconds, once)", file=sys.stderr, flush=True)
            build(distribution, image)
    return image


def build(distribution: str, image: str) -> None:
    mirror = [os.environ["TESTHOST_MIRROR"]] if os.environ.get("TESTHOST_MIRROR") else []
    command = as_root([*recipe(distribution), "-", *mirror])
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=False) as builder:
        importer = subprocess.Popen(podman("import", "--quiet", "-", f"{image}-partial"), stdin=builder.stdout,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert builder.stdout is not None and builder.stderr is not None
        builder.stdout.close()
        log = builder.stderr.read().decode(errors="replace")
        import_log = importer.communicate()[1].decode(errors="replace")
    if builder.returncode:
        remove(f"{image}-partial")
        tail = "\n  ".join(log.strip().splitlines()[-12:])
        raise HostError(
            f"Failed to build the image {distribution}: mmdebstrap exited with {builder.returncode}. If its archive "
            "cannot be reached from here, set TESTHOST_MIRROR to a mirror of it or choose another distribution "
            f"({other_distributions(distribution)}).\n  {tail}"
        )
    if importer.returncode:
        raise HostError(f"Failed to import the image {distribution}: {import_log.strip()}")
    # Only now under the name that others look for: a failed build leaves no image that looks good.
    run(podman("tag", f"{image}-partial", image), "name the image")
    run(podman("untag", f"{image}-partial", f"{image}-partial"), "name the image")


def other_distributions(distribution: str) -> str:
    return ", ".join(name for name in DISTRIBUTIONS if name != distribution)


def remove(image: str) -> None:
    subprocess.run(podman("rmi", image), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def remove_unused() -> None:
    """Remove our images that no container of any checkout uses."""
    for image in dict.fromkeys(run(podman("images", "--quiet", REPOSITORY), "list images").split()):
        remove(image)
