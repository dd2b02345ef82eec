# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the gunicorn role renders and starts, worked out from its variables and the state of the host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from .apps import as_list, normalise, plain, process_settings
from .build_settings import build_settings, changed
from .errors import RingstandError
from .layout import SETTINGS_DIR, AppSettings, Layout
from .package_index import INDEX_NAME, split_credentials
from .sandbox import sandbox_directives

START_TIMEOUT_SECONDS = 60
_ESCAPED = str.maketrans({character: f"\\{character}" for character in '\\"$`'})


def gunicorn_complete(apps: Any) -> list[dict[str, Any]]:
    """Items of ``gunicorn_apps`` with the defaults of everything that was left out, environment included."""
    complete = []
    for given in plain(apps):
        # An app of this role alone may have neither domain nor source; normalise wants both.
        wanted = {**given, "database": False, "redis": False}
        wanted["domains"] = given.get("domains") or [f"{given['name']}.invalid"]
        wanted["source"] = given.get("source") or {"path": "/"}
        app = normalise({given["name"]: wanted})[given["name"]]
        workers = app["workers"] if app["workers"] != "auto" else 2
        environment = {
            "FLASK_DEBUG": "0",
            "PYTHONUNBUFFERED": "1",
            "WEB_CONCURRENCY": str(workers),
            **({"FLASK_APP": app["flask_app"]} if app["flask_app"] else {}),
            # Relative to the working directory, which is the source in every unit.
            **({"PYTHONPATH": app["python_path"]} if app["python_path"] else {}),
            **app["environment"],
        }
        app.update(workers=workers, environment=environment)
        # In ten percent more requests at most: else all workers would be replaced at the same moment.
        jitter = app["max_requests_jitter"]
        app["max_requests_jitter"] = app["max_requests"] // 10 if jitter is None else jitter
        scheme, separator, _rest = environment.get("DATABASE_URL", "").partition("://")
        app["database_url_scheme"] = scheme if separator else ""
        app.setdefault("start_timeout_seconds", START_TIMEOUT_SECONDS)
        app["domains"] = as_list(given.get("domains"))
        if not given.get("source"):
            del app["source"]
        complete.append(app)
    return complete


def systemd_environment(values: Mapping[str, Any]) -> str:
    """The text of an environment file as systemd.exec(5) describes it; newlines in values are kept.

    Raises :class:`RingstandError`, without the value, for a NUL character, which no environment can hold.
    """
    lines = []
    for name, value in sorted(plain(values).items()):
        text = str(value)
        if "\0" in text:
            raise RingstandError(f"Failed to write the environment variable {name}: its value has a NUL character")
        lines.append(f'{name}="{text.translate(_ESCAPED)}"\n')
    return "".join(lines)


def app_settings(app: Mapping[str, Any], probe_port: int | None = None) -> dict[str, Any]:
    """What of an app goes into its settings file for the program on the host: nothing secret."""
    known = {entry.name for entry in fields(AppSettings)}
    settings = {key: value for key, value in plain(app).items() if key in known and value is not None}
    settings["package_index_url"] = split_credentials(settings.get("package_index_url") or "")[0]
    return {**settings, "probe_port": probe_port if settings.get("domains") else None}


def build_environment(app: Mapping[str, Any]) -> str:
    """The text of the environment file that only builds get: the index's credentials; empty without any. Secret."""
    _url, user, password = split_credentials(plain(app).get("package_index_url") or "")
    names = {"USERNAME": user, "PASSWORD": password}
    return systemd_environment({f"UV_INDEX_{INDEX_NAME.upper()}_{name}": text for name, text in names.items() if text})


def app_sandbox(app: Mapping[str, Any]) -> list[list[str]]:
    """The sandbox directives of an app's slots."""
    layout = Layout(str(app["name"]))
    return [list(pair) for pair in sandbox_directives(bool(app["outbound_network"]), [layout.shared_dir])]


def gunicorn_units(states: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The units that must run: the live slot of each app that has one, with its workers and schedulers."""
    known = plain(states)
    units: list[dict[str, Any]] = []
    # At boot it makes the links, and so it does when one of them is gone.
    if not all(state["linked"] for state in known.values()):
        units.append({"name": "ringstand-boot.service", "masked": False, "state": "restarted"})
    for name, state in known.items():
        # systemd refuses to listen for a service that runs; the restart of what is stale moves it to the other slot.
        deaf = state["service"] == "active" and state["listener"] != "active"
        if state["slot"] and not deaf:
            layout = Layout(name)
            for unit in (layout.socket_unit(state["slot"]), layout.service_unit(state["slot"])):
                units.append({"name": unit, "masked": False, "state": "started"})
        if not state["activation"]:
            units += _processes_as_planned(state)
    return units


def _processes_as_planned(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Units of processes that are right but for not running; whatever else is wrong takes an activation."""
    return [
        {"name": unit, "masked": False, "state": "started"}
        for process in state["processes"]
        if process["planned"]
        for unit in process["units"]
    ]


def gunicorn_unsettled(states: Mapping[str, Mapping[str, Any]], changed_paths: Iterable[str]) -> list[str]:
    """The apps that serve and whose workers and schedulers may differ from their settings."""
    changed = set(plain(list(changed_paths)))
    return [
        name
        for name, state in plain(states).items()
        if state["release"]
        and not state["activation"]
        and (
            f"{SETTINGS_DIR}/{name}.json" in changed
            or not all(process["planned"] for process in state["processes"])
        )
    ]


def gunicorn_scaled(apps: Iterable[Mapping[str, Any]], states: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The processes whose number an operator set otherwise than the variables: app, process, count and wanted."""
    found = []
    for app in plain(list(apps)):
        given, scale = app.get("processes") or {}, plain(states)[app["name"]].get("scale") or {}
        for process, count in scale.items():
            wanted = process_settings(process, given.get(process) or "")["count"]
            if count != wanted and (process in given or app.get("processes") is None):
                found.append({"app": app["name"], "process": process, "count": count, "wanted": wanted})
    return found


def gunicorn_outdated(
    apps: Iterable[Mapping[str, Any]], states: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The apps whose live release was built with other settings than the variables say: app, and names of settings."""
    found = []
    for app in gunicorn_complete(list(apps)):
        root_directory = (app["source"].get("root_directory") or "") if app.get("source") else None
        wanted = build_settings(AppSettings(**app_settings(app)), root_directory)
        names = changed(plain(states)[app["name"]].get("built"), wanted)
        found += [{"app": app["name"], "settings": names}] if names else []
    return found


def gunicorn_stale(states: Mapping[str, Mapping[str, Any]], changed_paths: Iterable[str]) -> list[str]:
    """The apps that serve and whose processes are older than what they read at their start."""
    changed = set(plain(list(changed_paths)))
    stale = []
    for name, state in plain(states).items():
        layout = Layout(name)
        unit = f"/etc/systemd/system/ringstand-{name}@.service"
        read_at_start = {layout.environment_file, layout.gunicorn_config, unit}
        if state["release"] and (state["stale"] or read_at_start & changed):
            stale.append(name)
    return stale
