"""The module as Ansible runs it, on a host without PostgreSQL; molecule/postgresql runs it on hosts that have it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.ringstand.flask.plugins.module_utils.postgresql_cluster import Cluster, Host
from ansible_collections.ringstand.flask.plugins.modules import postgresql_state
from module_result import result_of

PASSWORD = 'it\'s a "canary"'


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    def call(host: Host | None = None, **options: Any) -> dict[str, Any]:
        monkeypatch.setattr(Host, "read", staticmethod(lambda _name: host or Host()))
        with patch_module_args(options), pytest.raises(SystemExit):
            postgresql_state.main()
        return result_of(capsys.readouterr().out)

    return call


def test_a_bare_host_in_check_mode(run: Any) -> None:
    result = run(Host(candidate="17"), _ansible_check_mode=True, roles=[{"name": "shop"}])
    assert (result["changed"], result["version"], result["exists"], result["running"]) == (False, "17", False, False)
    assert result["config_dir"] == "/etc/postgresql/17/main"
    assert result["roles"] == []


def test_a_bare_host_whose_version_is_unknown(run: Any) -> None:
    assert run(_ansible_check_mode=True)["version"] == ""
    assert run()["msg"].startswith("Failed to find PostgreSQL: it is not installed.")


def test_a_cluster_that_does_not_start(run: Any) -> None:
    down = Cluster("17", "main", 5432, False, "postgres", "/var/lib/postgresql/17/main")
    assert run(Host([down]))["running"] is False
    failed = run(Host([down]), wait_seconds=1)
    assert failed["msg"].startswith("Failed to start the cluster 17/main: after 1 seconds it is not running.")


def test_another_version(run: Any) -> None:
    old = Cluster("15", "main", 5432, True, "postgres", "/var/lib/postgresql/15/main")
    assert "Set postgresql_version to 15" in run(Host([old]), version="17")["msg"]


def test_an_md5_hash(run: Any) -> None:
    result = run(roles=[{"name": "shop"}], passwords={"shop": "md5" + "0" * 32})
    assert result["msg"].startswith("Failed to accept the password of the role shop: it is an md5 hash")


def test_no_password_comes_out_or_is_in_the_hosts_log(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[Any] = []
    monkeypatch.setattr(AnsibleModule, "log", lambda _self, *arguments, **_options: recorded.append(arguments))
    result = run(roles=[{"name": "shop"}], passwords={"shop": PASSWORD}, _ansible_verbosity=3)
    assert recorded
    assert "canary" not in str(recorded) + json.dumps(result)


@pytest.mark.parametrize(("wanted", "kept", "foreseen"), [
    ("120MB", {"shared_buffers": "128MB"}, []), ("96MB", {}, ["shared_buffers"])])
def test_a_size_that_is_kept_needs_no_restart(
    run: Any, monkeypatch: pytest.MonkeyPatch, wanted: str, kept: dict[str, str], foreseen: list[str]
) -> None:
    buffers = {"setting": "16384", "unit": "8kB", "type": "integer", "boot": "16384", "wanted": True}
    server = {"checksums": True, "loaded_at": 0, "files": [], "file_errors": [], "hba": [], "altered": [],
              "pending_restart": [], "values": {"shared_buffers": buffers},
              "sources": {}, "roles": {}, "databases": {}, "available": []}
    monkeypatch.setattr(postgresql_state, "read", lambda *_arguments: server)
    cluster = Cluster("17", "main", 5432, True, "postgres", "/var/lib/postgresql/17/main")
    result = run(Host([cluster]), settings={"shared_buffers": wanted}, steady=["shared_buffers"])
    assert (result["kept_settings"], result["restart_foreseen"]) == (kept, foreseen)
