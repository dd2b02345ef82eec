"""What an activation says and leaves when it fails, with everything pretended that needs a host."""

from __future__ import annotations

import errno
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    activation,
    activation_record,
    gates,
    hooks,
    ledger,
    links,
    releases,
    switch,
)
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.release_build import Source
from settings_below import Settings  # type: ignore[import-not-found]

OLD, LIVE, NEW = (f"20261121T12000{number}Z-abcdef0" for number in range(3))
REFUSAL = "Failed to switch to it: the database is at revision 600d, which that release does not know"


def put(shop: Settings, release: str, static: str = "", **manifest: Any) -> None:
    """A release on disk with a static file."""
    folder = Path(shop.layout.release_dir(release), "src", "static")
    folder.mkdir(parents=True)
    (folder / "app.css").write_text(static)
    releases.write_manifest(shop.layout, release, {"id": release, "wsgi": "shop:app", **manifest})


@pytest.fixture
def shop(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An app of which one release serves and an older one is on disk; systemd does whatever it is asked."""
    layout = settings.layout
    object.__setattr__(settings, "static", {"url": "/static/", "dir": "static"})
    object.__setattr__(settings, "switch", "two_slots")
    settings.health.update(status=[200], path="/health", consecutive=1, timeout_seconds=5, observe_seconds=0)
    Path(layout.static_dir).mkdir(parents=True)
    for release in (OLD, LIVE):
        put(settings, release, release, sha="5eed")
        ledger.append_line(layout.ledger, {"kind": "deploy", "result": "ok", "release": release, "live": release})
    links.point(layout.slot_link("blue"), f"../releases/{LIVE}")
    switch.set_live(layout, "blue")
    for name in ("wait_stopped", "start", "kill", "drain"):
        monkeypatch.setattr(switch, name, lambda *_arguments: True)
    monkeypatch.setattr(switch, "reason_not_alive", lambda *_arguments: None)
    for name in ("gate", "observe_slot", "probe", "probation"):
        monkeypatch.setattr(gates, name, lambda *_arguments, **_options: None)
    monkeypatch.setattr(activation, "systemctl", lambda *_arguments, **_options: None)
    monkeypatch.setattr(activation, "journal_tail", lambda *_arguments: "")
    monkeypatch.setattr(switch, "journal_tail", lambda *_arguments: "")
    monkeypatch.setattr(activation.schema_of_release, "check_fits", lambda *_arguments: "")
    monkeypatch.setattr(activation.process_moves.Move, "to", lambda *_arguments, **_options: None)
    activation.static_files.publish(settings, LIVE)
    return settings


def fails(message: str) -> Any:
    def fail(*_arguments: Any, **_options: Any) -> None:
        raise RingstandError(message)

    return fail


def started(settings: Settings, kind: str = "rollback") -> ledger.Progress:
    return ledger.Progress(settings.layout, kind, "ann", len)


def served(settings: Settings) -> tuple[str | None, dict[str, str]]:
    files = Path(settings.layout.static_dir).iterdir()
    return switch.live_release(settings.layout), {path.name: path.read_text() for path in files}


# --- static files ---------------------------------------------------------------------------------------------------


def test_a_rollback_brings_back_the_static_files(shop: Settings) -> None:
    activation.switch_to(shop, "previous", started(shop))
    assert served(shop) == (OLD, {"app.css": OLD})


@pytest.mark.parametrize("step", ["gate", "observe_slot", "probe", "probation"])
def test_after_a_failure_the_static_files_are_those_of_what_serves(
    shop: Settings, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(gates, step, fails("Failed to answer"))
    with pytest.raises(RingstandError, match="Failed to answer"):
        activation.switch_to(shop, "previous", started(shop))
    assert served(shop) == (LIVE, {"app.css": LIVE})


@pytest.mark.parametrize("step", ["gate", "probation", None])
def test_in_place_the_static_files_change_with_the_release_too(
    shop: Settings, monkeypatch: pytest.MonkeyPatch, step: str | None
) -> None:
    object.__setattr__(shop, "switch", "in_place")
    monkeypatch.setattr(activation.in_place, "systemctl", lambda *_arguments, **_options: None)
    monkeypatch.setattr(activation.in_place, "journal_tail", lambda *_arguments: "")
    if step is None:
        activation.switch_to(shop, "previous", started(shop))
    else:
        monkeypatch.setattr(gates, step, fails("Failed to answer"))
        with pytest.raises(RingstandError, match="Failed to answer"):
            activation.switch_to(shop, "previous", started(shop))
    expected = LIVE if step else OLD
    assert served(shop) == (expected, {"app.css": expected})


# --- a schema that does not fit -------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["start", "gate", "observe"])
def test_that_a_release_does_not_fit_is_said_rather_than_what_follows_from_it(
    shop: Settings, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The code of a release mostly fails with a schema that it does not know, and often before that is found out."""
    has_failed = threading.Event()

    def fail(*_arguments: Any) -> None:
        has_failed.set()
        raise RingstandError("Failed to start: no such column")

    def find_out(*_arguments: Any) -> str:
        assert has_failed.wait(10)
        raise RingstandError(REFUSAL, before="600d")

    module, name = {"start": (switch, "start"), "gate": (gates, "gate"), "observe": (gates, "observe_slot")}[step]
    monkeypatch.setattr(module, name, fail)
    monkeypatch.setattr(activation.schema_of_release, "check_fits", find_out)
    with pytest.raises(RingstandError, match="revision 600d") as caught:
        activation.switch_to(shop, "previous", started(shop))
    assert caught.value.details["before"] == "600d"
    assert served(shop)[0] == LIVE


def test_what_fails_although_it_fits_keeps_its_reason(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "gate", fails("Failed to answer"))
    with pytest.raises(RingstandError, match="Failed to answer"):
        activation.switch_to(shop, "previous", started(shop))


def test_nobody_waits_for_the_health_of_what_does_not_fit(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.health.update(status=[200], path="/health", consecutive=1, timeout_seconds=3600)
    monkeypatch.setattr(switch, "reason_not_alive", lambda *_arguments: None)
    known = iter(["", "", REFUSAL])
    with pytest.raises(RingstandError, match="revision 600d"):
        gates.gate(settings, OLD, "green", lambda: next(known))


# --- the ledger -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RingstandError("Failed to stop ringstand-shop@blue.socket"), "Failed to stop ringstand-shop@blue.socket"),
        (OSError(errno.EACCES, "Permission denied", "/srv/shop/venvs/1"), "Permission denied: /srv/shop/venvs/1"),
        (KeyError("odd"), "KeyError"),
    ],
)
@pytest.mark.parametrize("proven", [True, False])
def test_what_goes_wrong_after_a_release_is_proven_is_a_notice(
    shop: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str, proven: bool
) -> None:
    """Else whoever is told deploys again what is live, and later rollbacks pass over it."""
    told: list[str] = []
    monkeypatch.setattr(hooks, "run", lambda _settings, hook, *_others: told.append(hook))
    progress = started(shop, "deploy")
    progress.about["release"] = LIVE

    def activate() -> None:
        if proven:
            progress.proven()
        raise error

    entry = activation_record.run_recorded(shop, progress, activate)
    assert entry["result"] == ("ok" if proven else "failed")
    assert told == ([] if proven else [hooks.ON_FAILURE])
    assert any(reason in notice for notice in entry["notices"]) is proven
    assert proven or reason in entry["reason"]
    assert json.loads(Path(shop.layout.progress).read_text().splitlines()[-1])["result"] == entry["result"]


