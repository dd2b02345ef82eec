# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bad input of a site, as a table: what is written, which variable is named, which words the message has."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.apps import deep_merge, redis_port
from ansible_collections.ringstand.flask.plugins.module_utils.validation.problems import Problem, Problems
from ansible_collections.ringstand.flask.plugins.module_utils.validation.site import check_site

GIT = "https://git.example.com/acme/shop.git"
SHOP: dict[str, Any] = {
    "domains": ["shop.example.com"],
    "source": {"git": GIT, "version": "v1.4.2"},
    "wsgi": "shop:create_app()",
}
BLOG = {**SHOP, "domains": ["blog.example.com"]}
KNOWN = {"postgresql_databases", "nginx_sites", "redis_instances", "host_timezone", "gunicorn_apps"}
MACHINE = {"memory_mb": 2048, "cpu_count": 2}
CANARY = "Canary7qP2"
REDIS_TLS = {"tls": {"chain_path": "/etc/tls/a.pem", "key_path": "/etc/tls/a.key"}}
GOOD = "Zq7-wr2_Xp9-m4K"


def check(apps: Any, overrides: Any = None, names: Any = (), facts: Any = None, settings: Any = None) -> Problems:
    variables = {"flask_apps": apps, "flask_app_overrides": overrides, "postgresql_settings": settings}
    return check_site(variables, names, KNOWN, facts or {})


def app(**changes: Any) -> dict[str, Any]:
    return {"shop": {**copy.deepcopy(SHOP), **changes}}


def two(**changes: Any) -> dict[str, Any]:
    return {**app(), "blog": deep_merge(BLOG, changes)}


def named(name: Any) -> dict[Any, Any]:
    return {name: copy.deepcopy(SHOP)}


def without(key: str) -> dict[str, Any]:
    return {"shop": {name: value for name, value in SHOP.items() if name != key}}


