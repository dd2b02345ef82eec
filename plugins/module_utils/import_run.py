# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The arrival of an app from elsewhere: everything is checked, then its data is loaded as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from . import import_dump, import_source, import_target, import_uploads, maintenance, schema_of_release, switch
from .errors import RingstandError
from .import_dump import Dump
from .import_script import Facts, Script
from .import_uploads import Uploads
from .layout import AppSettings
from .pgbackrest import OWNER
from .postgresql_programs import newest_program

WORK_DIR = "/var/tmp"  # noqa: S108 - whoever talks to the source gets there, and into a directory of its own
_RESERVE_BYTES = 256 * 1024 * 1024
_MIB = 1024 * 1024
Say = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What is to be imported into an app: a dump by its path or a source by its URL, uploads, or both."""

    settings: AppSettings
    dump: str = ""
    url: str = ""
    uploads: str = ""
    uploads_into: str = ""


def run(wanted: Wanted, by: str, say: Say, check: bool = False) -> dict[str, Any]:
    """Import, or with ``check`` only say what would be; returns what came of it.

    Raises :class:`RingstandError`; the app's database is then as it was before.
    """
    uploads = None
    if wanted.uploads:
        uploads = import_uploads.find(wanted.settings.name, wanted.uploads, wanted.uploads_into)
    if not (wanted.dump or wanted.url):
        if not uploads:
            raise RingstandError("Failed to import nothing: give --dump, --url-file or --uploads")
        return _uploads_only(uploads, say, check)
    if wanted.url:
        say("connecting to the source")
        with import_source.opened(wanted.url, _reader(wanted.settings.name), WORK_DIR) as source:
            facts = Facts(source.version, source.extensions)
            target = _check(wanted.settings, facts, "the source")
            _check_client(source.version)
            if check:
                tables = len(source.tables)
                return _would(wanted, target, f"the source's {tables} tables ({source.size // _MIB + 1} MiB)", uploads)
            _check_room(WORK_DIR, source.size)
            say("counting the source's rows")
            facts.tables = dict(source.count())
            say("dumping the source")
            return _import(wanted, import_dump.recognise(source.dump()), facts, target, uploads, by, say)
    if not os.path.isabs(wanted.dump):
        raise RingstandError(f"Failed to import {wanted.dump!r}: name it from / on")
    dump = import_dump.recognise(wanted.dump)
    say(f"reading {dump.describe()}")
    facts = import_dump.examine(dump)
    target = _check(wanted.settings, facts, "the dump")
    if check:
        return _would(wanted, target, f"{dump.describe()} with {len(facts.tables)} tables", uploads)
    return _import(wanted, dump, facts, target, uploads, by, say)


def _check(settings: AppSettings, facts: Facts, source: str) -> dict[str, Any]:
    """What the app's database is like; raises :class:`RingstandError` when it cannot take what comes."""
    if not settings.database_url_scheme.startswith("postgres"):
        raise RingstandError(f"Failed to import into {settings.name}: it has no PostgreSQL database")
    target = import_target.about(settings)
    full = import_target.filled(settings, target["tables"])
    if full:
        shown = ", ".join(full[:5]) + (f" and {len(full) - 5} more" if len(full) > 5 else "")
        close = f"ringstand maintenance {settings.name} on && " if switch.live_release(settings.layout) else ""
        how = (
            f"{close}sudo -u {OWNER} dropdb --force {target['database']}, then run site.yml, which makes it anew"
            if settings.local_database else "empty it where it is"
        )
        raise RingstandError(
            f"Failed to import into {settings.name}: its database {target['database']} holds rows, in {shown}. "
            f"Nothing was changed. An import goes into an empty database; if nobody needs those rows: {how}"
        )
    if facts.version and facts.version > int(target["version"]):
        raise RingstandError(
            f"Failed to import into {settings.name}: {source} is of PostgreSQL {facts.version}, and this app's server "
            f"is {target['version']}, which is older. Nothing was changed. Upgrade it first, or give the app a newer "
            "one with database_url"
        )
    lacking = sorted(set(facts.extensions) - set(target["available"]) - {"plpgsql"})
    if lacking:
        raise RingstandError(
            f"Failed to import into {settings.name}: {source} needs the extensions {', '.join(lacking)}, which this "
            "server does not have. Nothing was changed. Install their packages (postgresql_packages), or drop them at "
            "the source if nothing uses them, and dump again"
        )
    for name, schema in facts.extensions.items():
        here = (target["installed"] or {}).get(name)
        if here and schema and here != schema:
            raise RingstandError(
                f"Failed to import into {settings.name}: {source} has the extension {name} in the schema {schema}, and "
                f"here it is in {here}. Nothing was changed. Move it: ALTER EXTENSION {name} SET SCHEMA {schema}"
            )
    return target


