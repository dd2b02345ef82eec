# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which firewall rules are missing, without ever locking out who administers the host."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Union

from .errors import RingstandError

COMMENT = "ringstand"
# Of rules beside the policy of somebody else to allow everything: it stays. A policy that was set here is set again.
OPEN_COMMENT = "ringstand beside an open policy"
ANY = "any"
_OPEN_POLICY = (
    "ufw was switched on by somebody else with the policy to allow all incoming traffic, which is left as it is; "
    "to change it: ufw default deny incoming"
)
_Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
_EVERYWHERE: dict[int, _Network] = {4: ipaddress.ip_network("0.0.0.0/0"), 6: ipaddress.ip_network("::/0")}


def plan_changes(
    allow: Sequence[Mapping[str, Any]], firewall: Mapping[str, Any], ssh_ports: Iterable[int], ssh_client: str
) -> dict[str, Any]:
    """Compare the wanted rules with the state from ``firewall_state.read_firewall``.

    Each of ``allow`` has a port (or range such as 8000:8010), and optionally proto and from. SSH ports that none of
    them names are allowed from everywhere. Returns ``missing`` and ``stale`` (our own ones that are no longer wanted;
    others' are never touched), each a list of port, proto and from, the ``comment`` for missing ones, then ``enable``
    (with the policy to deny), ``reload`` (the kernel has not what the files say) and ``warnings``.
    Raises RingstandError for input that is no rule, and when the result would lock out the address ``ssh_client``.
    """
    ssh = sorted(set(ssh_ports))
    wanted = [_parse(item, f"host_firewall_allow[{number}]") for number, item in enumerate(allow)]
    for port in reversed(ssh):
        if not any(rule["proto"] == "tcp" and _covers_ports(rule["port"], str(port)) for rule in wanted):
            wanted.insert(0, {"port": str(port), "proto": "tcp", "from": ANY})
    rules = firewall["rules"]
    foreign = [rule for rule in rules if rule["comment"] not in (COMMENT, OPEN_COMMENT)]
    comments = {rule["comment"] for rule in rules}
    is_open = bool(firewall["active"] and firewall["incoming"] == "allow")
    left_open = is_open and (OPEN_COMMENT in comments or COMMENT not in comments)
    enable = not (firewall["enabled"] and firewall["active"]) or (is_open and not left_open)
    _refuse_lock_out(wanted, foreign, bool(firewall["active"]), ssh, ssh_client)
    stale = [rule for rule in rules if rule not in foreign and _as_wanted(rule) not in wanted]
    kept = [rule for rule in rules if rule not in stale]
    return {
        "missing": _unique(rule for rule in wanted if not _is_present(rule, kept, bool(firewall["ipv6"]))),
        "stale": _unique(_as_wanted(rule) for rule in stale),
        "comment": OPEN_COMMENT if left_open else COMMENT,
        "enable": enable,
        "reload": not firewall["loaded"] and not enable,
        "warnings": [_OPEN_POLICY] if left_open else [],
    }


