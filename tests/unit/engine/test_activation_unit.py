"""Starting activations and following them, with units that are only pretended; molecule/gunicorn has real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import activation_unit, early_build, transient_unit
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from settings_below import Settings  # type: ignore[import-not-found]


def unit_is(monkeypatch: pytest.MonkeyPatch, *states: str, description: str = "activation of shop") -> None:
    """The unit goes through these states, and stays in the last one."""
    remaining = list(states)

    def shown(_unit: str, *_names: str) -> dict[str, str]:
        state = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        return {"ActiveState": state, "Description": description}

    for user in (activation_unit, transient_unit):
        monkeypatch.setattr(user, "unit_properties", shown)
    monkeypatch.setattr(transient_unit, "POLL_SECONDS", 0)


def write_progress(settings: Settings, *lines: dict[str, Any]) -> None:
    Path(settings.layout.progress).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


START = {"event": "start", "kind": "deploy", "by": "ops", "token": "t1"}


def test_what_was_started_is_followed_to_its_result(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    unit_is(monkeypatch, "active", "inactive")
    notices = [{"event": "notice", "text": text} for text in ("No room.", "Not read.")]
    result = {"event": "result", "result": "ok", "notices": ["Not read.", "It was ended from outside."]}
    write_progress(settings, START, {"event": "phase", "phase": "gate"}, *notices, result)
    told: list[str] = []
    entry = activation_unit.follow_activation(settings, "t1", told.append)
    assert entry == {"result": "ok", "notices": ["No room.", "Not read.", "It was ended from outside."]}
    assert told == ["gate", "No room.", "Not read."]


def test_one_that_was_killed_names_its_step(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    unit_is(monkeypatch, "inactive")
    notice = {"event": "notice", "text": "No restore point."}
    write_progress(settings, START, {"event": "phase", "phase": "migrate"}, notice)
    with pytest.raises(RingstandError, match="ended from outside during 'migrate'") as caught:
        activation_unit.follow_activation(settings, "t1", str)
    assert caught.value.details["notices"] == ["No restore point."]


def test_one_that_another_has_replaced_is_not_taken_for_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    unit_is(monkeypatch, "inactive")
    write_progress(settings, {**START, "token": "t2"}, {"event": "result", "result": "ok"})
    with pytest.raises(RingstandError, match="Failed to follow the activation of shop"):
        activation_unit.follow_activation(settings, "t1", str)


def test_a_deploy_waits_for_an_early_build_and_for_nothing_else(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    unit_is(monkeypatch, "active", "active", "inactive", description="early build of shop")
    activation_unit._wait_for_build(settings.layout, told.append)
    assert told == ["waiting for the early build"]
    unit_is(monkeypatch, "active")  # it would wait for ever
    activation_unit._wait_for_build(settings.layout, told.append)
    assert len(told) == 1


def test_no_early_build_beside_another_activation(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    unit_is(monkeypatch, "active")
    monkeypatch.setattr(activation_unit, "_start", lambda *_arguments, **_options: pytest.fail("it was started"))
    activation_unit.start_build(settings, "/tmp/a.tar", "5eed" * 10, [], "ops")


class Host:
    """A host on which dpkg is at work: what is there at each look, the last of them from then on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, authorities: Path, *looks: set[str]) -> None:
        self.looks, self.seen = list(looks), 0
        monkeypatch.setattr(early_build.uv, "pip_wheel", lambda: "pip.whl" if "wheel" in self.now() else "")
        monkeypatch.setattr(early_build.uv, "installed_version", lambda: "0.1" if "uv" in self.now() else "")
        monkeypatch.setattr(early_build.host, "installed_packages",
                            lambda _names: {name: {"amd64": "1.2"} for name in self.now()})
        monkeypatch.setattr(early_build.builds, "SYSTEM_CA", str(authorities))
        monkeypatch.setattr(early_build.time, "sleep", self.sleep)

    def now(self) -> set[str]:
        return self.looks[min(self.seen, len(self.looks) - 1)]

    def sleep(self, _seconds: float) -> None:
        self.seen += 1


@pytest.mark.parametrize(("packages", "looks", "waited"), [
    ([], [{"wheel"}], 0),
    ([], [{"uv"}], 0),
    ([], [set(), set(), {"wheel"}], 2),
    (["libpq-dev"], [{"wheel"}, {"wheel", "libpq-dev"}], 1),
    (["libpq-dev | libpq5", "gdal-bin=1.*"], [{"libpq5", "gdal-bin"}, {"wheel", "libpq5", "gdal-bin"}], 1),
])
def test_a_build_waits_for_what_it_needs(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, packages: list[str], looks: list[set[str]],
    waited: int,
) -> None:
    (tmp_path / "ca.crt").touch()
    host = Host(monkeypatch, tmp_path / "ca.crt", *looks)
    early_build.wait_for_packages(settings, packages)
    assert host.seen == waited


@pytest.mark.parametrize(("packages", "there"), [([], set()), (["gdal-bin=2.*"], {"wheel", "gdal-bin"})])
def test_a_build_does_not_wait_for_ever(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, packages: list[str], there: set[str]
) -> None:
    (tmp_path / "ca.crt").touch()
    Host(monkeypatch, tmp_path / "ca.crt", there)
    monkeypatch.setattr(early_build, "_PACKAGES_SECONDS", -1)
    with pytest.raises(RingstandError, match="its packages were not there in time"):
        early_build.wait_for_packages(settings, packages)


def test_a_build_waits_for_the_authorities(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Host(monkeypatch, tmp_path / "missing.crt", {"wheel"})
    monkeypatch.setattr(early_build, "_PACKAGES_SECONDS", -1)
    with pytest.raises(RingstandError):
        early_build.wait_for_packages(settings, [])


def test_one_archive_is_kept_for_the_deploy_and_then_forgotten(settings: Settings, tmp_path: Path) -> None:
    state_dir = Path(settings.layout.state_dir)
    archive = tmp_path / "a.tar"
    archive.write_text("source")
    (state_dir / "source-0ld.tar").write_text("old")
    kept = early_build.keep_archive(settings, str(archive), "5eed" * 10)
    assert [path.name for path in state_dir.iterdir()] == [Path(kept).name]
    early_build.forget_archive(settings, "5eed" * 10)
    early_build.forget_archive(settings, "5eed" * 10)
    assert list(state_dir.iterdir()) == []


def test_files_of_activations_that_ended_with_the_machine_are_removed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(settings.layout.state_dir)
    (path / "ledger.jsonl").touch()
    _token, before = activation_unit._write_request(settings.layout, {"kind": "deploy"})
    activation_unit.remove_orphans(settings.layout)
    assert Path(before).exists()
    (path / "incoming-of-an-earlier-program").touch()
    monkeypatch.setattr(activation_unit, "boot_id", lambda: "5" * 32)
    _token, after = activation_unit._write_request(settings.layout, {"kind": "deploy"})
    activation_unit.remove_orphans(settings.layout)
    assert sorted(entry.name for entry in path.iterdir()) == ["ledger.jsonl", Path(after).name]