def _check_client(version: int) -> None:
    path = newest_program("pg_dump")
    ours = int(float(path.split("/")[4]))
    if ours < version:
        raise RingstandError(
            f"Failed to dump the source: it is PostgreSQL {version}, and the newest pg_dump here is {ours}. Nothing "
            f"was changed. Install postgresql-client-{version}, or give a dump that was made elsewhere"
        )


def _check_room(place: str, size: int) -> None:
    free = shutil.disk_usage(place).free
    if free < size + _RESERVE_BYTES:
        raise RingstandError(
            f"Failed to import: the source has {size // _MIB + 1} MiB, and {place} has {free // _MIB} MiB free. "
            "Nothing was changed. Make room there first"
        )


def _reader(app: str) -> str:
    """Who talks to the source: not root, and not the app where there is somebody else."""
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(OWNER).pw_name
    return app


def _would(wanted: Wanted, target: Mapping[str, Any], what: str, uploads: Uploads | None) -> dict[str, Any]:
    also = f", and {uploads.path} into {uploads.target}" if uploads else ""
    would = f"load {what} into the database {target['database']} of {wanted.settings.name}{also}"
    return {"app": wanted.settings.name, "changed": True, "would": would, "problems": []}


def _uploads_only(uploads: Uploads, say: Say, check: bool) -> dict[str, Any]:
    about = {"app": uploads.app, "changed": True, "problems": []}
    if check:
        return {**about, "would": f"unpack {uploads.path} into {uploads.target}"}
    say(f"unpacking the uploads into {uploads.target}")
    names = import_uploads.unpack(uploads)
    import_uploads.take_over(uploads, names)
    return {**about, "uploads": uploads.target}


def _import(
    wanted: Wanted, dump: Dump, facts: Facts, target: Mapping[str, Any], uploads: Uploads | None, by: str, say: Say
) -> dict[str, Any]:
    settings = wanted.settings
    names = []
    if uploads:
        say("unpacking the uploads aside")
        names = import_uploads.unpack(uploads)
    with _closed(settings, by, say) as ending:
        extensions = {name: schema for name, schema in facts.extensions.items()
                      if name != "plpgsql" and name not in (target["installed"] or {})}
        import_target.make_extensions(settings, target["database"], target["role"], extensions)
        say("loading it, as one transaction")
        script = Script()
        import_target.load(settings, import_dump.sql(dump, script), clear=bool(target["tables"]))
        if uploads:
            import_uploads.take_over(uploads, names)
        say("analyzing and counting what came")
        tables = import_target.about(settings, analyze=True)["tables"]
        expected = {**facts.tables, **({} if wanted.url else script.facts.tables)}
        rows = import_target.count(settings, tables, expected)
        problems = differences(expected, rows)
        revisions = import_target.revision(settings, tables)
        ending.fits = _fits(settings, problems)
    return {
        "app": settings.name, "changed": True, "database": target["database"], "tables": rows,
        "rows": sum(number or 0 for number in rows.values()), "revision": ", ".join(revisions),
        "extensions": sorted(extensions), "uploads": uploads.target if uploads else "", "problems": problems,
        "maintenance": maintenance.read(settings.name) is not None,
    }


def differences(expected: Mapping[str, int | None], rows: Mapping[str, int | None]) -> list[str]:
    """What is not as it was at the source; without a number there a table has to be there only."""
    found = []
    for name, number in sorted(expected.items()):
        here = rows.get(name)
        if here is None:
            found.append(f"the table {name} is missing")
        elif number is not None and here != number:
            found.append(f"the table {name} has {here} rows, and {number} at its source")
    return found


@dataclass
class _Ending:
    fits: bool = False


@contextlib.contextmanager
def _closed(settings: AppSettings, by: str, say: Say) -> Iterator[_Ending]:
    """Keep visitors out meanwhile, and afterwards too unless the live release fits what was imported."""
    ending = _Ending()
    live = switch.live_release(settings.layout)
    began = live is not None and maintenance.read(settings.name) is None
    if began:
        maintenance.check_served(settings.name)
        say("beginning maintenance")
        maintenance.switch_on(settings.name, f"{by} (import)", [], maintenance.own_page(settings.layout))
    try:
        yield ending
    except BaseException:
        if began:
            maintenance.switch_off(settings.name)
        raise
    if began and ending.fits:
        maintenance.switch_off(settings.name)


def _fits(settings: AppSettings, problems: list[str]) -> bool:
    """Whether the live release works with the schema that came; if not, what to do is one of the problems."""
    live = switch.live_release(settings.layout)
    if live is None:
        return True
    try:
        notice = schema_of_release.check_fits(settings, live, alone=True)
    except RingstandError as error:
        problems.append(
            f"{error.message} The app stays in maintenance. Deploy the release that fits, or this one again, which "
            f"migrates; then: ringstand maintenance {settings.name} off"
        )
        return False
    if notice:
        problems.append(notice)
    return True
