"""Apps as they are in the wild: what works of them by default or by one key, and what is refused of them and how."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

APPS = ("catalogues", "command", "current", "hosted", "norevisions", "plain", "selfmigrating")
APP = (Path(__file__).parents[1] / "apps/catalogues/app.py").read_text()
INDEX = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open("/root/asked", "a") as log:
            print(self.path, self.headers.get("Authorization"), file=log)
        self.send_error(404 if self.headers.get("Authorization") else 401)
http.server.HTTPServer(("127.0.0.1", 8977), Handler).serve_forever()
"""


def test_each_is_served_by_its_first_release(apps, first):
    states = {state["app"]: state for state in apps.ringstand("status")["apps"]}
    assert sorted(states) == sorted(first) == sorted(APPS)
    assert {app for app in APPS if first[app]["result"] != "ok" or states[app]["service"] != "active"} == set()


def test_the_revision_is_read_in_the_database_when_flask_db_current_fails(host, apps, first):
    assert host.run("ringstand run current flask db current").rc == 1
    migration = first["current"]["migration"]
    assert (migration["before"], migration["after"]) == (None, "a1")
    assert apps.get("current", "/health") == (200, '{"things":0}')


def test_an_app_that_migrates_when_it_starts_has_done_so_alone_before_it_serves(apps, first):
    migration = first["selfmigrating"]["migration"]
    assert (migration["before"], migration["after"], migration["applied"]) == ("b1", "b1", [])
    assert apps.get("selfmigrating", "/status")[0] == 200


def test_alembic_alone_is_recognised_by_its_ini_file(apps, first):
    assert [step["revision"] for step in first["plain"]["migration"]["applied"]] == ["c1"]
    assert apps.get("plain", "/up/")[0] == 200
    assert apps.get("plain", "/up")[0] == 308


def test_a_migration_command_of_its_own_runs_and_does_not_wait_for_locks_for_ever(apps, first):
    assert apps.get("command", "/healthcheck") == (200, "OK")
    assert first["command"]["migration"]["output"] == "lock_timeout is 5s"


def test_migrations_without_a_revision_are_none(first):
    assert first["norevisions"]["migration"]["after"] is None


def test_no_file_of_the_source_goes_before_the_environment_in_any_process(host, apps, first):
    slot = json.loads(apps.get("norevisions", "/health")[1])
    one_off = json.loads(host.check_output("ringstand run norevisions flask show"))
    assert slot["here"] == slot["in_release_command"] == one_off
    release = apps.live("norevisions")
    assert one_off == {
        "debug": False,
        "FLASK_DEBUG": "0",
        "WEB_CONCURRENCY": "2",
        "PYTHONUNBUFFERED": "1",
        "RELEASE_ID": release,
        "SENTRY_RELEASE": release,
        "PEM": "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIB\n-----END PRIVATE KEY-----\n",
    }
    assert any(notice.startswith(".env of the source") for notice in first["norevisions"]["notices"])


def test_a_release_command_writes_into_the_source_and_the_app_into_its_folders_only(host, apps):
    assert apps.get("catalogues", "/healthcheck") == (200, "OK")
    source = f"/srv/catalogues/releases/{apps.live('catalogues')}/src"
    assert host.file(f"{source}/logs").linked_to == "/srv/catalogues/shared/logs"
    assert "started" in host.file("/srv/catalogues/shared/logs/app.log").content_string
    assert host.run("ringstand run catalogues touch translations/x").rc != 0
    host.check_output("ringstand run catalogues touch logs/x")


def test_settings_of_gunicorn_in_the_source_are_reported_and_not_read(host, first):
    assert any(notice.startswith("gunicorn.conf.py") for notice in first["catalogues"]["notices"])
    master = host.check_output("systemctl show --property=MainPID --value 'ringstand-catalogues@*.service'").split()
    assert len(host.check_output("pgrep --parent %s", next(pid for pid in master if pid != "0")).split()) == 2


def test_an_app_that_answers_under_its_name_only_is_asked_by_its_name(apps):
    assert apps.get("hosted", "/login", "hosted.example.com")[0] == 200
    assert apps.get("hosted", "/login")[0] == 404


def test_an_unchanged_lock_costs_nothing(apps):
    entry = apps.deploy("hosted", notes__txt="changed")
    assert entry["result"] == "ok"
    assert entry["venv_built"] is False
    assert entry["phases"]["dependencies"] < 0.5


def test_a_command_that_fails_the_second_time_runs_once(host, apps, first):
    assert "first_deploy_command" in first["hosted"]["phases"]
    assert apps.deploy("hosted", notes__txt="once more")["result"] == "ok"
    assert host.run("ringstand run hosted python seed.py").rc != 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"requirements__txt": "flask==3.1.3\n"}, ["does not contain gunicorn", "extra_packages: [gunicorn]"]),
        ({"requirements__txt": "markupsafe==1.0\n"}, ["Failed to build `markupsafe==1.0`", "no wheel", "pin a newer"]),
        ({"requirements__txt": "flask==3.1.3\n-e .\n"}, ["line 2 of requirements.txt", "editable"]),
        ({"requirements__txt": None, "poetry__lock": ""}, ["only poetry.lock", "poetry export"]),
        (
            {"requirements__txt": "--index-url https://127.0.0.1:9/simple\nflask==3.1.2\n"},
            ["Failed to install the packages", "does not answer", "Nothing was switched"],
        ),
        ({"__python-version": "3.9\n"}, [".python-version asks for 3.9", "this host has 3.", "set the app's python"]),
        (
            {"app__py": f"{APP}\nPath('cache').mkdir(exist_ok=True)\nPath('cache/pages').touch()\n"},
            ["Failed to import", "set writable_dirs: [cache]", "Nothing was migrated"],
        ),
    ],
    ids=lambda value: None if isinstance(value, dict) else value[0],
)
def test_what_cannot_be_built_leaves_everything_as_it_is(apps, changes, words):
    before = apps.on_disk("catalogues")
    answer = apps.deploy("catalogues", **changes)
    assert answer["result"] == "failed"
    assert [word for word in words if word not in answer["reason"]] == [], answer["reason"]
    assert apps.on_disk("catalogues") == before
    assert apps.get("catalogues", "/healthcheck") == (200, "OK")


def test_the_credentials_of_an_index_reach_it_and_nobody_else(host, apps):
    settings, environment = "/etc/ringstand/apps/hosted.json", "/etc/ringstand/environment/hosted.build.env"
    original = host.file(settings).content
    known = {**json.loads(original), "package_index_url": "http://127.0.0.1:8977/simple"}
    apps.put(INDEX.encode(), "/root/index.py")
    host.check_output("systemd-run --quiet --collect --unit=test-index python3 /root/index.py")
    try:
        apps.put(json.dumps(known).encode(), settings)
        credentials = "UV_INDEX_RINGSTAND_USERNAME=build\nUV_INDEX_RINGSTAND_PASSWORD=canary-51d2\n"
        apps.put(credentials.encode(), environment)
        answer = apps.deploy("hosted")
    finally:
        apps.put(original, settings)
        host.check_output("rm -f %s; systemctl stop test-index", environment)
    given = base64.b64encode(b"build:canary-51d2").decode()
    assert f"/simple/flask/ Basic {given}" in host.file("/root/asked").content_string
    assert "flask was not found" in answer["reason"]
    assert "canary-51d2" not in json.dumps(answer)
    assert "canary-51d2" not in host.check_output("journalctl --quiet --output=cat --since=-5min | tail -n 2000")
    assert host.run("grep -rl canary-51d2 /var/lib/ringstand /srv/hosted").stdout == ""
