"""When the same source makes another release, because it is built with other settings."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import build_settings, program, program_releases
from ansible_collections.ringstand.flask.plugins.module_utils.apps import DEFAULTS
from ansible_collections.ringstand.flask.plugins.module_utils.gunicorn_items import gunicorn_outdated
from ansible_collections.ringstand.flask.plugins.module_utils.layout import AppSettings
from ansible_collections.ringstand.flask.plugins.modules import deploy

APP = AppSettings("shop", {}, extra_packages=["gunicorn"], static={"url": "/static/", "dir": "static"})
BUILT = build_settings.build_settings(APP, "apps/shop")


@pytest.mark.parametrize(
    ("changes", "root_directory", "names"),
    [
        ({}, "apps/shop", []),
        ({}, "./apps/shop/", []),
        ({}, None, []),
        ({"keep_releases": 9}, "apps/shop", []),
        ({"static": {"url": "/assets/", "dir": "static"}}, "apps/shop", []),  # nginx' own business
        ({"static": None}, "apps/shop", ["static.dir"]),
        ({"extra_packages": [], "python": "3.13"}, "apps/shop", ["extra_packages", "python"]),
        ({"release_command": ["flask digest compile"]}, "apps/shop", ["release_command"]),
        ({"writable_dirs": ["instance"]}, "apps/shop", ["writable_dirs"]),
        ({"requirements_path": "deploy.txt"}, "apps/shop", ["requirements_path"]),
        ({}, "", ["source.root_directory"]),
    ],
)
def test_what_differs(changes: dict[str, Any], root_directory: str | None, names: list[str]) -> None:
    wanted = build_settings.build_settings(replace(APP, **changes), root_directory)
    assert build_settings.changed(BUILT, wanted) == names


def test_what_a_manifest_does_not_say_is_no_difference() -> None:
    """Else each app would be built anew for nothing once the program is newer than its live release."""
    assert build_settings.changed(None, BUILT) == []
    assert build_settings.changed({}, BUILT) == []


def test_manifest_and_variables_compare_as_what_they_are() -> None:
    """One has been JSON, the other goes through the role: no app is named whose variables are what they were."""
    given = {"name": "shop", "wsgi": "shop:app", "source": {"path": "/x", "root_directory": "apps/shop/"},
             "extra_packages": ["gunicorn"], "static": {"url": "/static/", "dir": "static"}}
    built = json.loads(json.dumps(BUILT))
    assert gunicorn_outdated([given], {"shop": {"built": built}}) == []
    assert gunicorn_outdated([given], {"shop": {"built": None}}) == []
    assert gunicorn_outdated([{**given, "python": None, "release_command": ""}], {"shop": {"built": built}}) == []
    assert gunicorn_outdated([{**given, "python": "3.13"}], {"shop": {"built": built}}) == [
        {"app": "shop", "settings": ["python"]}
    ]
    del given["source"]
    assert gunicorn_outdated([given], {"shop": {"built": built}}) == []


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What serves, and settings that have changed since when a test changes it."""
    state = {"sha": "5eed5eed", "release": "r1", "version": "v1", "built": dict(BUILT)}
    for module in (program_releases, deploy):
        monkeypatch.setattr(module, "app_state", lambda _layout: state)
        monkeypatch.setattr(module, "load_settings", lambda _app: APP)
    return state


@pytest.mark.parametrize(("extra", "is_deployed"), [(["gunicorn"], False), ([], True)])
def test_the_program_deploys_what_is_live_when_it_was_built_otherwise(
    live: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Any, extra: list[str], is_deployed: bool
) -> None:
    requests: list[dict[str, Any]] = []
    monkeypatch.setattr(program_releases, "_run", lambda _options, _kind, request: requests.append(request) or 0)
    live["built"]["extra_packages"] = extra
    archive = tmp_path / "source.tar"
    archive.touch()
    arguments = ["--archive", str(archive), "--sha", "5eed5eed", "--version", "v1", "--root-directory=apps/shop"]
    options = program._parser().parse_args(["deploy", "shop", *arguments])
    assert program_releases._deploy(options) == 0
    assert [request["root_directory"] for request in requests] == (["apps/shop"] if is_deployed else [])


@pytest.mark.parametrize(
    ("root_directory", "extra", "changed"), [("apps/shop", ["gunicorn"], False), ("apps/shop", [], True),
                                             (None, ["gunicorn"], True)]
)
def test_check_mode_foresees_it(
    live: dict[str, Any], root_directory: str | None, extra: list[str], changed: bool
) -> None:
    live["built"]["extra_packages"] = extra
    parameters = {"app": "shop", "sha": "5eed5eed", "version": "v1", "force": False,
                  "source": {"root_directory": root_directory}}
    assert deploy.run(parameters, "", check_mode=True)["changed"] is changed


def test_the_names_are_those_that_people_write() -> None:
    assert {name for name in BUILT if "." not in name} <= set(DEFAULTS)