# --- building -------------------------------------------------------------------------------------------------------


def test_old_releases_go_before_space_is_looked_for(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy for a full disk is a lower keep_releases, which has to have an effect."""
    object.__setattr__(shop, "keep_releases", 1)
    older = ["20261120T120000Z-abcdef0", "20261119T120000Z-abcdef0"]
    for release in older:
        put(shop, release)
    monkeypatch.setattr(activation, "check_space", fails("Failed to deploy: too little space"))
    with pytest.raises(RingstandError, match="too little space"):
        activation.deploy(shop, Source("x.tar", "5eed", "v1"), started(shop, "deploy"))
    assert releases.release_ids(shop.layout) == [older[0], OLD, LIVE]


@pytest.mark.parametrize(
    ("built", "sha", "notice"),
    [
        ({"extra_packages": ["gunicorn"], "python": ""}, "5eed", "with other settings: extra_packages."),
        ({"extra_packages": ["gunicorn"], "python": ""}, "0dd5eed", ""),
        ({"extra_packages": [], "python": "", "source.root_directory": "x"}, "5eed", ""),
        (None, "5eed", ""),
    ],
    ids=["other settings", "other source", "another folder, perhaps", "nobody knows"],
)
def test_a_deploy_says_why_it_builds_what_is_live(
    shop: Settings, built: dict[str, Any] | None, sha: str, notice: str
) -> None:
    put(shop, NEW, sha="5eed", settings=built)
    links.point(shop.layout.slot_link("blue"), f"../releases/{NEW}")
    assert activation._why_again(shop, Source("x.tar", sha, "v1")) == (f"v1 is built anew, {notice}" if notice else "")


def test_what_tells_of_a_failure_is_not_bound_to_the_activation(settings: Settings) -> None:
    """systemd runs it after one that was killed, while it ends: to be bound would be to wait for its next start."""
    bound = {hook: hooks._unit(settings, hook, None, started(settings), "").binds_to
             for hook in (hooks.BEFORE_SWITCH, hooks.ON_FAILURE)}
    assert bound == {hooks.BEFORE_SWITCH: settings.layout.activation_unit, hooks.ON_FAILURE: None}
