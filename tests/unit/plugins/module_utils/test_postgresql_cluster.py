from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.postgresql_cluster import Cluster, Host, parse_clusters

LISTED = """\
15  main    5432 down   postgres /var/lib/postgresql/15/main /var/log/postgresql/postgresql-15-main.log
17  main    5433 online postgres /var/lib/postgresql/17/main /var/log/postgresql/postgresql-17-main.log
17  standby 5434 online,recovery postgres /srv/data /var/log/postgresql/my log.log
"""


def cluster(version: str, name: str = "main") -> Cluster:
    return Cluster(version, name, 5432, True, "postgres", f"/var/lib/postgresql/{version}/{name}")


def test_parse() -> None:
    found = parse_clusters(LISTED)
    assert [(str(item), item.port, item.running) for item in found] == [
        ("15/main", 5432, False),
        ("17/main", 5433, True),
        ("17/standby", 5434, True),
    ]
    assert found[1].config_dir == "/etc/postgresql/17/main"
    assert found[1].unit == "postgresql@17-main.service"
    assert parse_clusters("") == []


@pytest.mark.parametrize(
    ("host", "wanted", "version"),
    [
        pytest.param({"candidate": "17"}, "", "17", id="bare: what can be installed"),
        pytest.param({}, "", "", id="bare without package lists"),
        pytest.param({"candidate": "17"}, "16", "16", id="bare: the chosen one"),
        pytest.param({"installed": ["9.6", "15", "17"]}, "", "17", id="installed without a cluster: the newest"),
        pytest.param({"clusters": ["15"], "installed": ["15", "17"]}, "", "15", id="an existing one is taken"),
        pytest.param({"clusters": ["15"]}, "15", "15", id="the existing one is chosen"),
        pytest.param({"clusters": ["15", "17"]}, "17", "17", id="one of two of somebody else is chosen"),
        pytest.param({"clusters": ["15", "17"], "managed": {"15", "17"}}, "17", "17", id="after an upgrade"),
        pytest.param({"clusters": ["15"], "data_dirs": {"15": "/d/15"}}, "", "15", id="data with its cluster"),
    ],
)
def test_choose(host: dict[str, Any], wanted: str, version: str) -> None:
    assert make(host).choose(wanted, "main") == version


@pytest.mark.parametrize(
    ("host", "wanted", "parts"),
    [
        pytest.param(
            {"clusters": ["15"], "installed": ["15", "17"]}, "17",
            ["choose PostgreSQL 17", "cluster 15/main", "Set postgresql_version to 15", "ringstand upgrade --to 17"],
            id="another version than that of the data",
        ),
        pytest.param(
            {"clusters": ["15", "17"], "managed": {"15"}}, "17", ["the data is in the cluster 15/main"],
            id="a package has put an empty one beside the data",
        ),
        pytest.param(
            {"clusters": ["15", "17"]}, "", ["15/main and 17/main exist", "set postgresql_version"], id="ambiguous"
        ),
        pytest.param(
            {"installed": ["15"], "data_dirs": {"15": "/var/lib/postgresql/15/main"}}, "",
            ["/var/lib/postgresql/15/main holds data", "pg_createcluster 15 main"], id="data without a cluster",
        ),
    ],
)  # fmt: skip
def test_refused(host: dict[str, Any], wanted: str, parts: list[str]) -> None:
    with pytest.raises(RingstandError) as caught:
        make(host).choose(wanted, "main")
    assert caught.value.message.startswith("Failed to choose ")
    assert [part for part in parts if part not in caught.value.message] == []


def test_a_cluster_of_another_name_is_none_of_ours() -> None:
    host = Host([cluster("15", "other")], ["15", "17"])
    assert host.choose("", "main") == "17"
    assert host.cluster("15", "main") is None
    assert host.cluster("15", "other") == cluster("15", "other")


def make(host: dict[str, Any]) -> Host:
    return Host(
        [cluster(version) for version in host.get("clusters", [])],
        host.get("installed", []),
        host.get("candidate", ""),
        host.get("data_dirs"),
        frozenset(host.get("managed", ())),
    )