# One row per rule: input, path of the variable, words of the message (the value unless secret, the rule, the remedy).
BAD_APPS: list[tuple[Any, str, list[str]]] = [
    # the dictionary itself
    (None, "flask_apps", ["required", "domains and its source"]),
    ([], "flask_apps", ["maps names of apps"]),
    ({"shop": "v1"}, "flask_apps.shop", ['"v1"', "dictionary"]),
    (without("domains"), "flask_apps.shop.domains", ["required"]),
    (without("source"), "flask_apps.shop.source", ["required"]),
    ({"shop": {**SHOP, "wsgi": None, "source": {"path": str(Path(__file__).parent)}}}, "flask_apps.shop.wsgi",
     ["required", "no Procfile"]),
    (app(processes={"web": "gunicorn app:app"}), "flask_apps.shop.processes.web", ["wsgi and workers"]),
    (app(processes={"a.b": "rq worker"}), "flask_apps.shop.processes.a.b", ["letters, digits"]),
    (app(processes={"worker": ""}), "flask_apps.shop.processes.worker", ["empty"]),
    (app(processes={"worker": None}), "flask_apps.shop.processes.worker", ["no command"]),
    (app(processes={"worker": "rq 'worker"}), "flask_apps.shop.processes.worker", ["quotes"]),
    (app(processes={"worker": {"count": 2}}), "flask_apps.shop.processes.worker.command", ["required"]),
    (app(processes={"worker": {"command": "a\nb"}}), "flask_apps.shop.processes.worker.command", ["several lines"]),
    (app(processes={"worker": {"command": "x", "number": 2}}), "flask_apps.shop.processes.worker.number", ["count"]),
    (app(processes={"worker": {"command": "x", "count": -1}}), "flask_apps.shop.processes.worker.count", ["between"]),
    (app(processes={"worker": {"command": "x", "stop_signal": "KILL"}}),
     "flask_apps.shop.processes.worker.stop_signal", ["SIGTERM"]),
    (app(processes={"clock": {"command": "x", "count": 2}}), "flask_apps.shop.processes.clock.count", ["twice"]),
    (app(processes=["rq worker"]), "flask_apps.shop.processes", ["dictionary"]),
    (app(hooks={"before_deploy": "x"}), "flask_apps.shop.hooks.before_deploy", ["not known"]),
    (app(hooks={"after_switch": ["x", "'"]}), "flask_apps.shop.hooks.after_switch[1]", ["quotes"]),
    (app(webhook_url="hooks.example.com/x"), "flask_apps.shop.webhook_url", ["URL"]),
    (app(worker=2), "flask_apps.shop.worker", ["not known", "Did you mean 'workers'?"]),
    (app(health={"pth": "/"}), "flask_apps.shop.health.pth", ["Did you mean 'path'?"]),
    # certificates
    (app(tls={"certificate": "own"}), "flask_apps.shop.tls", ["a chain and a key"]),
    (app(tls={"certificate": "own", "chain": "x", "chain_path": "/x"}), "flask_apps.shop.tls", ["a chain and a key"]),
    (app(tls={"certificate": "own", "chain": "x", "key": "y"}), "flask_apps.shop.tls.chain", ["no certificate in PEM"]),
    (
        app(tls={"certificate": "own", "chain": "x", "key": "-----BEGIN ENCRYPTED PRIVATE KEY-----"}),
        "flask_apps.shop.tls.key",
        ["passphrase"],
    ),
    (
        app(tls={"certificate": "own", "chain_path": "x", "key_path": "/y"}),
        "flask_apps.shop.tls.chain_path",
        ["not absolute"],
    ),
    (app(tls={"chain_path": "/x"}), "flask_apps.shop.tls.chain_path", ["belongs to an own certificate"]),
    (app(tls={"certificate": "self_signed", "dns_plugin": "x"}), "flask_apps.shop.tls.dns_plugin", ["Remove it"]),
    (app(tls={"dns_plugin": "a_b"}), "flask_apps.shop.tls.dns_plugin", ["cloudflare"]),
    (
        app(domains=["*.example.io", "example.io"], tls={"dns_plugin": "cloudflare"}),
        "flask_apps.shop.domains[0]",
        ["Put another one first"],
    ),
    (app(tls={"dns_plugin": "ovh"}), "flask_apps.shop.tls.dns_plugin", ["Add certbot_dns_credentials.ovh"]),
    (app(tls={"certificate": "lets_encrypt"}), "flask_apps.shop.tls.certificate", ["acme or own or self_signed"]),
    (app(tls="acme"), "flask_apps.shop.tls", ["a dictionary"]),
    (app(domains=["shop.localhost"]), "flask_apps.shop.domains[0]", ["no public certificate authority", "self_signed"]),
    (app(domains=["a.de", "intranet"]), "flask_apps.shop.domains[1]", ["no public certificate authority"]),
    # names of apps
    (named("my shop"), "flask_apps.my shop", ['"my shop"', "31 characters", "Rename"]),
    (named(".."), "flask_apps...", ['".."', "Rename"]),
    (named("shop@blue"), "flask_apps.shop@blue", ["Rename"]),
    (named("Shop"), "flask_apps.Shop", ["lower-case"]),
    (named("s" * 32), f"flask_apps.{'s' * 32}", ["31 characters"]),
    (named("1shop"), "flask_apps.1shop", ["a lower-case letter"]),
    (named(7), "flask_apps.7", ["Rename"]),
    (named("root"), "flask_apps.root", ['"root"', "belongs to the system", "root-app"]),
    (named("www-data"), "flask_apps.www-data", ["belongs to the system"]),
    (named("postgres"), "flask_apps.postgres", ["belongs to the system"]),
    (named("redis"), "flask_apps.redis", ["belongs to the system"]),
    (named("nobody"), "flask_apps.nobody", ["belongs to the system"]),
    (named("postgresql"), "flask_apps.postgresql", ["belongs to the system"]),
    (named("restore"), "flask_apps.restore", ["belongs to the system", "this collection"]),
    (named("boot"), "flask_apps.boot", ["this collection"]),
    (named("pg_shop"), "flask_apps.pg_shop", ["PostgreSQL"]),
    # domains
    (app(domains="shop.example.com"), "flask_apps.shop.domains", ["a list", "brackets"]),
    (app(domains=[]), "flask_apps.shop.domains", ["required"]),
    (app(domains=[None]), "flask_apps.shop.domains[0]", ["empty"]),
    (
        app(domains=["https://shop.example.com/"]),
        "flask_apps.shop.domains[0]",
        ["no scheme", "Write 'shop.example.com'"],
    ),
    (app(domains=["shop.example.com:443"]), "flask_apps.shop.domains[0]", ["port", "Write 'shop.example.com'"]),
    (app(domains=["shop.example.com/app"]), "flask_apps.shop.domains[0]", ["path", "Write 'shop.example.com'"]),
    (app(domains=["*.example.com"]), "flask_apps.shop.domains[0]", ['"*.example.com"', "wildcard", "dns_plugin"]),
    (app(domains=["192.0.2.7"]), "flask_apps.shop.domains[0]", ["IP address", "a domain that resolves to it"]),
    (app(domains=["2001:db8::1"]), "flask_apps.shop.domains[0]", ["IP address"]),
    (app(domains=["shop.example.com."]), "flask_apps.shop.domains[0]", ["final dot", "Write 'shop.example.com'"]),
    (app(domains=["shop example.com"]), "flask_apps.shop.domains[0]", ["letters, digits and '-'"]),
    (app(domains=["shop_1.example.com"]), "flask_apps.shop.domains[0]", ["letters, digits and '-'"]),
    (app(domains=["-shop.example.com"]), "flask_apps.shop.domains[0]", ["neither first nor last"]),
    (app(domains=["straße.example"]), "flask_apps.shop.domains[0]", ["disagree", "punycode"]),
    (app(domains=["ü" * 80 + ".example"]), "flask_apps.shop.domains[0]", ["international"]),
    (app(domains=["a." * 130 + "example"]), "flask_apps.shop.domains[0]", ["253"]),
    (app(domains=[f"d{number}.example.com" for number in range(101)]), "flask_apps.shop.domains", ["101", "100"]),
    (app(domains=["a.example", "A.example"]), "flask_apps.shop.domains[1]", ["flask_apps.shop.domains[0]", "already"]),
    (two(domains=["Shop.example.com"]), "flask_apps.blog.domains[0]", ["flask_apps.shop.domains[0]", "one place"]),
    # source
    (app(source="v1"), "flask_apps.shop.source", ["a dictionary"]),
    (app(source={"version": "v1"}), "flask_apps.shop.source", ["nothing to fetch", "git, path, archive"]),
    (app(source={"git": GIT, "path": "/nowhere/shop"}), "flask_apps.shop.source", ["both git and path", "exactly one"]),
    (app(source={"git": "acme/shop"}), "flask_apps.shop.source.git", ['"acme/shop"', "https://"]),
    (app(source={"git": f"https://me:{CANARY}@x.y/z.git"}), "flask_apps.shop.source.git", ["password", "deploy key"]),
    (app(source={"git": GIT, "version": 1.4}), "flask_apps.shop.source.version", ["1.4", "in quotes"]),
    (app(source={"git": GIT, "version": "--upload-pack=x"}), "flask_apps.shop.source.version", ["tag, a branch"]),
    (app(source={"git": GIT, "version": "a..b"}), "flask_apps.shop.source.version", ['"a..b"', "revision"]),
    (app(source={"git": GIT, "version": "v1 "}), "flask_apps.shop.source.version", ["revision"]),
    (app(source={"path": "../shop"}), "flask_apps.shop.source.path", ['"../shop"', "not absolute", "inventory_dir"]),
    (app(source={"path": "/"}), "flask_apps.shop.source.path", ["directory of the system"]),
    (app(source={"path": "/etc/"}), "flask_apps.shop.source.path", ["directory of the system"]),
    (app(source={"path": "/nowhere/shop"}), "flask_apps.shop.source.path", ['"/nowhere/shop"', "does not exist"]),
    (app(source={"archive": "/nowhere/shop.tar.gz"}), "flask_apps.shop.source.archive", ["does not exist"]),
    (app(source={"archive": "/nowhere/shop.rar"}), "flask_apps.shop.source.archive", [".tar.gz", ".zip"]),
    (app(source={"archive": "/nowhere/shop.zip"}), "flask_apps.shop.source.archive", ["does not exist"]),
    (app(source={"path": "/tmp", "submodules": True}), "flask_apps.shop.source.submodules", ["only a git source"]),
    (app(source={"git": GIT, "root_directory": ".."}), "flask_apps.shop.source.root_directory", ["inside the source"]),
    (
        app(source={"git": GIT, "deploy_key_path": "/nowhere/key"}),
        "flask_apps.shop.source.deploy_key_path",
        ["does not use SSH", "git@host:path"],
    ),
    (
        app(source={"git": "git@x.y:z.git", "deploy_key_path": "/nowhere/key"}),
        "flask_apps.shop.source.deploy_key_path",
        ["does not exist"],
    ),
    (app(source={"git": GIT, "submodules": "yes"}), "flask_apps.shop.source.submodules", ["true or false"]),
    (app(requirements_path="/etc/x"), "flask_apps.shop.requirements_path", ["inside the source"]),
    (app(migrations_dir=".."), "flask_apps.shop.migrations_dir", ["inside the source"]),
    (app(migration_command="flask 'db"), "flask_apps.shop.migration_command", ["quotes do not match"]),
    (app(migrations="none", migration_command="x"), "flask_apps.shop.migration_command", ["migrations: none"]),
    (app(writable_dirs=["logs", "/var/log"]), "flask_apps.shop.writable_dirs[1]", ["inside the source"]),
    (app(writable_dirs=["."]), "flask_apps.shop.writable_dirs[0]", ["inside the source"]),
    (app(writable_dirs=["a b;c"]), "flask_apps.shop.writable_dirs[0]", ["letters, digits"]),
    (app(source={"path": "/nowhere/x", "version": "v1"}), "flask_apps.shop.source.version", ["only a git source"]),
    # the process
    (app(wsgi="shop"), "flask_apps.shop.wsgi", ['"shop"', "module:factory()"]),
    (app(wsgi="shop.py:app"), "flask_apps.shop.wsgi", ["module:attribute"]),
    (app(wsgi="shop:create app"), "flask_apps.shop.wsgi", ["module:attribute"]),
    (app(workers=0), "flask_apps.shop.workers", ["= 0", "between 1 and 128"]),
    (app(workers=10000), "flask_apps.shop.workers", ["10000", "between 1 and 128"]),
    (app(workers="4"), "flask_apps.shop.workers", ["Write 4 without quotes"]),
    (app(workers="many"), "flask_apps.shop.workers", ['"many"', "auto or an integer"]),
    (app(workers=True), "flask_apps.shop.workers", ["auto or an integer"]),
    (app(threads=0), "flask_apps.shop.threads", ["between 1 and 256"]),
    (app(worker_class="sync", threads=4), "flask_apps.shop.threads", ["worker_class sync", "gthread"]),
    (app(max_connections=70000), "flask_apps.shop.max_connections", ["= 70000", "between 0 and 65535"]),
    (app(max_connections="400"), "flask_apps.shop.max_connections", ["Write 400 without quotes"]),
    (app(worker_class="fast"), "flask_apps.shop.worker_class", ['"fast"', "gthread, sync, gevent"]),
    (app(timeout_seconds=0), "flask_apps.shop.timeout_seconds", ["between 1 and 3600"]),
    (app(timeout_seconds="30"), "flask_apps.shop.timeout_seconds", ["Write 30 without quotes"]),
    (app(timeout_seconds=90), "flask_apps.shop.graceful_timeout_seconds", ["timeout_seconds (90)", "90 or more"]),
    (app(keep_releases=1), "flask_apps.shop.keep_releases", ["= 1", "between 2 and 100"]),
    (app(memory_mb=0), "flask_apps.shop.memory_mb", ["= 0", "between 64"]),
    (app(python="/usr/bin/python3\n"), "flask_apps.shop.python", ["line break"]),
    (app(python="python3.12"), "flask_apps.shop.python", ["not absolute"]),
    (app(outbound_network="no"), "flask_apps.shop.outbound_network", ["true or false without quotes"]),
    # maintenance and absence
    (app(state="abset"), "flask_apps.shop.state", ["absent"]),
    ({"Shop": {"state": "absent"}}, "flask_apps.Shop", ["lower-case"]),
    (app(maintenance={"allow": ["office"]}), "flask_apps.shop.maintenance.allow[0]", ["not an address"]),
    (app(maintenance={"allow": "192.0.2.7/24"}), "flask_apps.shop.maintenance.allow", ["Write 192.0.2.0/24"]),
    (app(maintenance={"allow": ["::/0"]}), "flask_apps.shop.maintenance.allow[0]", ["nobody would see"]),
    (app(maintenance={"retry_after_seconds": 0}), "flask_apps.shop.maintenance.retry_after_seconds", ["between 1"]),
    (app(client_max_body_size_mb=0), "flask_apps.shop.client_max_body_size_mb", ["between 1"]),
    (app(extra_packages=["--index-url=x"]), "flask_apps.shop.extra_packages[0]", ["requirement", "name==version"]),
    (app(apt_packages=["libvips42; reboot"]), "flask_apps.shop.apt_packages[0]", ["name of a package"]),
    (app(package_index_url=f"http://me:{CANARY}@x.y/"), "flask_apps.shop.package_index_url", ["password", "https"]),
    (app(package_index_url="pypi"), "flask_apps.shop.package_index_url", ["https://"]),
    (app(package_index_ca_path="ca.pem"), "flask_apps.shop.package_index_ca_path", ["not absolute"]),
    # environment: names are shown, values never
    (app(environment=[f"A={CANARY}"]), "flask_apps.shop.environment", ["a dictionary"]),
    (app(environment={"PATH": CANARY}), "flask_apps.shop.environment.PATH", ["Remove it"]),
    (app(environment={"LD_PRELOAD": CANARY}), "flask_apps.shop.environment.LD_PRELOAD", ["Remove it"]),
    (app(environment={"PYTHONPATH": CANARY}), "flask_apps.shop.environment.PYTHONPATH", ["Remove it"]),
    (app(environment={"A B": CANARY}), "flask_apps.shop.environment.A B", ["letters, digits"]),
    (app(environment={"1A": CANARY}), "flask_apps.shop.environment.1A", ["letters, digits"]),
    (app(environment={"A": f"{CANARY}\0"}), "flask_apps.shop.environment.A", ["NUL", "base64"]),
    (app(environment={"A": True}), "flask_apps.shop.environment.A", ["in quotes"]),
    (app(environment={"A": 1.10}), "flask_apps.shop.environment.A", ["in quotes"]),
    (app(environment={"A": None}), "flask_apps.shop.environment.A", ["empty value"]),
    (app(environment={"A": {"b": CANARY}}), "flask_apps.shop.environment.A", ["to_json"]),
    (app(environment={"DATABASE_URL": CANARY}), "flask_apps.shop.environment.DATABASE_URL", ["database_url"]),
    (app(environment={"SECRET_KEY": CANARY}), "flask_apps.shop.environment.SECRET_KEY", ["secret_key"]),
    (app(environment={"REDIS_URL": CANARY}), "flask_apps.shop.environment.REDIS_URL", ["redis: false"]),
    (app(environment={"FLASK_DEBUG": "1"}), "flask_apps.shop.environment.FLASK_DEBUG", ["debug mode"]),
    # secrets
    (app(secret_key=CANARY), "flask_apps.shop.secret_key", ["less than 12 characters", "openssl rand"]),
    (app(secret_key="changeme-changeme"), "flask_apps.shop.secret_key", ["placeholder", "openssl rand"]),
    (app(secret_key="<your secret key>"), "flask_apps.shop.secret_key", ["placeholder"]),
    (app(secret_key="xxxxxxxxxxxxxxxx"), "flask_apps.shop.secret_key", ["placeholder"]),
    (app(secret_key=1234567890123), "flask_apps.shop.secret_key", ["text", "in quotes"]),
    (app(secret_key=f"{CANARY}\0{CANARY}"), "flask_apps.shop.secret_key", ["NUL"]),
    (app(redis_password="password"), "flask_apps.shop.redis_password", ["less than 12"]),
    # database
    (app(database="yes"), "flask_apps.shop.database", ["true or false without quotes"]),
    (app(database={"name": "d" * 64}), "flask_apps.shop.database.name", ["63 bytes", "Shorten"]),
    (app(database={"name": "postgres"}), "flask_apps.shop.database.name", ['"postgres"', "reserved"]),
    (app(database={"name": "template1"}), "flask_apps.shop.database.name", ["reserved"]),
    (app(database={"name": "My Shop"}), "flask_apps.shop.database.name", ["lower-case"]),
    (two(database={"name": "shop"}), "flask_apps.blog.database.name", ["flask_apps.shop.database.name", "its own"]),
    (app(database_url=f"db/{CANARY}"), "flask_apps.shop.database_url", ["postgresql://"]),
    (app(database_url="postgresql://u:changeme@db/x"), "flask_apps.shop.database_url", ["placeholder"]),
    (app(migration_database_url=f"db/{CANARY}", database_url="postgresql://u:Zq7-wr2_Xp9@db/x"),
     "flask_apps.shop.migration_database_url", ["postgresql://"]),
    (app(migration_database_url=f"postgresql://u:{CANARY}@db/x"), "flask_apps.shop.migration_database_url",
     ["database_url, which is not set"]),
    (app(migration_database_url=f"postgresql://u:{CANARY}@db/x", database_url="postgresql+psycopg://u:Zq7-wr2_X@db/x"),
     "flask_apps.shop.migration_database_url", ["another scheme"]),
    (app(database_url=f"sqlite:///{CANARY}", database=True), "flask_apps.shop.database", ["Remove one of both"]),
    (app(database_url_scheme="mysql"), "flask_apps.shop.database_url_scheme", ['"mysql"', "postgresql+driver"]),
    (app(database=False, migrations="flask"), "flask_apps.shop.migrations", ["no database"]),
    (app(migrations="django"), "flask_apps.shop.migrations", ['"django"', "auto or flask or alembic or none"]),
    (
        app(migration_lock_timeout_seconds=60, migration_timeout_seconds=30),
        "flask_apps.shop.migration_lock_timeout_seconds",
        ["longer than migration_timeout_seconds"],
    ),
    (app(hook_timeout_seconds=0), "flask_apps.shop.hook_timeout_seconds", ["between 1 and 86400"]),
    (app(hook_timeout_seconds="10m"), "flask_apps.shop.hook_timeout_seconds", ['"10m"', "an integer or a fraction"]),
    # redis
    (app(redis={"queue": {"clients": ["192.0.2.7"]}}), "flask_apps.shop.redis.queue.tls",
     ["unencrypted", "chain_path"]),
    (app(redis={"queue": {**REDIS_TLS, "clients": ["192.0.2.7/24"]}}), "flask_apps.shop.redis.queue.clients[0]",
     ["Write 192.0.2.0/24"]),
    (app(redis={"queue": {**REDIS_TLS, "clients": ["::/0"]}}), "flask_apps.shop.redis.queue.clients[0]", ["everybody"]),
    (app(redis={"queue": REDIS_TLS}), "flask_apps.shop.redis.queue.tls", ["Name clients"]),
    (app(redis={"cache": {"clients": ["192.0.2.7"], "tls": {"chain": "x", "key": CANARY}}}),
     "flask_apps.shop.redis.cache.tls.chain", ["no certificate in PEM"]),
    (app(redis={"jobs": {}}), "flask_apps.shop.redis.jobs", ["not known", "queue, cache"]),
    (app(redis={"queue": {"maxmemory_mb": 0}}), "flask_apps.shop.redis.queue.maxmemory_mb", ["between 8"]),
    (app(redis={"queue": {"maxmemory_mb": "64mb"}}), "flask_apps.shop.redis.queue.maxmemory_mb", ["an integer"]),
    (app(redis={"queue": {"port": 80}}), "flask_apps.shop.redis.queue.port", ["between 1024 and 65535"]),
    (app(redis={"queue": {"port": 5432}}), "flask_apps.shop.redis.queue.port", ["PostgreSQL uses this port"]),
    (
        app(redis={"queue": {"port": 6400}, "cache": {"port": 6400}}),
        "flask_apps.shop.redis.cache.port",
        ["flask_apps.shop.redis.queue.port", "6400", "another port"],
    ),
    (
        two(redis={"queue": {"port": redis_port("shop", "queue")}}),
        "flask_apps.blog.redis.queue.port",
        ["flask_apps.shop.redis.queue.port has this port"],
    ),
    # health, static, commands
    (app(health={"path": "health"}), "flask_apps.shop.health.path", ['"health"', "begin with '/'"]),
    (app(health={"path": "https://x.y/"}), "flask_apps.shop.health.path", ["Write only the path"]),
    (app(health={"status": 20}), "flask_apps.shop.health.status", ["between 100 and 599"]),
    (app(health={"status": ["200"]}), "flask_apps.shop.health.status[0]", ["Write 200 without quotes"]),
    (app(health={"status": []}), "flask_apps.shop.health.status", ["no answer would count"]),
    (app(health={"host": "https://x.y"}), "flask_apps.shop.health.host", ["no scheme"]),
    (app(health={"consecutive": 0}), "flask_apps.shop.health.consecutive", ["between 1 and 100"]),
    (app(static={"url": "static", "dir": "shop/static"}), "flask_apps.shop.static.url", ["/static/"]),
    (app(static={"url": "/", "dir": "shop/static"}), "flask_apps.shop.static.url", ["/static/"]),
    (app(static={"url": "/static/", "dir": "../x"}), "flask_apps.shop.static.dir", ["inside the source"]),
    (app(static={"url": "/static/", "dir": "/etc"}), "flask_apps.shop.static.dir", ["inside the source"]),
    (app(static={"url": "/static/"}), "flask_apps.shop.static.dir", ["required"]),
    (app(release_command="flask 'seed"), "flask_apps.shop.release_command", ["quotes do not match"]),
    (app(release_command=["flask seed", " "]), "flask_apps.shop.release_command[1]", ["empty"]),
]


