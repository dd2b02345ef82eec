# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The two slots of an app and the switch between them.

``/srv/<app>/live`` (a link to ``slots/<slot>``) survives a reboot and is the truth; ``/run/<app>/live.sock`` (a link to
``<slot>.sock``) is what nginx connects to. Renaming the second one moves all new connections at once, without a reload.
The persistent link is written first: whoever dies between the two leaves a state that :func:`repair` completes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator

from .errors import RingstandError
from .layout import SLOTS, Layout
from .ledger import last_live
from .links import point, remove_unfinished, sync_dir, target_of
from .systemd import journal_tail, systemctl, unit_properties

_QUEUE_POLL_SECONDS = 0.05


def _link_target(link: str) -> str | None:
    target = target_of(link)
    return None if target is None else os.path.basename(target)


def live_slot(layout: Layout) -> str | None:
    """The slot that serves, or None before the first deploy."""
    slot = _link_target(layout.live_link)
    return slot if slot in SLOTS else None


def release_of(layout: Layout, slot: str | None) -> str | None:
    """The id of the release that a slot is linked to, or None."""
    return _link_target(layout.slot_link(slot)) if slot else None


def live_release(layout: Layout) -> str | None:
    """The id of the release that serves, or None before the first deploy."""
    return release_of(layout, live_slot(layout))


def should_serve(layout: Layout) -> tuple[str | None, str | None]:
    """The slot and the release that have to serve: what the links say or, when one of them is gone, the ledger.

    The ledger knows the release. Of the slots, the one that nginx is led to serves it, else one that is linked to it.
    """
    slot, release = live_slot(layout), live_release(layout)
    if release and os.path.isdir(layout.release_dir(release)):
        return slot, release
    last = last_live(layout)
    if last is None or not os.path.isdir(layout.release_dir(last)):
        return slot, release
    led_to = (_link_target(layout.live_socket) or "").partition(".")[0]
    linked = [name for name in SLOTS if release_of(layout, name) == last]
    candidates = [slot, *(name for name in linked if name == led_to), *linked, led_to, SLOTS[0]]
    return next(name for name in candidates if name in SLOTS), last


def is_linked(layout: Layout) -> bool:
    """Whether all links, the one in ``/run`` too, lead to what has to serve."""
    slot, release = should_serve(layout)
    links = live_slot(layout), release_of(layout, slot), _link_target(layout.live_socket)
    return links == (slot, release, f"{slot}.sock" if slot else None)


def idle_slot(layout: Layout) -> str:
    """The slot that the next release goes to."""
    return "green" if live_slot(layout) == "blue" else "blue"


def repair(layout: Layout) -> bool:
    """Make ``live.sock`` agree with the persistent link; return whether it had to be changed.

    Persistent links that are gone although something went live are made again, see :func:`should_serve`.
    """
    os.makedirs(layout.run_dir, mode=0o755, exist_ok=True)
    for link in (layout.live_socket, layout.live_link, *map(layout.slot_link, SLOTS)):
        if os.path.isdir(os.path.dirname(link)):
            remove_unfinished(os.path.dirname(link), os.path.basename(link))
    slot, release = should_serve(layout)
    if slot and release and release_of(layout, slot) != release:
        point(layout.slot_link(slot), f"../releases/{release}")
    if slot and live_slot(layout) != slot:
        point(layout.live_link, f"slots/{slot}")
    wanted = f"{slot}.sock" if slot else None
    if _link_target(layout.live_socket) == wanted:
        return False
    if wanted is None:
        os.unlink(layout.live_socket)
    else:
        point(layout.live_socket, wanted)
    return True


def set_live(layout: Layout, slot: str | None) -> None:
    """Move traffic to ``slot``; None takes the app out of service (a first deploy that failed its last gate)."""
    if slot is None:
        os.unlink(layout.live_link)
        sync_dir(layout.app_dir)
    else:
        point(layout.live_link, f"slots/{slot}")
    repair(layout)


