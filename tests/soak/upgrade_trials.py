"""PostgreSQL 15 to 17 under a live shop with a visitor: a refused one, there and back, and ways that are cut.

After each way to another version a drill has restored the newest backup of both places. The shop counts its visits in
the database, so each page tells whether the one before it was kept.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from probe import ask
from remote import Remote
from steps import CHECKOUT, NAME, BenchError, Place

UPGRADE = CHECKOUT / "playbooks" / "upgrade.yml"
PAUSE_SECONDS = 0.2
OLD, NEW = "15", "17"
# The older version's packages of one suite, on a host of a newer one.
OLDER = """
printf 'Types: deb\\nURIs: http://deb.debian.org/debian\\nSuites: bookworm\\nComponents: main\\nSigned-By: %s\\n' \\
  /usr/share/keyrings/debian-archive-keyring.gpg > /etc/apt/sources.list.d/bookworm.sources
apt-get update -qq
"""
# A setting that the new version does not know.
DROP_IN = f"/etc/postgresql/{OLD}/main/conf.d/99-mine.conf"
REFUSED = "vacuum_defer_cleanup_age = 0"
VERSION = "runuser -u postgres -- psql -XAtqc 'SHOW server_version_num' shop"
THERE, BACK = ("-e", f"version={NEW}"), ("-e", "rollback=true")
SECOND_PLACE = "/srv/second"
# As a reboot does it, and as nobody can prepare for.
STOP, KILL = "systemctl stop ringstand-upgrade", "systemctl kill --kill-who=main --signal=KILL ringstand-upgrade"
# By their command lines; pg_upgrade itself has a vacuumdb as well.
COPYING, SERVING = "[b]in/pg_upgrade -b", "[a]nalyze-in-stages"
ON_THE_HOST = "ringstand upgrade --rollback --confirm $(hostname)"


@dataclass(frozen=True)
class Way:
    """One way: ``cut`` is what ends it while a process ``during`` runs, and ``then`` what is done about it."""

    words: str
    options: tuple[str, ...]
    version: str
    breaks: str = ""
    cut: str = ""
    during: str = ""
    then: str = ""


WAYS = (
    Way("a setting that the new version does not know", THERE, OLD, breaks=REFUSED),
    Way("there", THERE, NEW),
    Way("back", BACK, OLD),
    Way("killed while it copies, then back on the host", THERE, OLD, cut=KILL, during=COPYING, then=ON_THE_HOST),
    Way("killed while the new one serves, then again", THERE, NEW, cut=KILL, during=SERVING, then="again"),
    Way("back again", BACK, OLD),
    Way("stopped while it copies", THERE, OLD, cut=STOP, during=COPYING),
    Way("stopped while the new one serves, then again", THERE, NEW, cut=STOP, during=SERVING, then="again"),
)


@dataclass(frozen=True)
class Visit:
    """One look at the page: when it was answered, how, and the number that it was given."""

    at: float
    status: str
    number: int = 0


class Visitor(threading.Thread):
    """Looks at the page without end, each time by a connection of its own, and never twice for one visit."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self._address, self._ended = address, threading.Event()
        self.visits: list[Visit] = []

    def run(self) -> None:
        while not self._ended.wait(PAUSE_SECONDS):
            self.visits.append(self._look())

    def _look(self) -> Visit:
        try:
            answer = ask(self._address, NAME, "/", timeout_seconds=60)
        except OSError as error:
            return Visit(time.monotonic(), type(error).__name__)
        page = answer.body.decode(errors="replace")
        if answer.status == 503 and "retry-after" in answer.headers:
            return Visit(time.monotonic(), "maintenance")
        found = re.search(r'id="visits-database">(\d+)<', page)
        return Visit(time.monotonic(), str(answer.status), int(found[1]) if found else 0)

    def end(self) -> list[Visit]:
        self._ended.set()
        self.join()
        return self.visits


def judge(visits: list[Visit], first: int) -> tuple[list[str], int]:
    """What is wrong with the visits of one way, whose first is to have the number ``first``; and the next number."""
    problems = [f"a visitor got {visit.status}" for visit in visits if visit.status not in ("200", "maintenance")]
    for visit in visits:
        if visit.status == "200":
            if visit.number != first:
                problems.append(f"a visit has the number {visit.number}, not {first}")
            first = visit.number + 1
    return problems, first


def closed_seconds(visits: list[Visit]) -> float:
    """From the first to the last visitor who met the maintenance page."""
    moments = [visit.at for visit in visits if visit.status == "maintenance"]
    return round(max(moments) - min(moments), 1) if moments else 0.0