def find(problems: Problems, path: str) -> list[Problem]:
    return [problem for problem in problems.errors if problem.path == path]


@pytest.mark.parametrize(
    ("apps", "path", "words"),
    BAD_APPS,
    ids=[f"{path}-{number}" for number, (_apps, path, _words) in enumerate(BAD_APPS)],
)
def test_bad_input(apps: Any, path: str, words: list[str]) -> None:
    problems = check(apps)
    found = " ".join(str(problem) for problem in find(problems, path))
    assert found, f"nothing names {path}:\n{problems.message()}"
    assert all(word in found for word in words), found
    assert CANARY not in problems.message(), "a secret is shown"


@pytest.mark.parametrize(
    "value", ["q'u\"o`te\\s and", "100% %d %% sure", "$HOME$(id)`id`", "{{ lookup('x') }}", "#no #comment"]
)
@pytest.mark.parametrize("key", ["secret_key", "redis_password"])
def test_passwords_that_must_work_verbatim(key: str, value: str) -> None:
    assert check(app(**{key: value})).errors == []


@pytest.mark.parametrize(
    ("directory_url", "refused"),
    [
        (None, True),
        ("https://acme-staging-v02.api.letsencrypt.org/directory", True),
        ("https://ca.internal:9000/acme/acme/directory", False),
    ],
)
def test_an_authority_of_ones_own_certifies_private_names(directory_url: str | None, refused: bool) -> None:
    variables = {"flask_apps": app(domains=["shop.internal"]), "certbot_directory_url": directory_url}
    assert bool(check_site(variables, variables, KNOWN, {}).errors) == refused


