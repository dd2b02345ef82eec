"""The module as Ansible runs it, with real arguments and real files."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.ringstand.flask.plugins.module_utils import certificates, nginx
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


def make_certificate(folder: Path) -> dict[str, str]:
    """As somebody brings it; another one each time."""
    certificates.ensure(certificates.Wanted("mine", ["shop.example.com"], str(folder)), days=90)
    return {"chain_path": f"{folder}/fullchain.pem", "key_path": f"{folder}/privkey.pem"}


def test_one_that_is_of_no_use_holds_up_no_other(tmp_path: Path, capsys: Any) -> None:
    mine = make_certificate(tmp_path / "mine")

    def run(**options: Any) -> dict:
        own = {"wiki": {**mine, "chain_path": "/missing"}, "shop": mine, "blog": None}
        wanted = [{"name": name, "domains": [f"{name}.example.com"], "dir": f"{tmp_path}/{name}", "own": one}
                  for name, one in own.items()]  # fmt: skip
        with patch_module_args({"certificates": wanted, **options}), pytest.raises(SystemExit):
            self_signed_certificates.main()
        return result_of(capsys.readouterr().out)

    def states(result: dict) -> list[str]:
        return [result["certificates"][name]["state"] for name in ("wiki", "shop", "blog")]

    predicted, done = run(_ansible_check_mode=True, in_parts=True), run(in_parts=True)
    (refused,) = predicted["refused"]
    assert (refused["name"], refused["state"]) == ("wiki", "placeholder")
    assert refused["reason"] == "Failed to take the own certificate of wiki: /missing is no certificate in PEM"
    assert predicted["refused"] == done["refused"] and predicted["changed"] is done["changed"] is True
    assert states(done) == ["placeholder", "real", "placeholder"]
    assert run(in_parts=True)["changed"] is False
    # What was good before stays in use; alone, the module fails, after all the others.
    mine["key_path"] = make_certificate(tmp_path / "other")["key_path"]
    failed = run()
    assert failed["failed"] is True and "is not its key" in failed["msg"] and "/missing" in failed["msg"]
    assert states(failed) == ["placeholder", "real", "placeholder"]


def test_files_that_no_longer_fit_give_way_to_a_placeholder(tmp_path: Path, capsys: Any) -> None:
    """nginx would refuse all of its configuration because of them."""
    own, other = make_certificate(tmp_path / "mine"), make_certificate(tmp_path / "other")
    wanted = [{"name": "shop", "domains": ["shop.example.com"], "dir": f"{tmp_path}/shop", "own": own}]
    results = []
    for _run in range(3):
        with patch_module_args({"certificates": wanted, "in_parts": True}), pytest.raises(SystemExit):
            self_signed_certificates.main()
        results.append(result_of(capsys.readouterr().out))
        Path(own["key_path"]).write_bytes(Path(other["key_path"]).read_bytes())
    assert [result["certificates"]["shop"]["state"] for result in results] == ["real", "placeholder", "placeholder"]
    assert [result["changed"] for result in results] == [True, True, False]


@pytest.mark.parametrize(
    ("version", "made"), [("1.18.0", True), ("1.19.3", True), ("1.19.4", False), ("1.26.3", False), (None, False)]
)
def test_an_nginx_that_has_to_show_a_certificate_has_one_without_a_name(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: Any, made: bool
) -> None:
    nameless = replace(certificates.NAMELESS, directory=str(tmp_path / "nameless"))
    monkeypatch.setattr(certificates, "NAMELESS", nameless)
    monkeypatch.setattr(nginx, "describe_for", lambda _domains: {"version": version})
    assert run(["shop"], nginx_facts=True)["changed"] is True
    assert (tmp_path / "nameless/fullchain.pem").exists() is made
    assert run(["shop"], nginx_facts=True)["changed"] is False


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
