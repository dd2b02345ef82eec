# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the Flask apps on a host are doing, for a run that is going to change something about them."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
from collections.abc import Iterable
from typing import Any

from .app_state import app_state
from .decommission import kept
from .layout import Layout, app_names, user_comment
from .uv import installed_version


def read(names: Iterable[str]) -> dict[str, Any]:
    """The state of each app by name, what else is on the host, and the uv there: what the module app_info returns.

    Raises RingstandError, OSError or SubprocessError when it cannot be read.
    """
    apps = {name: {**app_state(Layout(name)), "user": user_state(name)} for name in names}
    others = [name for name in app_names() if name not in apps]
    return {"apps": apps, "others": others, "kept": kept([*apps, *others]), "uv_version": installed_version()}


def user_state(app: str) -> str:
    """Whose user bears the app's name."""
    try:
        entry = pwd.getpwnam(app)
    except KeyError:
        return "missing"
    comment, shell = entry.pw_gecos.split(",")[0], "/usr/sbin/nologin"
    if comment != user_comment(app) and entry.pw_dir != Layout(app).shared_dir:
        return "foreign"
    groups = [grp.getgrgid(number).gr_name for number in os.getgrouplist(app, entry.pw_gid)]
    as_made = (comment, entry.pw_shell) == (user_comment(app), shell)
    return "ours" if as_made and groups == [app] and not has_password(app) else "changed"


def has_password(user: str) -> bool:
    """Whether somebody can log in as the user by a password; unknown without root's rights."""
    with contextlib.suppress(OSError), open("/etc/shadow", encoding="utf-8") as stream:
        for line in stream:
            name, stored = line.split(":")[:2]
            if name == user:
                return not stored.startswith(("!", "*"))
    return False
