# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The action validate, run by ansible-playbook itself against a host that does not exist."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[4]
GOOD_APP = """
    flask_apps:
      shop:
        domains: [shop.example.com]
        source: {git: "https://git.example.com/acme/shop.git", version: v1.4.2}
        wsgi: "shop:create_app()"
"""


def run(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name(tool), *arguments]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)


def play(tmp_path: Path, variables: str, task: str = "", more: str = "", *options: str | Path) -> Any:
    playbook = tmp_path / "play.yml"
    tasks = f"  tasks:\n    - name: Check\n      ringstand.flask.validate: {task}\n{more}"
    playbook.write_text(f"- hosts: all\n  gather_facts: false\n  vars:\n{variables}\n{tasks}")
    return run("ansible-playbook", "-vvv", "--diff", "-i", "192.0.2.1,", *options, playbook)


def test_good_input_passes_without_contacting_the_host(tmp_path: Path) -> None:
    done = play(tmp_path, GOOD_APP)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0" in done.stdout


def test_vaulted_and_awkward_values_arrive_verbatim(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("vault")
    vault = ["--vault-password-file", tmp_path / "password"]
    key, token = "va'ul\"ted %s $HOME #!x", "{{ not a template }} '%d'"
    encrypted = run("ansible-vault", "encrypt_string", *vault, key).stdout.replace("\n", "\n            ")
    environment = f"        environment:\n          TOKEN: !unsafe |-\n            {token}"
    variables = f"{GOOD_APP}        secret_key: {encrypted}\n{environment}"
    expected = tmp_path / "expected.json"
    expected.write_text(json.dumps([key, token]))
    more = f"""
    - name: Compare
      ansible.builtin.assert:
        that: "[app.environment.SECRET_KEY, app.environment.TOKEN] == (lookup('file', '{expected}') | from_json)"
      vars:
        secrets: {{shop: {{redis_password: abc}}}}
        app: "{{{{ (flask_apps | ringstand.flask.gunicorn_apps(secrets, cpu_count=2, memory_mb=2048)) | first }}}}"
"""
    done = play(tmp_path, variables, "", more, *vault)
    assert done.returncode == 0, done.stdout + done.stderr


def test_templates_are_evaluated_and_their_faults_named(tmp_path: Path) -> None:
    more = '        secret_key: "{{ vault_shop_key }}"\n        workers: "{{ 3 + 97 * 100 }}"\n'
    done = play(tmp_path, GOOD_APP + more)
    assert done.returncode == 2
    assert "flask_apps.shop.secret_key: the value cannot be evaluated: 'vault_shop_key' is undefined" in done.stdout
    assert "flask_apps.shop.workers = 9703: the number must be between 1 and 128" in done.stdout


def test_every_roles_values_are_checked_before_the_first_role(tmp_path: Path) -> None:
    more = "    nginx_timeout_seconds: soon\n    nginx_public_https_port: 0\n    postgresql_settings: [a]\n"
    done = play(tmp_path, more + GOOD_APP)
    assert done.returncode == 2
    assert 'nginx_timeout_seconds = "soon": ' in done.stdout
    assert "nginx_public_https_port = 0: the number must be between 1 and 65535" in done.stdout
    assert "postgresql_settings = […]: " in done.stdout


def test_values_that_need_facts_wait_for_them(tmp_path: Path) -> None:
    more = '        workers: "{{ ansible_facts.ringstand.cpu_count * 2 }}"\n'
    done = play(tmp_path, GOOD_APP + more)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("released", "refused"), [([], True), (["shop"], False)])
def test_what_the_first_deploy_takes_has_to_be_there(tmp_path: Path, released: list[str], refused: bool) -> None:
    repository = tmp_path / "shop.git"
    subprocess.run(["git", "init", "--quiet", repository], check=True)
    app = GOOD_APP.replace(re.search(r"source: (.*)", GOOD_APP)[1], f'{{git: "{repository}", version: v9.9.9}}')
    facts = {"memory_mb": 4096, "cpu_count": 2, "apps_with_release": released}
    more = f"  pre_tasks:\n    - ansible.builtin.set_fact: {{ringstand: {json.dumps(facts)}, cacheable: true}}\n"
    done = play(tmp_path, app, "", more)
    assert (done.returncode != 0) == refused, done.stdout
    assert ("flask_apps.shop.source: Failed to resolve 'v9.9.9'" in done.stdout) == refused