def test_names_for_documentation_are_noted() -> None:
    notes = check(app(domains=["shop.example.com"])).notes
    assert ["reserved for documentation" in str(note) for note in notes] == [True]
    assert check(app(domains=["shop.example.com"], tls={"certificate": "self_signed"})).notes == []


GOOD_APPS: list[dict[str, Any]] = [
    app(),
    app(secret_key="!leading exclamation mark"),
    app(environment={"KEY": "-----BEGIN KEY-----\nabc\n-----END KEY-----\n", "PORT": 25, "EMPTY": ""}),
    app(workers="auto", threads=8),
    app(worker_class="gevent", threads=1),
    app(worker_class="gunicorn.workers.gthread.ThreadWorker", threads=4),
    app(max_connections=0),
    app(source={"git": "git@git.example.com:acme/shop.git", "version": "feature/x-1"}),
    app(source={"git": "/srv/git/shop.git"}),
    app(redis=False, environment={"REDIS_URL": "redis://elsewhere/0"}),
    app(redis={"cache": {"maxmemory_mb": 256, "port": 6400}}),
    app(redis={"queue": {**REDIS_TLS, "clients": ["192.0.2.7", "2001:db8::/64"]}}),
    app(database={"name": "shop_production", "extensions": ["citext"]}, database_url_scheme="postgresql+psycopg"),
    app(database_url="postgresql://u:Zq7-wr2_Xp9@db:6432/x", migration_database_url="postgresql://u:Zq7-wr2_Xp9@db/x"),
    app(database=False, database_url="mysql+pymysql://shop:Zq7-wr2_Xp9@db.example.com/shop"),
    app(release_command="flask translate compile && flask 'warm up'"),
    app(release_command=["flask a", "flask b\n"]),
    app(health={"path": "/up/?full=1", "status": [200, 204], "host": "intern.example.com", "json": {"ok": True}}),
    app(wsgi="acme.shop.wsgi:create_app(config='production')"),
    app(domains=["xn--bcher-kva.example", "localhost", "Upper.Example"], tls={"certificate": "self_signed"}),
    app(domains=["xn--bcher-kva.de", "shop.example.com"], tls={}),
    app(memory_mb=None, static=None, health=None),
    two(),
    {"shop": {"state": "absent"}},
    {"shop": {"state": "absent", "domains": "anything", "workers": 0}},
    app(state="present", maintenance={"allow": ["192.0.2.0/24", "2001:db8::1"], "page": "<p>"}),
    {},
]


