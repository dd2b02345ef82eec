from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.postgresql_cluster import Cluster
from ansible_collections.ringstand.flask.plugins.module_utils.postgresql_state import (
    ATTRIBUTES,
    compare,
    kept_settings,
    literals,
    local_method,
    reload_needed,
    restart_foreseen,
    role_flags,
)
from ansible_collections.ringstand.flask.plugins.module_utils.scram import make_verifier

CLUSTER = Cluster("17", "main", 5432, True, "postgres", "/var/lib/postgresql/17/main")
DROP_IN = "/etc/postgresql/17/main/conf.d/50-ringstand.conf"
PEER = {"line": 1, "type": "local", "database": ["all"], "user": ["all"], "method": "peer", "error": None}
STORED = {**dict.fromkeys(ATTRIBUTES.values(), False), "rolcanlogin": True, "rolpassword": make_verifier("pencil"),
          "rolconnlimit": -1, "rolvaliduntil": None}
ROLE = {"name": "shop", "password": None, "attributes": []}
DATABASE = {"name": "shop", "owner": "shop", "extensions": ["citext"]}
FOUND = {
    "owner": "shop",
    "encoding": "UTF8",
    "limit": -1,
    "public": False,
    "extensions": ["plpgsql", "citext"],
    "schema_public": False,
}


def server(**changes: Any) -> dict[str, Any]:
    return {
        "checksums": True,
        "loaded_at": 4e9,
        "files": [DROP_IN],
        "pending_restart": [],
        "file_errors": [],
        "hba": [PEER],
        "sources": {"jit": DROP_IN},
        "altered": [],
        "roles": {"shop": STORED},
        "databases": {"shop": FOUND},
        "available": ["citext"],
        **changes,
    }


def differences(
    found: dict[str, Any], role: dict[str, Any] = ROLE, database: dict[str, Any] = DATABASE
) -> dict[str, Any]:
    """What compare returns, without what is empty."""
    result = compare(CLUSTER, found, [role], [database])
    result["roles"] = [item["name"] for item in result["roles"]]
    assert result.pop("data_checksums") is found["checksums"]
    result.pop("new")
    return {key: value for key, value in result.items() if value}


def test_nothing_differs() -> None:
    assert differences(server()) == {}


def test_nothing_is_there() -> None:
    assert differences(server(roles={}, databases={})) == {
        "roles": ["shop"],
        "databases": ["shop"],
        "missing_databases": ["shop"],
        "public_databases": ["shop"],
        "extensions": [{"database": "shop", "name": "citext"}],
    }


CREATE = (
    'CREATE ROLE "shop" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;',
    'CREATE DATABASE "shop" OWNER "shop" TEMPLATE template0 ENCODING \'UTF8\';',
    'REVOKE CONNECT, TEMPORARY ON DATABASE "shop" FROM PUBLIC;',
    '\\connect "shop"',
    'CREATE EXTENSION IF NOT EXISTS "citext" CASCADE;',
)


@pytest.mark.parametrize(
    ("there", "role", "expected"),
    [
        pytest.param({}, ROLE, CREATE, id="both are missing"),
        pytest.param({"roles": {"shop": STORED}}, ROLE, CREATE[1:], id="the role is there"),
        pytest.param({"databases": {"shop": FOUND}}, ROLE, CREATE[:1], id="the database is there"),
        # A module creates it, which shows no password, and the database after it.
        pytest.param({}, {**ROLE, "password": "pencil"}, (), id="the role has a password"),
    ],
)
def test_statements_for_what_is_missing(there: dict[str, Any], role: dict[str, Any], expected: tuple[str, ...]) -> None:
    found = server(**{"roles": {}, "databases": {}, **there})
    assert tuple(compare(CLUSTER, found, [role], [DATABASE])["new"]["statements"]) == expected


def test_what_alter_system_has_set_is_taken_back_and_not_warned_of() -> None:
    auto = "/var/lib/postgresql/17/main/postgresql.auto.conf"
    found = server(sources={"jit": auto, "work_mem": "/etc/postgresql/17/main/conf.d/99-mine.conf"}, altered=["jit"])
    result = differences(found)
    assert result["altered_settings"] == ["jit"]
    assert [warning for warning in result["warnings"] if "jit" in warning] == []
    assert "work_mem" in result["warnings"][0]