def test_no_value_that_may_be_secret_is_shown(tmp_path: Path) -> None:
    more = (
        "        secret_key: canary1\n        redis_password: canary2\n"
        "        environment: {PATH: canary3, A: [canary4]}\n"
        '        database_url: "ftp://canary5"\n        database: "postgresql://me:canary6@db/shop"\n'
        "        package_index_url: canary7\n"
    )
    done = play(tmp_path, GOOD_APP + more)
    assert done.returncode == 2
    assert "7 problems" in done.stdout
    assert "canary" not in done.stdout + done.stderr


@pytest.mark.parametrize("place", ["inventory", "command line"])
def test_a_value_that_the_playbook_derives(tmp_path: Path, place: str) -> None:
    inventory = tmp_path / "inventory.yml"
    inventory.write_text("all: {hosts: {192.0.2.1: {nginx_removed_sites: [old], postgresql_settings: {}}}}")
    given = ["-i", inventory] if place == "inventory" else ["-e", "nginx_removed_sites=old"]
    done = play(tmp_path, GOOD_APP + "    nginx_removed_sites: [derived]\n", "", "", *given)
    assert done.returncode == 2, done.stdout
    assert "1 problem" in done.stdout
    assert "- nginx_removed_sites: this playbook derives it from flask_apps, so that it cannot be set. " in done.stdout
    assert "{old: {state: absent}}" in done.stdout
    alone = play(tmp_path, GOOD_APP, "", "", *given)
    assert "derives" not in alone.stdout


def test_two_apps_of_the_same_name(tmp_path: Path) -> None:
    second = "\n".join(GOOD_APP.splitlines()[2:])
    done = play(tmp_path, f"{GOOD_APP.rstrip()}\n{second}")
    assert done.returncode != 0
    assert "shop" in done.stderr and "uplicate" in done.stderr, done.stderr


@pytest.mark.parametrize("variable", ["nginx_sitse", "flask_app_override"])
def test_a_misspelt_variable(tmp_path: Path, variable: str) -> None:
    done = play(tmp_path, f"    {variable}: []\n{GOOD_APP}")
    assert done.returncode == 2
    assert f"{variable}: no role or playbook here has this variable. Did you mean" in done.stdout


@pytest.mark.parametrize(
    ("role", "variables", "words"),
    [
        (
            "redis",
            "    redis_instances: [{name: a, port: 6400}, {name: b, port: 6400}]",
            "redis_instances[1].port = 6400",
        ),
        ("nginx", "    nginx_sites: [{name: a, domains: ['a.b:80']}]", "nginx_sites[0].domains[0]"),
        ("postgresql", "    postgresql_databases: [{name: postgres}]", 'postgresql_databases[0].name = "postgres"'),
        ("host", "    unrelated: 1", ""),
    ],
)
def test_the_variables_of_one_role(tmp_path: Path, role: str, variables: str, words: str) -> None:
    done = play(tmp_path, variables, f"{{role: {role}}}")
    assert done.returncode == (2 if words else 0), done.stdout
    assert words in done.stdout


BY_DNS = """
    certbot_source: virtual_environment
    certbot_dns_credentials: {rfc2136: "dns_rfc2136_server = 192.0.2.1"}
    certbot_certificates: [{name: shop, domains: ["*.example.com"], dns_plugin: rfc2136}]
    certbot_requirements_path: """
MINE = "certbot==5.8.0\ncertbot-dns-rfc2136==5.8.0\n"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("mine.txt", ""),  # beside the playbook
        ("certbot-requirements.txt", "certbot-requirements.txt does not name this plugin"),  # the role's own
        ("absent.txt", 'certbot_requirements_path = "absent.txt": it cannot be read: there is no such file'),
    ],
)
def test_what_certbots_requirements_file_names(tmp_path: Path, path: str, words: str) -> None:
    (tmp_path / "mine.txt").write_text(MINE)
    done = play(tmp_path, f"{BY_DNS}{path}", "{role: certbot}")
    assert done.returncode == (2 if words else 0), done.stdout
    assert words in done.stdout.replace('\\"', '"')