def run(place: Place, count: int, say: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Yield what came of each way."""
    remote = Remote(place.name)
    remote.must(OLDER)
    remote.must(f"mkdir {SECOND_PLACE}")
    place.variables["postgresql_version"] = OLD
    place.variables["backup_repository"] = {"type": "path", "path": SECOND_PLACE}
    place.variables["flask_apps"]["shop"]["database"] = {"extensions": ["citext", "pg_trgm"]}
    place.play()
    place.wait_for_background()
    number, left_at, version = 1, 0, OLD
    for way in WAYS[:count]:
        if way.breaks:
            remote.must(f"echo '{way.breaks}' > {DROP_IN}")
        release = remote.json("ringstand --json status shop")["apps"][0]["release"]
        visitor = Visitor(place.host.address)
        visitor.start()
        time.sleep(2)
        problems, output = take(place, remote, way)
        if way.breaks:
            remote.must(f"rm {DROP_IN}")
        time.sleep(2)
        visits = visitor.end()
        before = [visit for visit in visits if visit.number and visit.at < first_closed(visits)]
        after = [visit for visit in visits if visit not in before]
        earlier, number = judge(before, number)
        if way.version == NEW:
            left_at = number
        # The way back is to the database of that moment, as it says.
        later, number = judge(after, left_at if way.options == BACK else number)
        problems += earlier + later
        found = remote.run(VERSION).output
        problems += [] if found[:2] == way.version else [f"the server is not {way.version}: {found[-300:]}"]
        problems += [] if after and after[-1].status == "200" else ["the site is not back"]
        status = remote.json("ringstand --json status shop")["apps"][0]
        problems += [] if status["release"] == release and not status["maintenance"] else [f"it ends as {status}"]
        if way.version != version:
            problems += unproven(remote)
            version = way.version
        if way.options == BACK:
            remote.must(f"pg_dropcluster {NEW} main_rolled_back")
        downtime = re.search(r"after ([\d.]+) s without a database", output)
        if problems:
            problems.append(remote.run("journalctl -qu ringstand-upgrade -n 15 -o cat; pg_lsclusters").output)
        case = {"way": way.words, "passed": not problems, "downtime_seconds": float(downtime[1]) if downtime else None,
                "closed_seconds": closed_seconds(visits), "visits": len(visits),
                "visits_answered": sum(visit.status == "200" for visit in visits), "problems": problems[:20]}
        say(f"{way.words}: {case}")
        yield case


def take(place: Place, remote: Remote, way: Way) -> tuple[list[str], str]:
    """Go it; returns what was not as it should be, and the output of the last run."""
    if way.cut:
        wait = f"timeout 600 sh -c 'until pgrep -f \"{way.during}\" >/dev/null; do sleep 0.1; done'"
        cutter = threading.Thread(target=remote.run, args=(f"{wait} && {way.cut}",))
        cutter.start()
        code, output = upgraded(place, way.options)
        cutter.join()
    else:
        code, output = upgraded(place, way.options)
    fails = bool(way.breaks or way.cut)
    problems = [] if (code != 0) == fails else [f"it ended with {code}: {output[-500:]}"]
    if way.then == "again":
        code, output = upgraded(place, way.options)
        problems += [] if code == 0 else [f"the next run ended with {code}: {output[-500:]}"]
    elif way.then:
        done = remote.run(way.then)
        problems += [] if done.code == 0 else [f"{way.then} ended with {done.code}: {done.output[-500:]}"]
    return problems, output


def unproven(remote: Remote) -> list[str]:
    """Why the newest backup of one of the places cannot be restored; nothing has made one but the upgrade itself."""
    drills = [remote.run(f"ringstand drill {place}", seconds=900) for place in ("", "--offsite")]
    return [f"a drill ended with {done.code}: {done.output[-500:]}" for done in drills if done.code]


def first_closed(visits: list[Visit]) -> float:
    """When the first visitor met the maintenance page."""
    return min((visit.at for visit in visits if visit.status == "maintenance"), default=float("inf"))


def upgraded(place: Place, options: tuple[str, ...]) -> tuple[int, str]:
    """The playbook, as its README says; its exit status is not 0 when it was refused."""
    try:
        return 0, place.play(UPGRADE, "-e", f"confirm={place.root('hostname').strip()}", *options).output
    except BenchError as error:
        return 1, str(error)