CONNECTIONS = {"setting": "100", "unit": None, "type": "integer", "boot": "100", "wanted": True}
BUFFERS = {"setting": "16384", "unit": "8kB", "type": "integer", "boot": "16384", "wanted": True}


@pytest.mark.parametrize(
    ("values", "settings", "foreseen"),
    [
        ({"max_connections": CONNECTIONS}, {"max_connections": 100}, []),
        ({"max_connections": CONNECTIONS}, {"max_connections": "200"}, ["max_connections"]),
        ({"shared_buffers": BUFFERS}, {"shared_buffers": "128MB"}, []),
        ({"shared_buffers": BUFFERS}, {"shared_buffers": "129MB"}, ["shared_buffers"]),
        ({"max_connections": {**CONNECTIONS, "setting": "50", "wanted": False}}, {}, ["max_connections"]),
        ({"max_connections": {**CONNECTIONS, "wanted": False}}, {}, []),
    ],
)
def test_a_restart_is_foreseen(values: dict[str, Any], settings: dict[str, Any], foreseen: list[str]) -> None:
    assert restart_foreseen(values, settings) == foreseen


def test_a_size_stays_as_it_runs_when_it_is_about_the_wanted_one_and_was_not_asked_for() -> None:
    values = {"shared_buffers": BUFFERS, "max_connections": CONNECTIONS}
    steady = ["shared_buffers", "huge_page_size"]
    assert kept_settings(values, {"shared_buffers": "120MB", "max_connections": 110}, steady) == {
        "shared_buffers": "128MB"}
    assert kept_settings(values, {"shared_buffers": "96MB"}, steady) == {}
    assert kept_settings(values, {"shared_buffers": "120MB"}, []) == {}


def test_a_new_schema_is_open_before_version_15() -> None:
    old = Cluster("14", "main", 5432, True, "postgres", "/var/lib/postgresql/14/main")
    assert compare(old, server(databases={}), [ROLE], [DATABASE])["public_schemas"] == ["shop"]


@pytest.mark.parametrize(
    ("wanted", "stored"),
    [
        pytest.param({}, {"rolcanlogin": False}, id="cannot log in"),
        pytest.param({}, {"rolsuper": True}, id="has become a superuser"),
        pytest.param({}, {"rolconnlimit": 5}, id="a limit of connections"),
        pytest.param({}, {"rolvaliduntil": "2020-01-01T00:00:00+00:00"}, id="an end of its password"),
        pytest.param({"attributes": ["createdb"]}, {}, id="lacks an attribute"),
        pytest.param({"password": "pencils"}, {}, id="another password"),
        pytest.param({"password": "pencil"}, {"rolpassword": None}, id="no password"),
        pytest.param({"password": "pencil"}, {"rolpassword": "md5" + "0" * 32}, id="an md5 hash"),
        pytest.param({"password": make_verifier("pencil")}, {}, id="another verifier"),
    ],
)
def test_a_role_differs(wanted: dict[str, Any], stored: dict[str, Any]) -> None:
    found = server(roles={"shop": {**STORED, **stored}})
    assert differences(found, {**ROLE, **wanted}) == {"roles": ["shop"]}