@pytest.mark.parametrize("apps", GOOD_APPS)
def test_good_input(apps: dict[str, Any]) -> None:
    assert check(apps, facts=MACHINE).errors == []


def test_an_international_domain_is_accepted_with_a_note() -> None:
    problems = check(app(domains=["bücher.de"]))
    assert problems.errors == []
    assert "xn--bcher-kva.de" in str(problems.notes[0])


def test_all_problems_are_in_one_message() -> None:
    problems = check({**app(workers=0, keep_releases=1), "root": BLOG}, {"shop": {"threads": 0}}, ["nginx_siets"])
    lines = problems.message().splitlines()
    assert lines[0] == "Failed to accept the variables: 5 problems. Nothing was changed."
    assert len(lines) == 6


def test_a_problem_is_named_where_the_value_was_written() -> None:
    problems = check(app(), {"shop": {"domains": ["*.example.com"], "health": {"consecutive": 0}}})
    paths = {problem.path for problem in problems.errors}
    assert paths == {"flask_app_overrides.shop.domains[0]", "flask_app_overrides.shop.health.consecutive"}


@pytest.mark.parametrize(
    ("overrides", "path", "words"),
    [
        ({"shpo": {}}, "flask_app_overrides.shpo", "Did you mean 'shop'?"),
        ({"shop": 1}, "flask_app_overrides.shop", "a dictionary"),
        ([], None, ""),
        (["shop"], "flask_app_overrides", "maps names of apps"),
    ],
)
def test_bad_overrides(overrides: Any, path: str | None, words: str) -> None:
    problems = check(app(), overrides)
    assert [problem.path for problem in problems.errors] == ([path] if path else [])
    assert words in problems.message()


