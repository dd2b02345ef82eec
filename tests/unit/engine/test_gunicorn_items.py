"""What the gunicorn role renders and starts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.gunicorn_items import (
    app_settings,
    build_environment,
    gunicorn_complete,
    gunicorn_stale,
    gunicorn_units,
    systemd_environment,
)
from ansible_collections.ringstand.flask.plugins.plugin_utils.program_archive import build

LIVE = {"release": "20261121T120000Z-3f2a9c1", "slot": "green", "stale": False, "linked": True, "service": "active",
        "listener": "active", "activation": "", "processes": [], "scale": {}}
NEW = {"release": None, "slot": None, "stale": False, "linked": True, "service": None, "listener": None,
       "activation": "", "processes": [], "scale": {}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", 'A="plain"\n'),
        ('a"b', 'A="a\\"b"\n'),
        ("$HOME `id` \\", 'A="\\$HOME \\`id\\` \\\\"\n'),
        ("two\nlines", 'A="two\nlines"\n'),
        ("# no comment; %d {{ x }}", 'A="# no comment; %d {{ x }}"\n'),
        ("", 'A=""\n'),
    ],
)
def test_values_are_quoted_for_systemd(value: str, text: str) -> None:
    assert systemd_environment({"A": value}) == text


def test_a_nul_is_refused_without_showing_the_value() -> None:
    with pytest.raises(RingstandError) as caught:
        systemd_environment({"TOKEN": "hunter2\0secret"})
    assert "TOKEN" in caught.value.message
    assert "hunter2" not in caught.value.message


def test_the_settings_file_holds_nothing_secret() -> None:
    (app,) = gunicorn_complete([{"name": "shop", "wsgi": "shop:app", "environment": {"SECRET_KEY": "canary"}}])
    assert "canary" not in str(app_settings(app))
    assert app["environment"]["SECRET_KEY"] == "canary"


def test_what_every_process_of_an_app_gets() -> None:
    (app,) = gunicorn_complete([{"name": "shop", "wsgi": "shop:app", "workers": 3, "environment": {"A": 1}}])
    given = {"FLASK_DEBUG": "0", "PYTHONUNBUFFERED": "1", "WEB_CONCURRENCY": "3", "FLASK_APP": "shop:app", "A": "1"}
    assert app["environment"] == given


@pytest.mark.parametrize(("flask_app", "environment"), [("shop.cli:app", {"FLASK_APP": "shop.cli:app"}), ("", {})])
def test_flask_app_is_what_the_user_wants_or_not_there(flask_app: str, environment: dict[str, str]) -> None:
    (app,) = gunicorn_complete([{"name": "shop", "wsgi": "shop:app", "flask_app": flask_app}])
    assert {name: app["environment"][name] for name in ("FLASK_APP",) if name in app["environment"]} == environment


def test_an_app_in_a_folder_of_its_source_is_imported_from_there_in_every_process() -> None:
    (app,) = gunicorn_complete([{"name": "shop", "wsgi": "shop:app", "python_path": "src"}])
    assert app["environment"]["PYTHONPATH"] == "src"
    assert "PYTHONPATH" not in gunicorn_complete([{"name": "shop", "wsgi": "shop:app"}])[0]["environment"]


@pytest.mark.parametrize(
    ("given", "jitter"), [({}, 0), ({"max_requests": 1000}, 100), ({"max_requests": 9, "max_requests_jitter": 5}, 5)]
)
def test_workers_are_not_replaced_all_at_once(given: dict[str, int], jitter: int) -> None:
    (app,) = gunicorn_complete([{"name": "shop", "wsgi": "shop:app", **given}])
    assert app["max_requests_jitter"] == jitter


def test_the_credentials_of_an_index_are_in_the_builds_environment_only() -> None:
    url = "https://build:p%40ss%2Fword@packages.example.com:8443/simple"
    (app,) = gunicorn_complete([{"name": "shop", "wsgi": "shop:app", "package_index_url": url}])
    assert app_settings(app)["package_index_url"] == "https://packages.example.com:8443/simple"
    text = 'UV_INDEX_RINGSTAND_PASSWORD="p@ss/word"\nUV_INDEX_RINGSTAND_USERNAME="build"\n'
    assert build_environment(app) == text
    assert not any("p@ss" in value for value in app["environment"].values())
    assert build_environment({**app, "package_index_url": "https://packages.example.com/simple"}) == ""
    assert build_environment({**app, "package_index_url": "https://token@x.y/"}).startswith("UV_INDEX_RINGSTAND_USERNAME")


@pytest.mark.parametrize(
    ("url", "scheme"), [("postgresql+psycopg://shop@/shop", "postgresql+psycopg"), ("sqlite:////x", "sqlite"), ("", "")]
)
def test_the_settings_know_the_kind_of_database_and_no_more(url: str, scheme: str) -> None:
    (app,) = gunicorn_complete([{"name": "shop", "wsgi": "shop:app", "environment": {"DATABASE_URL": url}}])
    assert app_settings(app)["database_url_scheme"] == scheme


@pytest.mark.parametrize(("domains", "port"), [([], None), (["shop.example.com"], 443)])
def test_without_a_domain_there_is_no_probe_through_nginx(domains: list[str], port: int | None) -> None:
    (app,) = gunicorn_complete([{"name": "shop", "wsgi": "shop:app", "domains": domains}])
    assert app_settings(app, 443)["probe_port"] == port


@pytest.mark.parametrize(
    ("state", "changed", "stale"),
    [
        (LIVE, [], []),
        ({**LIVE, "stale": True}, [], ["shop"]),
        (LIVE, ["/etc/ringstand/environment/shop.env"], ["shop"]),
        (LIVE, ["/etc/systemd/system/ringstand-shop@.service"], ["shop"]),
        (LIVE, ["/etc/ringstand/environment/other.env", "/etc/ringstand/apps/shop.json"], []),
        (NEW, ["/etc/ringstand/environment/shop.env"], []),
    ],
)
def test_only_what_serves_and_reads_a_changed_file_is_restarted(state: dict, changed: list[str], stale: list) -> None:
    assert gunicorn_stale({"shop": state}, changed) == stale


def test_the_live_slot_has_to_run() -> None:
    names = [unit["name"] for unit in gunicorn_units({"shop": LIVE, "blog": NEW})]
    assert names == ["ringstand-shop@green.socket", "ringstand-shop@green.service"]


def test_a_lost_link_is_made_again_by_the_unit_that_makes_it_at_boot() -> None:
    boot = {"name": "ringstand-boot.service", "masked": False, "state": "restarted"}
    assert boot not in gunicorn_units({"shop": LIVE})
    assert gunicorn_units({"shop": LIVE, "blog": {**LIVE, "linked": False}})[0] == boot


@pytest.mark.parametrize(("service", "units"), [("active", 0), ("inactive", 2)])
def test_systemd_is_not_asked_to_listen_for_a_service_that_runs(service: str, units: int) -> None:
    assert len(gunicorn_units({"shop": {**LIVE, "service": service, "listener": "inactive"}})) == units


def test_the_program_is_packed_alike_each_time_and_runs_alone(tmp_path: Path) -> None:
    source = Path(__file__).parents[3] / "plugins" / "module_utils"
    archive = build(source)
    assert build(source) == archive
    program = tmp_path / "ringstand"
    program.write_bytes(archive)
    python = shutil.which("python3") or "python3"
    done = subprocess.run([python, "-I", str(program), "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "rollback" in done.stdout