@pytest.mark.parametrize(
    ("wanted", "stored"),
    [
        pytest.param({"password": "pencil"}, {}, id="the password matches"),
        pytest.param({"password": STORED["rolpassword"]}, {}, id="the verifier matches"),
        pytest.param({"attributes": ["createdb"]}, {"rolcreatedb": True}, id="the attribute is there"),
        pytest.param({}, {"rolvaliduntil": "infinity"}, id="a password without end"),
        pytest.param({}, {"rolpassword": "md5" + "0" * 32}, id="a password that is none of ours"),
    ],
)
def test_a_role_does_not_differ(wanted: dict[str, Any], stored: dict[str, Any]) -> None:
    assert differences(server(roles={"shop": {**STORED, **stored}}), {**ROLE, **wanted}) == {}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"owner": "postgres"}, {"databases": ["shop"]}),
        ({"limit": 5}, {"databases": ["shop"]}),
        ({"public": True}, {"public_databases": ["shop"]}),
        ({"schema_public": True}, {"public_schemas": ["shop"]}),
        ({"extensions": ["plpgsql"]}, {"extensions": [{"database": "shop", "name": "citext"}]}),
    ],
)
def test_a_database_differs(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert differences(server(databases={"shop": {**FOUND, **found}})) == expected


@pytest.mark.parametrize(
    ("found", "part"),
    [
        ({"checksums": False}, "without data checksums"),
        ({"pending_restart": ["shared_buffers"]}, "takes shared_buffers only after a restart"),
        ({"sources": {"jit": "/d/postgresql.auto.conf"}}, "The setting jit of the cluster 17/main is ruled by /d/"),
        ({"databases": {"shop": {**FOUND, "encoding": "SQL_ASCII"}}}, "encoded in SQL_ASCII"),
        ({"hba": [{**PEER, "method": "md5"}]}, "pg_hba.conf wants md5"),
    ],
)
def test_warnings(found: dict[str, Any], part: str) -> None:
    (warning,) = differences(server(**found))["warnings"]
    assert part in warning


@pytest.mark.parametrize(
    "found",
    [
        pytest.param({"files": []}, id="the drop-in file is not written yet"),
        pytest.param({"pending_restart": ["jit"]}, id="it waits for a restart"),
    ],
)
def test_no_other_file_rules(found: dict[str, Any]) -> None:
    other = {"jit": "/etc/postgresql/17/main/postgresql.conf"}
    warnings = differences(server(sources=other, **found)).get("warnings", [])
    assert not any("is ruled by" in warning for warning in warnings)


def test_the_role_repairs_its_own_file_before_its_errors_count() -> None:
    error = {"file": DROP_IN, "line": 2, "error": "unrecognized configuration parameter"}
    assert differences(server(file_errors=[error])) == {}


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            {"file_errors": [{"file": "/etc/postgresql/17/main/postgresql.conf", "line": 7, "error": "syntax error"}]},
            "Failed to load the configuration of the cluster 17/main: /etc/postgresql/17/main/postgresql.conf line 7: "
            "syntax error",
        ),
        (
            {"hba": [{**PEER, "line": 9, "error": "invalid authentication method"}]},
            "Failed to load the configuration of the cluster 17/main: pg_hba.conf line 9: "
            "invalid authentication method",
        ),
        (
            {"databases": {}, "available": []},
            "Failed to plan the database shop: PostgreSQL 17 has no extension 'citext'. Add the package that ships it "
            "to postgresql_extra_packages, or correct the name",
        ),
    ],
)
def test_errors(found: dict[str, Any], message: str) -> None:
    with pytest.raises(RingstandError) as caught:
        differences(server(**found))
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("rules", "method"),
    [
        ([PEER], "peer"),
        ([{**PEER, "type": "host", "method": "scram-sha-256"}, PEER], "peer"),
        ([{**PEER, "user": ["postgres"], "method": "trust"}, PEER], "peer"),
        ([{**PEER, "database": ["replication"], "method": "trust"}, PEER], "peer"),
        ([{**PEER, "database": ["sameuser"], "method": "scram-sha-256"}, PEER], "scram-sha-256"),
        ([{**PEER, "user": ["+staff"], "method": "md5"}, PEER], None),
        ([], None),
    ],
)
def test_local_method(rules: list[dict[str, Any]], method: str | None) -> None:
    assert local_method(rules, "shop", "shop") == method


def test_flags() -> None:
    flags = role_flags({"attributes": ["createdb"]})
    assert flags == "LOGIN,NOSUPERUSER,CREATEDB,NOCREATEROLE,NOREPLICATION,NOBYPASSRLS"


def test_literals() -> None:
    assert literals([]) == "NULL"
    assert literals(["shop", "it's"]) == "'shop', 'it''s'"


def test_reload_needed(tmp_path: Path) -> None:
    path = tmp_path / "pg_hba.conf"
    path.touch()
    os.utime(path, (1, 1))  # an old file put in place now: its ctime tells
    loaded_at = path.stat().st_ctime
    gone = str(tmp_path / "gone")
    assert not reload_needed([str(path), gone], str(tmp_path), loaded_at)
    assert reload_needed([str(path)], str(tmp_path), loaded_at - 1)
    drop_ins = tmp_path / "conf.d"
    drop_ins.mkdir()
    assert reload_needed([], str(tmp_path), drop_ins.stat().st_ctime - 1)
