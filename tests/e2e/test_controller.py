"""A team's own controller: a Debian 13 machine with the newest ansible-core and the published collection, nothing of
this checkout. What it sets up is a machine that calls itself Ubuntu 24.04: Debian 13 with Ubuntu's names, its SSH
socket and its needrestart, so that whatever looks at a name sees that one. It is not an Ubuntu."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import host as test_hosts
import pytest
import yaml
from conftest import CHECKOUT, NAME
from machine import lock
from probe import ask

CONTROLLER, TARGET = "e2e-controller", "e2e-ubuntu"
# With what they need themselves.
NEEDED = ("community/general", "community/library_inventory_filtering_v1", "community/postgresql")
WHEELS = CHECKOUT / ".cache" / "wheels"
OS_RELEASE = """PRETTY_NAME="Ubuntu 24.04.3 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04.3 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=noble
"""
LSB_RELEASE = """DISTRIB_ID=Ubuntu
DISTRIB_RELEASE=24.04
DISTRIB_CODENAME=noble
DISTRIB_DESCRIPTION="Ubuntu 24.04.3 LTS"
"""


def on(name: str, script: str, stdin: bytes = b"", check: bool = True) -> str:
    """Run a shell script on a host as its administrator."""
    command = [*test_hosts.ssh_command(test_hosts.find(name)), f"bash -ec {shlex.quote(script)}"]
    done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    output = done.stdout.decode(errors="replace")
    if check and done.returncode:
        pytest.fail(f"Failed on {name}: {script}\n{output[-4000:]}", pytrace=False)
    return output


def lock_of_newest_core() -> Path:
    """Of the newest ansible-core that is released."""
    def released(path: Path) -> bool:
        return re.search(r"^ansible-core==[\d.]+ ", path.read_text(encoding="utf-8"), re.MULTILINE) is not None

    cores = [path for path in (CHECKOUT / "tests/cores").glob("*.txt") if released(path)]
    return max(cores, key=lambda path: int(path.stem.split(".")[1]))


def locked_with_core() -> str:
    """What ansible-core needs and itself, every version and hash from the locks."""
    wanted = ("ansible-core", "cffi", "cryptography", "jinja2", "markupsafe", "packaging", "pycparser", "pyyaml",
              "resolvelib")
    text = (CHECKOUT / "requirements-dev.txt").read_text(encoding="utf-8")
    text = re.sub(r"^ansible(-core)?==.*\n(    .*\n)*", "", text, flags=re.MULTILINE)
    entries = re.findall(r"^(?:[a-z].*\n)(?:    .*\n)*", text + lock_of_newest_core().read_text("utf-8"), re.MULTILINE)
    return "".join(entry for entry in entries if entry.split("==")[0] in wanted)


def dependencies(to: Path) -> list[Path]:
    """The collections that ours needs, as Galaxy would serve them: taken from the bundle that fits that core."""
    WHEELS.mkdir(parents=True, exist_ok=True)
    pin = re.search(r"^ansible==\S+ .*\n(    .*\n)+", lock_of_newest_core().read_text("utf-8"), re.MULTILINE)[0]
    version = re.match(r"ansible==(\S+)", pin)[1]
    with lock(WHEELS / "lock"):
        wheel = WHEELS / f"ansible-{version}-py3-none-any.whl"
        if not wheel.exists():
            (WHEELS / "ansible.txt").write_text(pin, encoding="utf-8")
            subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps",
                            "--only-binary=:all:", "--python-version=3.13", f"--dest={WHEELS}",
                            "--requirement", str(WHEELS / "ansible.txt")], check=True)
    with zipfile.ZipFile(wheel) as bundle:
        for name in NEEDED:
            folder = f"ansible_collections/{name}"
            bundle.extractall(to, [entry for entry in bundle.namelist() if entry.startswith(f"{folder}/")])
            # The bundle leaves out the tests that the manifest lists, so it is packed anew.
            information = json.loads((to / folder / "MANIFEST.json").read_text("utf-8"))["collection_info"]
            (to / folder / "galaxy.yml").write_text(yaml.safe_dump(
                {key: value for key, value in information.items() if value}), encoding="utf-8")
            subprocess.run(["ansible-galaxy", "collection", "build", to / folder, "--output-path", to], check=True,
                           stdout=subprocess.DEVNULL)
    return sorted(to.glob("*.tar.gz"))


def set_up_controller(artifact: Path, work: Path) -> None:
    test_hosts.up(CONTROLLER, "debian-13", None, [])
    index = f"UV_SYSTEM_CERTS=true UV_DEFAULT_INDEX={shlex.quote(os.environ.get('PIP_INDEX_URL', ''))}"
    on(CONTROLLER, "install -d -m 0700 ~/bin ~/.ssh; cat >~/bin/uv; chmod 0755 ~/bin/uv",
       (CHECKOUT / ".venv/bin/uv").read_bytes())
    on(CONTROLLER, f"cat >core.txt; {index} bin/uv venv --quiet --python /usr/bin/python3 venv; "
       f"{index} VIRTUAL_ENV=~/venv bin/uv pip sync --quiet --require-hashes core.txt", locked_with_core().encode())
    archives = [artifact, *dependencies(work)]
    for archive in archives:
        on(CONTROLLER, f"cat >{archive.name}", archive.read_bytes())
    on(CONTROLLER, f"venv/bin/ansible-galaxy collection install --offline {' '.join(one.name for one in archives)}")
    on(CONTROLLER, "cat >.ssh/id_ed25519; chmod 0600 .ssh/id_ed25519", test_hosts.KEY.read_bytes())


def set_up_target() -> None:
    test_hosts.up(TARGET, "debian-13", None, [])
    on(TARGET, "sudo apt-get update -qq; "
       "sudo DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends needrestart >/dev/null")
    on(TARGET, "sudo rm /etc/os-release; sudo tee /etc/os-release /usr/lib/os-release >/dev/null", OS_RELEASE.encode())
    on(TARGET, "sudo tee /etc/lsb-release >/dev/null", LSB_RELEASE.encode())
    on(TARGET, "sudo systemctl disable --quiet ssh.service; sudo systemctl enable --quiet ssh.socket; "
       "sudo systemd-run --quiet --collect sh -c 'systemctl stop ssh.service; systemctl start ssh.socket'; sleep 1",
       check=False)
    assert on(TARGET, "systemctl is-active ssh.socket").strip() == "active"


class Controller:
    """The machine on which somebody types ansible-playbook."""

    address = ""

    def play(self, playbook: str, *arguments: str) -> tuple[str, list[str]]:
        """The output of a playbook that must end well, and the tasks that changed something."""
        output = on(CONTROLLER, f"ANSIBLE_NOCOLOR=1 venv/bin/ansible-playbook -i hosts.yml ringstand.flask.{playbook} "
                    f"{' '.join(arguments)} </dev/null")
        tasks = re.split(r"^TASK ", output, flags=re.MULTILINE)[1:]
        return output, [task.splitlines()[0] for task in tasks if re.search(r"^changed: ", task, re.MULTILINE)]


@pytest.fixture(scope="module")
def controller(artifact, tmp_path_factory):
    test_hosts.STATE.mkdir(parents=True, exist_ok=True)
    with lock(test_hosts.STATE / f"{CONTROLLER}.lock"):
        test_hosts.remove([CONTROLLER, TARGET])
        try:
            with ThreadPoolExecutor() as pool:
                both = [pool.submit(set_up_controller, artifact, tmp_path_factory.mktemp("collections")),
                        pool.submit(set_up_target)]
            for one in both:
                one.result()
            made = Controller()
            made.address = test_hosts.find(TARGET).address
            on(CONTROLLER, "cat >.ssh/known_hosts", test_hosts.KNOWN_HOSTS.read_bytes())
            on(CONTROLLER, "cat >hosts.yml", yaml.safe_dump(inventory(made.address)).encode())
            made.first = made.play("site")
            made.second = made.play("site")
            yield made
        finally:
            if not os.environ.get("E2E_KEEP_HOST"):
                test_hosts.remove([CONTROLLER, TARGET])


def inventory(address: str) -> dict:
    examples = "/home/admin/.ansible/collections/ansible_collections/ringstand/flask/examples"
    return {"all": {
        "hosts": {"vm1": {"ansible_host": address, "ansible_user": "admin",
                          "ansible_python_interpreter": "/usr/bin/python3"}},
        "vars": {
            "host_locale": "de_DE.UTF-8",
            "flask_apps": {"shop": {
                "domains": [NAME], "source": {"path": f"{examples}/shop"}, "wsgi": "shop:create_app()",
                "static": {"url": "/static/", "dir": "shop/static"}, "health": {"path": "/health/ready"},
                "tls": {"certificate": "self_signed"},
            }},
        },
    }}


def test_it_is_the_newest_core_on_the_controllers_own_python(controller):
    version = on(CONTROLLER, "venv/bin/ansible --version")
    assert f"core {lock_of_newest_core().stem}." in version
    assert "python version = 3.13" in version
    assert f"{CHECKOUT}" not in version


def test_the_target_counts_as_ubuntu(controller):
    said = on(CONTROLLER, "ANSIBLE_NOCOLOR=1 venv/bin/ansible vm1 -i hosts.yml -m ringstand.flask.host_facts --become")
    found = json.loads(said[said.index("=> {") + 3:])["ansible_facts"]["ringstand"]
    assert (found["os_id"], found["os_version"], found["os_codename"]) == ("ubuntu", "24.04", "noble")


def test_the_site_answers(controller):
    answer = ask(controller.address, NAME, "/health/ready")
    assert (answer.status, json.loads(answer.body)["status"]) == (200, "ok")


def test_a_second_run_changes_nothing(controller):
    output, changed = controller.second
    assert changed == []
    assert re.search(r"vm1 .*changed=0 .*failed=0", output)


def test_a_deploy_runs_from_the_installed_collection(controller):
    output, _changed = controller.play("deploy", "-e", "app=shop")
    assert "failed=0" in output
    assert ask(controller.address, NAME, "/health/ready").status == 200


def test_security_updates_come_from_ubuntus_archive(controller):
    said = on(TARGET, "sudo env LC_ALL=C.UTF-8 unattended-upgrade --dry-run --verbose")
    allowed = next(line for line in said.splitlines() if "Allowed origins" in line)
    assert "origin=Ubuntu,archive=noble-security,label=Ubuntu" in allowed


def test_ssh_that_is_a_socket_stays_reachable(controller):
    assert on(TARGET, "systemctl is-active ssh.socket").strip() == "active"
    assert re.search(r"^22/tcp .*ALLOW", on(TARGET, "sudo ufw status"), re.MULTILINE)


def test_needrestart_keeps_what_would_cut_off_the_apps(controller):
    check = ("our %nrconf; do '/etc/needrestart/needrestart.conf'; die $@ if $@; my $r = $nrconf{override_rc}; "
             "print join ' ', map { my $u = $_; (grep { $u =~ $_ && !$r->{$_} } keys %$r) ? 1 : 0 } @ARGV")
    units = "ringstand-shop@blue.service postgresql@17-main.service cron.service"
    assert on(TARGET, f"sudo perl -e {shlex.quote(check)} {units}").strip() == "1 1 0"


def test_the_locale_was_made(controller):
    assert "de_DE.utf8" in on(TARGET, "locale -a")