def _unique(rules: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for rule in rules:
        if rule not in found:
            found.append(rule)
    return found


def _as_wanted(rule: Mapping[str, Any]) -> dict[str, str]:
    return {"port": rule["ports"], "proto": rule["protocol"], "from": _short(rule["from"])}


def _parse(item: Mapping[str, Any], where: str) -> dict[str, str]:
    port = str(item.get("port", ""))
    match = re.fullmatch(r"(\d{1,5})(?::(\d{1,5}))?", port)
    ends = [int(end) for end in match.groups() if end] if match else []
    if not ends or not all(1 <= end <= 65535 for end in ends) or ends != sorted(ends):
        raise RingstandError(f"Failed to check {where}: port is {port!r}; give a port or a range, such as '8000:8010'")
    protocol = str(item.get("proto") or "tcp")
    if protocol not in ("tcp", "udp"):
        raise RingstandError(f"Failed to check {where}: proto is {protocol!r}; use tcp or udp")
    source = str(item.get("from") or ANY)
    try:
        source = _short(source)
    except ValueError:
        raise RingstandError(
            f"Failed to check {where}: from is {source!r}; give an address, a network such as '192.0.2.0/24', or any"
        ) from None
    return {"port": port, "proto": protocol, "from": source}


def _short(source: str) -> str:
    """As ufw writes it: a network without host bits, an address without prefix length."""
    if source == ANY:
        return ANY
    network = ipaddress.ip_network(source, strict=False)
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _network(source: str, family: int) -> _Network:
    return _EVERYWHERE[family] if source == ANY else ipaddress.ip_network(source, strict=False)


def _is_present(rule: Mapping[str, str], rules: Iterable[Mapping[str, Any]], ipv6: bool) -> bool:
    families = [4, 6] if ipv6 else [4]
    if rule["from"] != ANY:
        families = [ipaddress.ip_network(rule["from"]).version]
    return all(any(_allows(existing, rule, family) for existing in rules) for family in families)


def _allows(existing: Mapping[str, Any], rule: Mapping[str, str], family: int) -> bool:
    if existing["family"] != family or existing["action"] not in ("allow", "limit") or existing["narrowed"]:
        return False
    if existing["protocol"] not in (ANY, rule["proto"]) or not _covers_ports(existing["ports"], rule["port"]):
        return False
    inner, outer = _network(rule["from"], family), _network(existing["from"], family)
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _ranges(ports: str) -> list[tuple[int, int]]:
    if ports == ANY:
        return [(1, 65535)]
    found = [part.partition(":")[::2] for part in ports.split(",")]
    return [(int(first), int(last or first)) for first, last in found]


def _covers_ports(outer: str, inner: str) -> bool:
    return all(any(low <= first and last <= high for low, high in _ranges(outer)) for first, last in _ranges(inner))


def is_closed(firewall: Mapping[str, Any], port: int) -> bool:
    """Whether an active ufw keeps everybody from a TCP port over IPv4. Rules are in order: the first one decides."""
    if not firewall["active"]:
        return False
    for rule in firewall["rules"]:
        matches = rule["protocol"] in (ANY, "tcp") and _covers_ports(rule["ports"], str(port))
        if rule["family"] == 4 and matches and rule["action"] in ("allow", "limit"):
            return False
        if rule["family"] == 4 and matches and rule["from"] == ANY and not rule["narrowed"]:
            return True
    return bool(firewall["incoming"] != "allow")


def _refuse_lock_out(
    wanted: Iterable[Mapping[str, str]], foreign: Iterable[Mapping[str, Any]], active: bool, ssh: list[int], client: str
) -> None:
    if not ssh:
        return
    address = ipaddress.ip_address(client.partition("%")[0]) if client else None
    if address is not None and address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    family = address.version if address else 4
    if not active:
        for rule in foreign:
            denies = rule["action"] in ("deny", "reject") and rule["protocol"] in (ANY, "tcp")
            hits = denies and rule["family"] == family and any(_covers_ports(rule["ports"], str(port)) for port in ssh)
            if hits and (address is None or address in _network(rule["from"], family)):
                raise RingstandError(
                    f"Failed to switch the firewall on: ufw has a rule that would {rule['action']} SSH (port "
                    f"{rule['ports']} from {rule['from']}); remove it, or set host_firewall_enabled: false"
                )
    if address is None:
        return
    everyone = {"action": "allow", "narrowed": False, "family": family}
    mine = [{**everyone, "protocol": rule["proto"], "ports": rule["port"], "from": rule["from"]} for rule in wanted]
    for port in ssh:
        run = {"port": str(port), "proto": "tcp", "from": str(address)}
        if any(_allows(rule, run, family) for rule in (*mine, *foreign)):
            return
    raise RingstandError(
        f"Failed to check host_firewall_allow: it would lock out this run, which comes from {address}: "
        f"no rule allows it to SSH port {' or '.join(map(str, ssh))}; add an item with that port and from: {address}"
    )