@pytest.mark.parametrize(
    ("apps", "settings", "path", "words"),
    [
        (app(memory_mb=4096), None, "flask_apps.shop.memory_mb", ["4096", "2048 MB"]),
        (app(redis={"queue": {"maxmemory_mb": 2048}}), None, "flask_apps.shop.redis.queue.maxmemory_mb", ["2048 MB"]),
        (two(memory_mb=1000), None, None, []),
        (
            {**app(memory_mb=1024), "blog": {**BLOG, "memory_mb": 1024}},
            None,
            "flask_apps.blog.memory_mb",
            ["2304 MB", "2048 MB"],
        ),
        (app(workers=25), None, None, []),
        (app(workers=70), None, "flask_apps.shop.workers", ["560 connections", "postgresql_settings", "573 or more"]),
        (
            app(workers=25),
            {"max_connections": 200},
            "postgresql_settings.max_connections",
            ["= 200", "200 connections (shop 200)", "213 or more"],
        ),
        (app(workers=25), {"max_connections": "213"}, None, []),
        (app(workers=25, switch="in_place"), {"max_connections": 113}, None, []),
        (
            app(workers=1, processes={"worker": {"command": "rq worker", "count": 20}}),
            {"max_connections": 100},
            "postgresql_settings.max_connections",
            ["108 connections"],
        ),
        (two(workers=11), {"max_connections": 100}, "postgresql_settings.max_connections", ["blog 88, shop 8", "109"]),
        (app(workers=25, database=False), None, None, []),
        (
            app(workers=98, worker_class="sync"),
            {"max_connections": 100},
            "postgresql_settings.max_connections",
            ["196 connections"],
        ),
    ],
)
def test_what_the_machine_does_not_hold(apps: Any, settings: Any, path: str | None, words: list[str]) -> None:
    problems = check(apps, facts=MACHINE, settings=settings)
    assert [problem.path for problem in problems.errors] == ([path] if path else [])
    assert all(word in problems.message() for word in words), problems.message()


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("flask_app", "flask_apps"),
        ("flaskapps", "flask_apps"),
        ("flask_apps_overrides", "flask_app_overrides"),
        ("postgres_databases", "postgresql_databases"),
        ("postgresql_database", "postgresql_databases"),
        ("nginx_site", "nginx_sites"),
        ("host_time_zone", "host_timezone"),
        # other roles and other people's variables
        ("redis_version", None),
        ("nginx_worker_processes", None),
        ("postgresql_databases", None),
        ("ansible_host", None),
        ("my_flask_apps", None),
    ],
)
def test_misspelt_variables(name: str, suggested: str | None) -> None:
    problems = check(app(), names=[name, "inventory_hostname"])
    assert [problem.path for problem in problems.errors] == ([name] if suggested else [])
    if suggested:
        assert f"Did you mean {suggested}?" in problems.message()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, ["neither requirements.txt nor pyproject.toml with uv.lock"]),
        ({"pyproject.toml": ""}, ["uv lock"]),
        ({"uv.lock": ""}, ["neither"]),
        ({"requirements.txt": "flask==3.1.0\r\n"}, []),
        ({"poetry.lock": "", "pyproject.toml": ""}, ["only poetry.lock", "poetry export"]),
        ({"requirements.txt": "", ".python-version": "pypy3.10"}, ["pypy3.10", "Correct the file, or set the app's"]),
        ({"requirements.txt": "flask==3.1.0\n-e .\n"}, ["line 2", "editable"]),
        ({"requirements.txt": "flask==3.1.0\n"}, []),
        ({"pyproject.toml": "", "uv.lock": ""}, []),
    ],
)
def test_the_dependencies_of_a_local_source(tmp_path: Path, files: dict[str, str], words: list[str]) -> None:
    for name, text in files.items():
        (tmp_path / name).write_bytes(text.encode())
    problems = check(app(source={"path": str(tmp_path)}))
    assert bool(problems.errors) == bool(words)
    assert all(word in problems.message() for word in words), problems.message()


