# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whose a second place is: that machine's which wrote the newest snapshot there.

Two machines that write to one would spoil it: two hosts of one name, or a lost one that comes back beside the one that
took over. Snapshots carry the machine's name and a part of a hash of its machine-id, which no other machine has.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from . import restic
from .backup_settings import STATE_DIR, BackupSettings
from .errors import RingstandError
from .ledger import utc
from .restic import Snapshot

MACHINE_ID_PATH = "/etc/machine-id"
# recover_run writes there from which machine it took over.
RECOVERED_PATH = os.path.join(STATE_DIR, "recover.json")
_MARK = re.compile(r"(.+)/([0-9a-f]{8})")


class NotOursError(RingstandError):
    """The place is another machine's."""


@dataclass(frozen=True)
class Owner:
    """``machine`` is what tells one from another; ``time`` is that of its newest snapshot, in UTC."""

    name: str
    machine: str
    time: str


def machine(path: str = MACHINE_ID_PATH) -> str:
    """What tells this machine from others. The id itself is not to be shown: https://systemd.io/MACHINE_ID."""
    try:
        with open(path, encoding="ascii") as stream:
            found = stream.read().strip()
    except (OSError, ValueError) as error:
        raise RingstandError(f"Failed to read {path}, which tells this machine from others: {error}") from error
    return hashlib.sha256(f"ringstand backup {found}".encode()).hexdigest()[:8]


def mark() -> str:
    """What the snapshots of this machine carry as their host."""
    return f"{os.uname().nodename}/{machine()}"


def of(snapshots: Sequence[Snapshot]) -> Owner | None:
    """The owner; None when there are no snapshots, or their newest was made by something else."""
    newest = snapshots[-1] if snapshots else None
    found = _MARK.fullmatch(newest.host) if newest else None
    return Owner(found[1], found[2], utc(restic.seconds(newest.time))) if newest and found else None


def replaced(where: str, path: str = RECOVERED_PATH) -> str:
    """The machine of which this one was made again from ``where``; empty when it was not."""
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
        return str(data.get("replaced") or "") if data.get("where") == where else ""
    except (OSError, ValueError, AttributeError):
        return ""


def check(snapshots: Sequence[Snapshot], where: str, replaces: Collection[str] = ()) -> None:
    """Raise :class:`NotOursError` when the place is another machine's, and none of ``replaces``."""
    owner = of(snapshots)
    if owner is None or owner.machine in (machine(), replaced(where), *replaces):
        return
    raise NotOursError(
        f"Failed to use {where}: it belongs to the host {owner.name} (machine {owner.machine}), which wrote there last "
        f"at {owner.time}. Nothing was written there. Give this host another name in backup_repository. When that "
        "machine is gone for good, let playbooks/recover.yml make this one of it, or take its place without its data "
        f"by replaces: {owner.machine} in backup_repository"
    )


def check_own(settings: BackupSettings) -> None:
    """The same for a host that has been set up with a second place; one that cannot be asked is no reason to stop."""
    offsite = settings.offsite
    if offsite is None:
        return
    try:
        snapshots = restic.snapshots(restic.uncached(settings.at_offsite().repository))
    except RingstandError:  # whatever is done next tells of it
        return
    check(snapshots, offsite.where, [offsite.replaces])
