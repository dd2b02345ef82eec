# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ufw is configured to do and whether it does so, without starting ufw (which takes a fifth of a second)."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from . import commands

_RULES_PATHS = {4: "/etc/ufw/user.rules", 6: "/etc/ufw/user6.rules"}
_CONFIGURATION_PATH = "/etc/ufw/ufw.conf"
_DEFAULTS_PATH = "/etc/default/ufw"
_PROGRAMS = {4: "iptables", 6: "ip6tables"}
_CHAINS = {4: "ufw", 6: "ufw6"}


def read_firewall() -> dict[str, Any]:
    """ufw's state: ``installed``, ``enabled`` (at boot), ``active`` (now), ``ipv6``, ``incoming`` (policy), ``rules``.

    Rules are those for incoming traffic, in order, as parsed by ``parse_rules``; each has the ``family`` 4 or 6.
    ``loaded`` tells whether the kernel has what the files say: the policy, and each rule for all addresses or one.
    """
    installed = os.path.exists(_CONFIGURATION_PATH)
    state: dict[str, Any] = {"installed": installed, "enabled": False, "active": False, "ipv6": True}
    state.update(incoming="deny", rules=[], loaded=True)
    if not installed:
        return state
    state["enabled"] = _setting(_CONFIGURATION_PATH, "ENABLED").lower() == "yes"
    state["ipv6"] = _setting(_DEFAULTS_PATH, "IPV6").lower() == "yes"
    state["incoming"] = {"accept": "allow", "reject": "reject"}.get(
        _setting(_DEFAULTS_PATH, "DEFAULT_INPUT_POLICY").lower(), "deny"
    )
    for family, path in _RULES_PATHS.items():
        state["rules"] += parse_rules(_read(path), family)
    kernel = {family: _loaded(family) for family in ([4, 6] if state["ipv6"] else [4])}
    # ufw's own test of whether it is active, for the one chain that holds the rules.
    state["active"] = "-N ufw-user-input" in kernel[4]
    state["loaded"] = not state["active"] or all(
        is_loaded(lines, family, state["incoming"], state["rules"]) for family, lines in kernel.items()
    )
    return state


def _loaded(family: int) -> list[str]:
    return commands.run([_PROGRAMS[family], "--wait", "5", "-S"]).stdout.splitlines()


def is_loaded(lines: Collection[str], family: int, incoming: str, rules: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the kernel's ``lines``, as ``iptables -S`` prints them, have the policy and the rules of the files.

    Only rules that allow one port or range from anywhere or from one network are looked for: those that are made here.
    """
    chain = _CHAINS[family]
    if incoming != "allow" and not {"-P INPUT DROP", f"-A INPUT -j {chain}-before-input"}.issubset(lines):
        return False
    found = [line.split() for line in lines if line.startswith(f"-A {chain}-user-input ") and "ACCEPT" in line]
    return all(any(_carries_out(words, rule) for words in found) for rule in rules if _is_plain(rule, family))


def _is_plain(rule: Mapping[str, Any], family: int) -> bool:
    plain = rule["family"] == family and rule["action"] == "allow" and not rule["narrowed"]
    return plain and rule["protocol"] != "any" and rule["ports"] != "any" and "," not in rule["ports"]


def _carries_out(words: Sequence[str], rule: Mapping[str, Any]) -> bool:
    options = dict(zip(words, words[1:]))
    ports = options.get("--dport") or options.get("--dports")
    source = options.get("-s", "any")
    same_source = source == rule["from"] or source.rpartition("/")[0] == rule["from"]
    return ports == rule["ports"] and options.get("-p") == rule["protocol"] and same_source


def parse_rules(text: str, family: int) -> list[dict[str, Any]]:
    """Rules in the comments in which ufw keeps them: ``### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in``.

    Format: ufw(8)'s backend_iptables.py, _get_rules_from_formatted: action, protocol, destination port and address,
    source port and address, optionally the two application names, direction, optionally a comment in hexadecimal.
    """
    rules = []
    for line in re.findall(r"^### tuple ###\s*(.*)$", text, re.MULTILINE):
        words, comment = line.partition(" comment=")[::2]
        fields = words.split()
        if len(fields) not in (7, 9) or ":" in fields[0] or not fields[-1].startswith("in"):
            continue
        action, protocol, port, destination, source_port, source = fields[:6]
        rules.append(
            {
                "family": family,
                "action": action.partition("_")[0],
                "protocol": protocol,
                "ports": port,
                "from": "any" if source in ("0.0.0.0/0", "::/0") else source,
                # Rules for one address, source port or interface allow less than they seem to.
                "narrowed": destination not in ("0.0.0.0/0", "::/0") or source_port != "any" or fields[-1] != "in",
                "comment": _comment(comment),
            }
        )
    return rules


def _comment(text: str) -> str:
    try:
        return bytes.fromhex(text.strip()).decode(errors="replace")
    except ValueError:
        return ""


def _setting(path: str, name: str) -> str:
    found = re.findall(rf"^\s*{name}\s*=\s*[\"']?([^\"'\s#]*)", _read(path), re.MULTILINE)
    return found[-1] if found else ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:  # not there, or for root only
        return ""