def test_a_static_directory_that_the_source_lacks(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("flask==3.1.0\n")
    (tmp_path / "static").mkdir()
    source = {"path": str(tmp_path)}
    assert check(app(source=source, static={"url": "/s/", "dir": "static"})).errors == []
    problems = check(app(source=source, static={"url": "/s/", "dir": "assets"}))
    assert [problem.path for problem in problems.errors] == ["flask_apps.shop.static.dir"]


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"database": {"readers": [{"name": "shop_reader", "password": GOOD}]}}, None, ""),
        ({"database": {"readers": [{"name": "pg_x"}]}}, "flask_apps.shop.database.readers[0].name", "reserved"),
        ({"database": {"readers": [{"name": "shop"}]}}, "flask_apps.shop.database.readers[0].name", "role of the app"),
        ({"database": {"readers": [{}]}}, "flask_apps.shop.database.readers[0].name", "required"),
        (
            {"database": {"readers": [{"name": "a"}, {"name": "a"}]}},
            "flask_apps.shop.database.readers[1].name",
            "is this role already",
        ),
        (
            {"database": {"readers": [{"name": "a", "password": "secret"}]}},
            "flask_apps.shop.database.readers[0].password",
            "",
        ),
    ],
)
def test_readers(changes: dict[str, Any], path: str | None, words: str) -> None:
    problems = check(app(**changes))
    assert [problem.path for problem in problems.errors][:1] == ([path] if path else [])
    assert words in problems.message()


