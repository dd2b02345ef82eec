# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whom the folders of an app belong to, what it has a file for, and gunicorn's settings."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest
from role_templates import Role

APP = {"name": "shop", "wsgi": "shop:app", "environment": {}}
SHARED = "/srv/shop/shared"
SLOT_WORKER = 'f"{__name__}.SlotWorker" if gunicorn.version_info[0] <= 27 else "gthread"'


def entries(**keys: Any) -> list[dict[str, Any]]:
    role = Role("gunicorn", gunicorn_apps=[{**APP, **keys}], cli_install_enabled=True)
    found: list[dict[str, Any]] = json.loads(role.template("files.json.j2"))
    return found


def folders(**keys: Any) -> dict[str, tuple[str, str, str]]:
    return {
        entry["path"]: (entry.get("owner", "root"), entry.get("group", "root"), entry.get("mode", "0755"))
        for entry in entries(**keys)
        if entry.get("state") == "directory"
    }


def test_nobody_else_reads_what_an_app_keeps() -> None:
    found = folders()
    assert found[SHARED] == ("shop", "shop", "0750")
    assert not [path for path in found if path.startswith(f"{SHARED}/")]


@pytest.mark.parametrize(("media", "folder"), [({}, "media"), ({"dir": "uploads"}, "uploads")])
def test_nginx_reads_the_uploads_and_nothing_else(media: dict[str, str], folder: str) -> None:
    found = folders(media=media)
    # Passed through, not listed; and what the app makes in the folder belongs to the group that may read it.
    assert found[SHARED] == ("shop", "www-data", "0710")
    assert found[f"{SHARED}/{folder}"] == ("shop", "www-data", "2750")


@pytest.mark.parametrize(
    ("keys", "worker_class"),
    [
        ({}, ast.parse(SLOT_WORKER).body[0]),
        ({"worker_class": "gevent"}, ast.parse('"gevent"').body[0]),
        ({"worker_class": "gunicorn.workers.gthread.ThreadWorker", "threads": 4},
         ast.parse('"gunicorn.workers.gthread.ThreadWorker"').body[0]),
    ],
)  # fmt: skip
def test_the_threads_of_a_gthread_worker_take_their_connections_themselves(keys: dict, worker_class: ast.Expr) -> None:
    role = Role("gunicorn", gunicorn_apps=[{**APP, **keys}], cli_install_enabled=True)
    files = {entry["path"]: entry for entry in json.loads(role.template("files.json.j2"))}
    settings = ast.parse(files["/etc/ringstand/gunicorn/shop.py"]["content"])
    given = {target.id: node.value for node in settings.body if isinstance(node, ast.Assign)
             for target in node.targets if isinstance(target, ast.Name)}  # fmt: skip
    assert ast.dump(given["worker_class"]) == ast.dump(worker_class.value)
    assert [node.name for node in settings.body if isinstance(node, ast.ClassDef)] == ["SlotWorker"][: not keys]


@pytest.mark.parametrize(("url", "expected"), [
    (None, {"state": "absent"}),
    ("postgresql://u:a$b@db/x", {"mode": "0600", "secret_content": 'DATABASE_URL="postgresql://u:a\\$b@db/x"\n'}),
])
def test_the_direct_way_to_the_database_is_a_file_of_its_own(url: str | None, expected: dict[str, str]) -> None:
    path = "/etc/ringstand/environment/shop.migration.env"
    assert [entry for entry in entries(migration_database_url=url) if entry["path"] == path] == [
        {"path": path, **expected}]


def test_what_only_a_deploy_applies_is_reported() -> None:
    state = {"release": "r1", "version": "v1", "scale": {}, "built": {"python": "", "extra_packages": []}}
    keys = {"gunicorn_removed_apps": [], "__gunicorn_info": {"others": [], "kept": [], "apps": {"shop": state}}}
    apps = [{**APP, "source": {"path": "/shop"}}]
    assert not Role("gunicorn", gunicorn_apps=apps, **keys).template("report.txt.j2")
    apps[0]["extra_packages"] = ["gunicorn"]
    assert Role("gunicorn", gunicorn_apps=apps, **keys).template("report.txt.j2").strip() == (
        "shop: the live release was built with other settings (extra_packages). A deploy builds it anew: "
        "ansible-playbook ringstand.flask.deploy -e app=shop"
    )