def start(layout: Layout, slot: str, timeout_seconds: float) -> None:
    """Start a slot's listener, then its service, and wait until systemd calls it started."""
    socket_unit, service_unit = layout.socket_unit(slot), layout.service_unit(slot)
    systemctl("reset-failed", socket_unit, service_unit, check=False)
    if unit_properties(service_unit, "NeedDaemonReload").get("NeedDaemonReload") == "yes":
        systemctl("daemon-reload")
    began = time.time()
    try:
        systemctl("start", socket_unit)
        systemctl("start", service_unit, timeout_seconds=timeout_seconds)
    except RingstandError as error:
        raise RingstandError(
            f"Failed to start {service_unit}: {error.message}",
            journal=journal_tail(service_unit, began),
        ) from error


def reason_not_alive(layout: Layout, slot: str) -> str | None:
    """Why a started slot no longer runs as it was started, or None while it does."""
    state = unit_properties(layout.service_unit(slot), "ActiveState", "NRestarts", "Result")
    if state.get("NRestarts", "0") != "0":
        return f"the app died and was restarted {state['NRestarts']} time(s)"
    if state.get("ActiveState") not in ("active", "activating", "reloading"):
        return f"the app is {state.get('ActiveState')} ({state.get('Result')})"
    return None


def kill(layout: Layout, slot: str) -> None:
    """End a slot that serves nobody, at once: a release that hangs would otherwise use up its whole stop timeout."""
    systemctl("stop", layout.socket_unit(slot), check=False)
    systemctl("kill", "--signal=KILL", layout.service_unit(slot), check=False)
    systemctl("stop", layout.service_unit(slot), check=False)
    systemctl("reset-failed", layout.socket_unit(slot), layout.service_unit(slot), check=False)


def accept_queue(socket_path: str) -> int:
    """The number of connections that wait to be accepted on a listening unix socket."""
    done = subprocess.run(["ss", "-xlH", "src", socket_path], capture_output=True, text=True, check=True)
    return sum(int(line.split()[2]) for line in done.stdout.splitlines() if len(line.split()) > 2)


def wait_empty_queue(layout: Layout, slot: str, timeout_seconds: float) -> bool:
    """Wait until the accept queue has been seen empty twice: what waits there is reset when the socket closes."""
    deadline = time.monotonic() + timeout_seconds
    empty = 0
    while time.monotonic() < deadline:
        empty = empty + 1 if accept_queue(layout.socket(slot)) == 0 else 0
        if empty == 2:
            return True
        time.sleep(_QUEUE_POLL_SECONDS)
    return False


def drain(layout: Layout, slot: str, queue_timeout_seconds: float, wait: bool = False) -> bool:
    """Retire a slot that served: its queue empties, its listener closes, its requests finish, it stops.

    The last two happen in the background unless ``wait``. Returns whether the queue was empty when it was closed.
    The socket goes first: a late connection to it would start the old code again.
    """
    emptied = wait_empty_queue(layout, slot, queue_timeout_seconds)
    systemctl("stop", layout.socket_unit(slot))
    service = layout.service_unit(slot)
    if wait:
        systemctl("stop", service, timeout_seconds=queue_timeout_seconds + 60)
    else:
        systemctl("stop", "--no-block", service)
    return emptied


def wait_stopped(layout: Layout, slot: str, graceful_timeout_seconds: float) -> None:
    """Wait for a slot that still drains; a slot that a killed activation left running is drained first."""
    service = layout.service_unit(slot)
    deadline = time.monotonic() + graceful_timeout_seconds + 30
    while time.monotonic() < deadline:
        state = unit_properties(service, "ActiveState").get("ActiveState")
        if state in ("inactive", "failed"):
            systemctl("stop", layout.socket_unit(slot), check=False)
            return
        if state in ("active", "activating", "reloading"):
            drain(layout, slot, graceful_timeout_seconds, wait=True)
        time.sleep(0.2)
    raise RingstandError(
        f"Failed to free slot {slot}: {service} did not stop. Look at `systemctl status {service}`, "
        f"then `systemctl kill --signal=KILL {service}`."
    )


@contextlib.contextmanager
def rejected_on_error(layout: Layout, slot: str, began: float) -> Iterator[None]:
    """Kill the slot when the block fails, and add the app's last words to the error."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, RingstandError):
            error.details.setdefault("journal", journal_tail(layout.service_unit(slot), began))
        kill(layout, slot)
        raise