def client(**changes: Any) -> dict[str, Any]:
    return {"role": "shop_reader", "database": "shop", "addresses": ["192.0.2.7"], **changes}


@pytest.mark.parametrize(
    ("variables", "path", "words"),
    [
        ({"postgresql_clients": [client()]}, None, ""),
        ({"postgresql_clients": [client(role="shop")]}, "postgresql_clients[0].role", "no password"),
        ({"postgresql_clients": [client(addresses=[])]}, "postgresql_clients[0].addresses", "nobody"),
        ({"postgresql_clients": [client(addresses=["0.0.0.0/0"])]}, "postgresql_clients[0].addresses[0]", "everybody"),
        ({"postgresql_clients": [client(addresses=["db"])]}, "postgresql_clients[0].addresses[0]", "192.0.2.0/24"),
        ({"postgresql_clients": [client(database="all")]}, "postgresql_clients[0].database", "reserved"),
        (
            {"postgresql_settings": {"listen_addresses": "*"}},
            "postgresql_settings.listen_addresses",
            "no client from outside is named",
        ),
        ({"postgresql_settings": {"listen_addresses": "*"}, "postgresql_clients": [client()]}, None, ""),
        ({"postgresql_settings": {"listen_addresses": "localhost,192.0.2.1"}}, None, ""),
        ({"postgresql_tls": {"chain_path": "/etc/ssl/a.pem"}}, "postgresql_tls", "a chain and a key"),
        ({"postgresql_settings": {"work mem": 1}}, "postgresql_settings.work mem", "not the name of a setting"),
        ({"postgresql_version": "17", "facts": ["15/main"]}, "postgresql_version", "upgrade.yml -e version=17"),
        ({"postgresql_version": "17", "facts": ["15/main", "17/main"]}, None, ""),
        ({"postgresql_version": "17", "facts": ["15/other"]}, None, ""),
    ],
)
def test_postgresql_before_the_first_change(variables: dict[str, Any], path: str | None, words: str) -> None:
    facts = {"postgresql_clusters": variables.pop("facts", [])}
    apps = app(database={"readers": [{"name": "shop_reader", "password": GOOD}]})
    problems = check_site({"flask_apps": apps, **variables}, (), KNOWN, facts)
    assert [problem.path for problem in problems.errors] == ([path] if path else [])
    assert words in problems.message()


def test_what_the_machines_certbot_cannot_do() -> None:
    variables = {"flask_apps": app(tls={"certificate": "acme"}), "certbot_profile": "shortlived"}
    facts = {"certbot_version": "2.9.0"}
    assert "the certbot 2.9.0 of this host has no profiles" in check_site(variables, [], [], facts).message()
    variables["flask_apps"] = app(tls={"certificate": "self_signed"})
    assert check_site(variables, [], [], facts).errors == []
