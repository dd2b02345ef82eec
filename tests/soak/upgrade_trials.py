"""PostgreSQL 15 to 17 under a live shop with a visitor: a refused one, there, back, and there again.

The shop counts its visits in the database, so each page tells whether the one before it was kept.
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
    place.variables["postgresql_version"] = OLD
    place.variables["flask_apps"]["shop"]["database"] = {"extensions": ["citext", "pg_trgm"]}
    place.play()
    place.wait_for_background()
    number, left_at = 1, 0
    for words, options, version, breaks in (
        ("a setting that the new version does not know", THERE, OLD, REFUSED),
        ("there", THERE, NEW, ""),
        ("back", BACK, OLD, ""),
        ("there again", THERE, NEW, ""),
    )[:count]:
        if breaks:
            remote.must(f"echo '{breaks}' > {DROP_IN}")
        release = remote.json("ringstand --json status shop")["apps"][0]["release"]
        visitor = Visitor(place.host.address)
        visitor.start()
        time.sleep(2)
        code, output = upgraded(place, options)
        if breaks:
            remote.must(f"rm {DROP_IN}")
        time.sleep(2)
        visits = visitor.end()
        before = [visit for visit in visits if visit.number and visit.at < first_closed(visits)]
        after = [visit for visit in visits if visit not in before]
        problems, number = judge(before, number)
        if words == "there":
            left_at = number
        # The way back is to the database of that moment, as it says.
        later, number = judge(after, left_at if options == BACK else number)
        problems += later
        problems += [] if (code != 0) == bool(breaks) else [f"it ended with {code}: {output[-500:]}"]
        problems += [] if remote.must(VERSION)[:2] == version else [f"the server is not {version}"]
        problems += [] if after and after[-1].status == "200" else ["the site is not back"]
        status = remote.json("ringstand --json status shop")["apps"][0]
        problems += [] if status["release"] == release and not status["maintenance"] else [f"it ends as {status}"]
        problems += [] if remote.run("ringstand backup", seconds=900).code == 0 else ["no backup can be made"]
        downtime = re.search(r"after ([\d.]+) s without a database", output)
        case = {"way": words, "passed": not problems, "downtime_seconds": float(downtime[1]) if downtime else None,
                "closed_seconds": closed_seconds(visits), "visits": len(visits),
                "visits_answered": sum(visit.status == "200" for visit in visits), "problems": problems[:20]}
        say(f"{words}: {case}")
        yield case


def first_closed(visits: list[Visit]) -> float:
    """When the first visitor met the maintenance page."""
    return min((visit.at for visit in visits if visit.status == "maintenance"), default=float("inf"))


def upgraded(place: Place, options: tuple[str, ...]) -> tuple[int, str]:
    """The playbook, as its README says; its exit status is not 0 when it was refused."""
    try:
        return 0, place.play(UPGRADE, "-e", f"confirm={place.root('hostname').strip()}", *options).output
    except BenchError as error:
        return 1, str(error)
