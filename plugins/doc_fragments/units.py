# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options of modules that act on systemd units."""

from __future__ import annotations


class ModuleDocFragment:
    """What one unit looks like, and how long it may take."""

    DOCUMENTATION = r"""
options:
  units:
    description: The units, in the order in which to start or stop them.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the unit. Without a type it is a service. An instance of a template is named like
          V(redis-server@shop.service).
        type: str
        required: true
      enabled:
        description: Whether the unit starts at boot.
        type: bool
      masked:
        description: Whether the unit cannot be started at all.
        type: bool
      state:
        description:
          - V(started) and V(stopped) act only when needed. A oneshot that ended well since boot counts as started, if
            another unit refers to it (systemd forgets it otherwise) or it has C(RemainAfterExit=yes).
          - V(restarted) and V(reloaded) always act; V(reloaded) and V(restarted) start a unit that does not run.
        type: str
        choices: [started, stopped, restarted, reloaded]
      reload_if_newer:
        description: Files and directories (with all that is in them). A running unit is reloaded when one of them
          changed after it was started or last reloaded. Paths that do not exist are left out.
        type: list
        elements: path
        default: []
      restart_if_newer:
        description: Files and directories. A running unit is restarted when one of them changed after its main process
          started. It then needs no reload.
        type: list
        elements: path
        default: []
      reload_replaces_workers:
        description: Set it for a service such as nginx, whose reload replaces all worker processes. The age of the
          workers then tells what is loaded, whoever reloaded it, and a reload fails when the old workers stay, as they
          do when the new configuration could not be applied.
        type: bool
        default: false
  predicted_paths:
    description: Paths that earlier tasks of this run change, such as C(changed_paths) of
      M(ringstand.flask.config_files). They only count in check mode, in which the files themselves do not change yet.
    type: list
    elements: path
    default: []
  timeout_seconds:
    description: How long one start, stop or reload may take.
    type: float
    default: 120
  settle_seconds:
    description: How long units that were started have to keep running before they count as started. It is waited once
      for all, and not for those without a process, such as timers and sockets.
    type: float
    default: 1
  wait:
    description: With V(false) starts are only asked for, for a caller who asks the service itself when it answers.
      Whether they then run is not known, and O(settle_seconds) has no meaning.
    type: bool
    default: true
"""
