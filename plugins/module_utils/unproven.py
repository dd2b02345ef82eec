# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What served before a release that has the traffic and is not proven yet, so that it can serve again.

A note of it is on disk from before the switch until the release is proven. An activation that fails in between goes
back by itself and takes the note away. Of one that is ended from outside, whoever comes next finds the note and goes
back: systemd, which calls the program as soon as the activation's process has died, else the next boot or activation.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass

from . import process_moves, static_files, switch
from .errors import RingstandError
from .layout import AppSettings, Layout
from .ledger import unfinished
from .links import point, sync_dir
from .releases import write_durably
from .systemd import systemctl, unit_properties

# What waits in the queue of a release that lost the traffic again is answered once systemd has started it anew.
RETURN_QUEUE_SECONDS = 10
_RUNNING = ("active", "activating", "reloading")


@dataclass(frozen=True)
class Note:
    """``release`` gets the traffic in ``slot``; before, ``before_release`` served in ``before_slot``, or nothing did.

    In place, both slots are the same. ``has_served`` tells that the release has already served well, as that of a
    rollback. ``unknown`` is the revision of the database that the code of before does not know.
    """

    slot: str
    release: str
    before_slot: str | None
    before_release: str | None
    has_served: bool = False
    unknown: str = ""


def begin(layout: Layout, note: Note) -> None:
    """Write down what serves, before that changes."""
    write_durably(layout.unproven, json.dumps(asdict(note)))


def end(layout: Layout) -> None:
    """Forget it: the release is proven, or what served before does so again."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(layout.unproven)
        sync_dir(layout.state_dir)


def read(layout: Layout) -> Note | None:
    """The note that is there; one that cannot be read is as good as none."""
    try:
        with open(layout.unproven, encoding="utf-8") as stream:
            return Note(**json.load(stream))
    except (OSError, ValueError, TypeError):
        return None


def settle(settings: AppSettings, at_boot: bool = False) -> str:
    """Put right what an activation that was ended from outside has left serving; returns for people what was done.

    Only for a caller that knows that no activation is under way. ``at_boot`` links are set and nothing else: the boot
    starts what they lead to.
    """
    layout = settings.layout
    note, ended = read(layout), unfinished(layout)
    if note is None and ended is None:
        return ""
    switch.repair(layout)
    said = [_go_back(settings, note, at_boot)] if note else []
    # Whichever release serves now: the switch, or the way back, may have come to some of its files only.
    said.append(static_files.publish(settings, switch.live_release(layout) if note else None))
    if not at_boot:
        try:
            _retire(settings, is_known=bool(note or (ended and ended["proven"])))
        except RingstandError as error:
            said.append(error.message)
        trouble = process_moves.run_last_good(settings) if note else ""
        said += [f"Its processes could not be moved back: {trouble}"] if trouble else []
    end(layout)
    return " ".join(filter(None, said))


def _go_back(settings: AppSettings, note: Note, at_boot: bool) -> str:
    """A slot that still runs takes the traffic back, as from a release that fails its probation.

    One that would have to be started anew must know the schema of the database: else the new release keeps the traffic.
    """
    layout = settings.layout
    is_live = (switch.live_slot(layout), switch.live_release(layout)) == (note.slot, note.release)
    if note.before_slot is None:
        if is_live:
            switch.set_live(layout, None)
        return f"The first release was not proven yet: {layout.app} is out of service until the next deploy."
    if note.before_slot != note.slot and not is_live:
        return ""  # it was not switched to, or has lost the traffic again
    keeps = f"{note.release} keeps the traffic"
    if note.has_served and note.before_slot != note.slot:
        return f"{keeps}, as it has served well before."
    keeps += f" although it is not proven; `ringstand restart {layout.app}` proves it:"
    if note.unknown and not _runs(layout, note.before_slot):
        return f"{keeps} the database is at revision {note.unknown}, which {note.before_release} does not know."
    try:
        _lead_back(settings, note, note.before_slot, at_boot)
    except (RingstandError, OSError) as error:
        return f"{keeps} {note.before_release} cannot serve again: {error}"
    return f"{note.release} was not proven yet: the traffic went back to {note.before_release}."


def _lead_back(settings: AppSettings, note: Note, slot: str, at_boot: bool) -> None:
    layout = settings.layout
    if not os.path.isdir(layout.release_dir(str(note.before_release))):
        raise RingstandError("it is not on this host any more")
    if switch.release_of(layout, slot) != note.before_release:
        point(layout.slot_link(slot), f"../releases/{note.before_release}")
    if slot == note.slot:
        if not at_boot:  # whatever the links said: it may have been ended before its restart or in it
            systemctl("restart", "--no-block", layout.service_unit(slot))
        return
    if not at_boot and not _runs(layout, slot):
        switch.start(layout, slot, settings.start_timeout_seconds)
    switch.set_live(layout, slot)


def _retire(settings: AppSettings, is_known: bool) -> None:
    """Let nothing run in the idle slot; when it is known to have had traffic, what it has accepted is answered."""
    layout = settings.layout
    idle = switch.idle_slot(layout)
    if not _runs(layout, idle):
        return
    if is_known:
        switch.drain(layout, idle, RETURN_QUEUE_SECONDS)
    else:
        switch.kill(layout, idle)


def _runs(layout: Layout, slot: str) -> bool:
    return unit_properties(layout.service_unit(slot), "ActiveState").get("ActiveState") in _RUNNING
