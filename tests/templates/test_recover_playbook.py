# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a lost host had of PostgreSQL, as the playbooks site and recover work it out from its apps."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from role_templates import ROLES_DIR, Role

LOCAL: dict[str, Any] = {"domains": ["shop.example.com"], "source": {"path": "/x"}, "wsgi": "shop:app"}
URL = {**LOCAL, "database_url": "postgresql://shop:Zq7-wr2_Xp9-m4K@db.example.com/shop"}


def play(name: str, apps: dict[str, Any], clusters: list[str]) -> Role:
    """The roles' defaults under the variables of a playbook's first play."""
    path = str(ROLES_DIR.parent / "playbooks" / f"{name}.yml")
    variables = DataLoader().load_from_file(path, trusted_as_template=True)[0]["vars"]
    facts = {"ringstand": {"postgresql_clusters": clusters, "cpu_count": 2, "memory_mb": 4096}}
    return Role("backup", inventory_hostname="vm1", **variables, flask_apps=apps, ansible_facts=facts)


@pytest.mark.parametrize(
    ("apps", "clusters", "cluster"),
    [
        pytest.param({"shop": LOCAL}, [], "main", id="a database here"),
        pytest.param({"shop": URL}, [], "", id="all elsewhere"),
        pytest.param({"shop": URL, "blog": LOCAL}, [], "main", id="one of both"),
        pytest.param({"shop": URL}, ["17/main"], "main", id="elsewhere, but there is a server"),
        pytest.param({}, [], "main", id="no app"),
    ],
)
def test_a_host_without_a_cluster_of_its_own(apps: dict[str, Any], clusters: list[str], cluster: str) -> None:
    for name in ("site", "recover"):
        host = play(name, apps, clusters)
        assert host.value("backup_cluster") == cluster
        assert ("archive_command" in host.value("postgresql_managed_settings")) == bool(cluster)
        assert ("pgbackrest" in host.value("backup_packages")) == bool(cluster)


def test_its_packages_are_those_of_a_client() -> None:
    bare: dict[str, Any] = {"host_base_packages": ["sudo"], "redis_packages": [], "postgresql_packages": ["postgresql"]}
    for apps, package in (({"shop": URL}, "postgresql-client"), ({"shop": LOCAL}, "postgresql")):
        host = play("recover", apps, [])
        host.variables.update(bare)
        assert [name for name in host.value("host_packages") if name.startswith("postgresql")] == [package]
