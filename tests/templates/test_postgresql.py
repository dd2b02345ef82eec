"""What the postgresql role writes."""

from __future__ import annotations

from typing import Any

import pytest
from role_templates import Role

FACTS = {"ringstand": {"memory_mb": 4096, "cpu_count": 2}}


def settings(**variables: Any) -> dict[str, str]:
    text = Role("postgresql", ansible_facts=FACTS, **variables).template("50-ringstand.conf.j2")
    assert text.endswith("\n")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return dict(line.split(" = ", 1) for line in lines)


def test_half_of_the_machine_and_loopback_only() -> None:
    found = settings()
    assert found["shared_buffers"] == "'512MB'"
    assert found["listen_addresses"] == "'localhost'"
    assert found["password_encryption"] == "'scram-sha-256'"
    assert found["jit"] == "off"


def test_a_given_size() -> None:
    assert settings(postgresql_memory_mb=1024)["shared_buffers"] == "'256MB'"


def test_shared_buffers_stay_as_they_run_unless_the_user_decides_on_them() -> None:
    running = {"__postgresql_before": {"config_dir": "", "version": "17", "kept_settings": {"shared_buffers": "448MB"}}}
    assert settings(**running)["shared_buffers"] == "'448MB'"
    wanted = Role("postgresql", ansible_facts=FACTS, **running).value("__postgresql_wanted")
    assert wanted["shared_buffers"] == "512MB"  # what is compared with the server is never what an earlier play kept
    asked: list[dict[str, Any]] = [
        {}, {"postgresql_memory_mb": 1024}, *({name: {"shared_buffers": "1GB"}} for name in
        ("postgresql_settings", "postgresql_managed_settings"))]
    steady = [Role("postgresql", ansible_facts=FACTS, **one).value("__postgresql_steady") for one in asked]
    assert steady == [["shared_buffers"], [], [], []]


def test_own_settings_win_and_complete() -> None:
    own = {"max_connections": 400, "jit": True, "log_min_duration_statement": "500ms", "search_path": ["a", "b'c"]}
    found = settings(postgresql_settings=own)
    assert found["max_connections"] == "400"
    assert found["jit"] == "on"
    assert found["log_min_duration_statement"] == "'500ms'"
    assert found["search_path"] == "'a, b''c'"


def test_the_connections_share_the_memory() -> None:
    few, many = (settings(postgresql_memory_mb=16384, postgresql_settings={"max_connections": n}) for n in (50, 500))
    assert int(few["work_mem"].strip("'kB")) > int(many["work_mem"].strip("'kB"))


def test_packages() -> None:
    assert Role("postgresql").value("postgresql_packages") == ["postgresql", "python3-psycopg2"]
    chosen = Role("postgresql", postgresql_version="17", postgresql_extra_packages=["postgresql-17-postgis-3"])
    assert chosen.value("postgresql_packages") == ["postgresql-17", "python3-psycopg2", "postgresql-17-postgis-3"]


ARMOURED = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----\n"


@pytest.mark.parametrize("key", ["", ARMOURED])
def test_pgdg_is_one_file_with_its_key(key: str) -> None:
    facts = {"ringstand": {**FACTS["ringstand"], "os_codename": "trixie"}}
    role = Role("postgresql", ansible_facts=facts, postgresql_source="pgdg", postgresql_pgdg_key=key)
    source = role.value("postgresql_package_files")[-1]
    assert source["path"].endswith(".sources")
    lines = source["content"].splitlines()
    assert "Suites: trixie-pgdg" in lines and "URIs: https://apt.postgresql.org/pub/repos/apt" in lines
    signed = lines[lines.index("Signed-By:") + 1 :]
    assert signed[0] == " -----BEGIN PGP PUBLIC KEY BLOCK-----" and signed[1] == " ."
    assert all(line.startswith(" ") for line in signed)
    assert len(signed) == (4 if key else 77)


def test_the_distribution_needs_no_source() -> None:
    paths = [file["path"] for file in Role("postgresql").value("postgresql_package_files")]
    assert [path for path in paths if "apt" in path] == []


def test_passwords_are_apart_from_roles() -> None:
    shop = {"name": "shop", "attributes": ["createdb"]}
    role = Role("postgresql", postgresql_roles=[{**shop, "password": "it's \"so\""}, {"name": "blog"}])
    assert role.value("__postgresql_roles") == [shop, {"name": "blog"}]
    assert role.value("__postgresql_passwords") == {"shop": "it's \"so\""}
