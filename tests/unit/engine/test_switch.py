"""The two links of the switch, and what is left when a process dies between them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import switch
from ansible_collections.ringstand.flask.plugins.module_utils.layout import Layout
from ansible_collections.ringstand.flask.plugins.module_utils.ledger import append_line


def test_before_the_first_deploy_nothing_is_live_and_blue_is_next(layout: Layout) -> None:
    assert (switch.live_slot(layout), switch.live_release(layout), switch.idle_slot(layout)) == (None, None, "blue")
    assert switch.repair(layout) is False


def test_set_live_moves_both_links(layout: Layout) -> None:
    switch.point(layout.slot_link("blue"), "../releases/one")
    switch.set_live(layout, "blue")
    assert switch.live_release(layout) == "one"
    assert os.readlink(layout.live_socket) == "blue.sock"
    assert switch.idle_slot(layout) == "green"


@pytest.mark.parametrize("before", [None, "blue.sock", "nonsense"])
def test_the_persistent_link_is_the_truth(layout: Layout, before: str | None) -> None:
    os.symlink("slots/green", layout.live_link)
    if before:
        os.symlink(before, layout.live_socket)
    assert switch.repair(layout) is True
    assert os.readlink(layout.live_socket) == "green.sock"
    assert switch.repair(layout) is False


def test_after_a_boot_the_run_directory_is_made_again(layout: Layout) -> None:
    os.symlink("slots/blue", layout.live_link)
    os.rmdir(layout.run_dir)
    switch.repair(layout)
    assert os.readlink(layout.live_socket) == "blue.sock"


def test_a_link_that_was_prepared_and_never_renamed_is_removed(layout: Layout) -> None:
    os.symlink("slots/blue", layout.live_link)
    for link in (layout.live_socket, layout.live_link, layout.slot_link("green")):
        os.symlink("somewhere", f"{link}.0badc0de")
    Path(layout.app_dir, "live.old").write_text("of somebody else")
    switch.repair(layout)
    assert os.listdir(layout.run_dir) == ["live.sock"]
    assert os.listdir(layout.slots_dir) == []
    assert sorted(name for name in os.listdir(layout.app_dir) if name.startswith("live")) == ["live", "live.old"]


def test_an_app_taken_out_of_service_has_no_live_socket(layout: Layout) -> None:
    switch.set_live(layout, "blue")
    switch.set_live(layout, None)
    assert not os.path.lexists(layout.live_link)
    assert not os.path.lexists(layout.live_socket)


def serving(layout: Layout, slot: str, release: str = "one") -> None:
    """A release that went live."""
    os.makedirs(layout.release_dir(release), exist_ok=True)
    switch.point(layout.slot_link(slot), f"../releases/{release}")
    switch.set_live(layout, slot)
    append_line(layout.ledger, {"result": "ok", "release": release, "live": release})


@pytest.mark.parametrize("slot", ["blue", "green"])
@pytest.mark.parametrize("gone", ["live_link", "live_socket", "slot", "live_link slot", "live_link live_socket"])
def test_links_that_are_gone_lead_to_what_served(layout: Layout, slot: str, gone: str) -> None:
    serving(layout, "green" if slot == "blue" else "blue", "zero")
    serving(layout, slot)
    for name in gone.split():
        os.unlink(layout.slot_link(slot) if name == "slot" else getattr(layout, name))
    assert switch.should_serve(layout) == (slot, "one")
    assert not switch.is_linked(layout)
    assert switch.repair(layout) is ("live_socket" in gone)
    assert (switch.live_slot(layout), switch.live_release(layout)) == (slot, "one")
    assert switch.is_linked(layout)


def test_a_first_release_that_was_taken_out_of_service_stays_so(layout: Layout) -> None:
    os.makedirs(layout.release_dir("one"))
    switch.point(layout.slot_link("blue"), "../releases/one")
    switch.set_live(layout, "blue")
    switch.set_live(layout, None)
    append_line(layout.ledger, {"result": "failed", "release": "one", "live": None})
    assert switch.should_serve(layout) == (None, None)
    assert switch.is_linked(layout)


def test_a_release_that_is_not_there_is_not_linked(layout: Layout) -> None:
    serving(layout, "blue")
    os.rmdir(layout.release_dir("one"))
    os.unlink(layout.live_link)
    assert switch.should_serve(layout) == (None, None)


def test_a_link_that_names_no_slot_counts_as_none(layout: Layout) -> None:
    os.symlink("slots/red", layout.live_link)
    assert switch.live_slot(layout) is None
