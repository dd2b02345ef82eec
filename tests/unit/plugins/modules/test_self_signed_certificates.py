"""The module as Ansible runs it, with real arguments and real files."""

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.ringstand.flask.plugins.modules import self_signed_certificates
from module_result import result_of


@pytest.fixture
def run(tmp_path: Path, capsys: Any) -> Any:
    def call(names: list, **options: Any) -> dict:
        wanted = [{"name": name, "domains": [f"{name}.example.com"], "dir": f"{tmp_path}/{name}"} for name in names]
        with patch_module_args({"certificates": wanted, **options}), pytest.raises(SystemExit):
            self_signed_certificates.main()
        return result_of(capsys.readouterr().out)

    return call


def test_check_predicts_what_is_then_done(run: Any, tmp_path: Path) -> None:
    run(["blog"])
    predicted = run(["blog", "shop"], _ansible_check_mode=True, _ansible_diff=True)
    assert not (tmp_path / "shop").exists()
    done = run(["blog", "shop"], _ansible_diff=True)
    assert predicted["changed"] is done["changed"] is True
    assert predicted["diff"] == done["diff"]
    assert [part["after"] for part in done["diff"]] == ["self-signed placeholder for shop.example.com\n"]
    assert {name: found["created"] for name, found in done["certificates"].items()} == {"blog": False, "shop": True}
    again = run(["blog", "shop"], _ansible_diff=True)
    assert (again["changed"], again["diff"]) == (False, [])


def test_no_key_is_shown(run: Any) -> None:
    assert "PRIVATE" not in json.dumps(run(["shop"], _ansible_diff=True))


def test_nginx_is_described_only_when_asked(run: Any) -> None:
    assert "nginx" not in run(["shop"])
    assert set(run(["shop"], nginx_facts=True)["nginx"]) == {
        "version",
        "openssl",
        "modules",
        "ipv6",
        "directives",
        "servers",
        "conflicts",
        "sites",
        "salts",
        "connections",
    }


def test_a_failure_is_one_message(run: Any, tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("in the way")
    failed = run(["shop"])
    assert failed["failed"] is True
    assert failed["msg"].startswith("Failed to make a placeholder certificate for shop: ")
