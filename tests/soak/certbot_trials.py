"""The certificates of the molecule scenario with one certbot after the other, each in the role's virtual environment.

A certbot has the Python packages of its time, as far as there are wheels of them for the host's Python: the newest from
before a day, which is that of the Ubuntu that has this version, or soon after its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import host as test_hosts
from remote import Remote

CHECKOUT = Path(__file__).resolve().parents[2]
SCENARIO = CHECKOUT / "molecule" / "certbot"
OWN = CHECKOUT / "roles" / "certbot" / "files" / "certbot-requirements.txt"
SCENARIOS = ("account", "alarm", "lifetimes", "expired", "down", "names", "keys", "eab", "nonce", "closed", "refused",
             "locked", "rate", "dns")
SHOWN = ("acme", "josepy", "cryptography", "pyopenssl", "requests", "certbot-dns-rfc2136")
# These have no wheels for Python 3.11 that are older.
LATER = {"configobj": "2024-12-01", "cffi": "2022-07-01", "zope-event": "2023-01-01", "zope-component": "2023-01-01",
         "zope-hookable": "2023-12-01", "zope-interface": "2023-12-01"}
FORGET = """
rm -rf /etc/letsencrypt /var/log/letsencrypt /opt/ringstand/certbot /var/lib/ringstand/certificates.json
systemctl restart pebble
"""


@dataclass(frozen=True)
class Version:
    """``before`` is the day; without one the role's own file says what goes with it."""

    certbot: str
    known_from: str
    before: str = ""
    later: dict[str, str] = field(default_factory=dict)


VERSIONS = (
    Version("1.21.0", "Ubuntu 22.04", "2022-04-21", LATER),
    Version("2.9.0", "Ubuntu 24.04", "2024-04-25", {"configobj": "2024-12-01"}),
    Version("3.3.0", "", "2025-05-01"),
    Version("4.2.0", "", "2025-08-10"),
    Version("5.0.0", "", "2025-09-10"),
    Version("5.8.0", "the role's virtual environment"),
)


class Place:
    """The host, and what is played on it."""

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self._folder = test_hosts.STATE / f"{remote.name}-certbot"
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "inventory.json").write_text(json.dumps(test_hosts.inventory([remote.name])), encoding="utf-8")

    def play(self, name: str, **variables: Any) -> str:
        """What a playbook of the scenario prints, which must end well."""
        argv = ["ansible-playbook", "-i", str(self._folder / "inventory.json"), str(SCENARIO / name),
                "-e", json.dumps({"plays_all": True, **variables})]
        environment = {**os.environ, "MOLECULE_EPHEMERAL_DIRECTORY": str(self._folder), "ANSIBLE_NOCOLOR": "1"}
        done = subprocess.run(argv, cwd=CHECKOUT, env=environment, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise AssertionError(f"{name} ended with {done.returncode}:\n{done.stdout[-3000:]}")
        return done.stdout

    def converge(self, version: Version) -> int:
        """Apply the roles; returns how many tasks changed something."""
        output = self.play("converge.yml", certbot_source="virtual_environment",
                           certbot_requirements_path=str(self.requirements(version)))
        return int(re.findall(r"\bchanged=(\d+)", output)[-1])

    def requirements(self, version: Version) -> Path:
        """The requirements file of a user who wants this certbot and the plugin."""
        path, python = self._folder / f"certbot-{version.certbot}.txt", self.remote.must("python3 --version").split()[1]
        if not path.exists():
            wanted = self._folder / "wanted.in"
            names = ("certbot", "acme", "certbot-dns-rfc2136")
            wanted.write_text("".join(f"{name}=={version.certbot}\n" for name in names), encoding="utf-8")
            limits = ["--exclude-newer", version.before] if version.before else ["--constraint", str(OWN)]
            limits += [word for pair in version.later.items() for word in ("--exclude-newer-package", "=".join(pair))]
            subprocess.run(["uv", "pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate",
                            "--only-binary=:all:", f"--python-version={python}", *limits, f"--output-file={path}",
                            str(wanted)], check=True)
        return path


def run(place: Place, versions: tuple[Version, ...], say: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Yield what each version has done, then what comes of one after the other on the same certificates."""
    place.play("prepare.yml")
    for version in versions:
        place.remote.must(FORGET)
        yield _said(say, f"certbot {version.certbot}", lambda version=version: _all(place, version))
    if len(versions) > 1:
        place.remote.must(FORGET)
        yield _said(say, "the oldest, the newest and the oldest again", lambda: _upgrade(place, versions))


def _said(say: Callable[[str], None], what: str, play: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    begun, problems, found = time.monotonic(), list[str](), dict[str, Any]()
    try:
        found = play()
        problems += found.pop("problems", [])
    except AssertionError as error:
        problems.append(str(error)[-1500:])
    seconds = round(time.monotonic() - begun)
    say(f"{what}: {'passed' if not problems else f'FAILED {problems}'}, {seconds} s")
    return {"what": what, **found, "seconds": seconds, "passed": not problems, "reason": problems}


def _all(place: Place, version: Version) -> dict[str, Any]:
    remote = place.remote
    place.converge(version)
    again = place.converge(version)
    problems = [f"a second run changed {again} tasks"] if again else []
    told = remote.must("/opt/ringstand/certbot/bin/certbot --version")
    problems += [] if told == f"certbot {version.certbot}" else [f"it is {told}"]
    pinned = dict(re.findall(r"^(\S+)==(\S+)", place.requirements(version).read_text("utf-8"), re.MULTILINE))
    played: dict[str, float] = {}
    for name in SCENARIOS:
        done = remote.run(f"python3 /root/scenarios.py {name}")
        seconds = re.search(rf"^{name}: ([\d.]+) s", done.output, re.MULTILINE)
        if done.code or not seconds:
            problems.append(f"{name}: {done.output[-1200:]}")
        else:
            played[name] = float(seconds[1])
    return {
        "certbot": version.certbot, "known_from": version.known_from, "python": remote.must("python3 --version"),
        "packages": {name: pinned.get(name, "") for name in SHOWN}, "scenarios": played, "problems": problems,
    }


def _upgrade(place: Place, versions: tuple[Version, ...]) -> dict[str, Any]:
    """What one certbot has made is renewed by the next, in both directions, and none orders anything by itself."""
    problems, serials = [], dict[str, str]()
    for step, version in enumerate((versions[0], versions[-1], versions[0])):
        place.converge(version)
        rows = place.remote.json("ringstand --json certificates")["certificates"]
        now = {row["site"]: row["serial"] for row in rows}
        if step and now != serials:
            problems.append(f"certbot {version.certbot} ordered by itself: {now}, and before {serials}")
        for site in ("shop", "wild"):
            done = place.remote.run(f"ringstand certificate renew {site}")
            if done.code:
                problems.append(f"certbot {version.certbot} did not renew {site}: {done.output[-600:]}")
        rows = place.remote.json("ringstand --json certificates")["certificates"]
        serials = {row["site"]: row["serial"] for row in rows}
        problems += [f"{row['site']}: {row['problem']}" for row in rows if row["problem"]]
    return {"steps": [versions[0].certbot, versions[-1].certbot, versions[0].certbot], "problems": problems}
