"""Which rules are missing, and that nobody is locked out. The tuples are what ufw 0.36 writes."""

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.ringstand.flask.plugins.filter.firewall_changes import firewall_changes
from ansible_collections.ringstand.flask.plugins.module_utils.firewall_state import is_loaded, parse_rules

OURS = "comment=72696e677374616e64"
CLIENT4, CLIENT6 = "192.0.2.7", "2001:db8::7"


def both(rule: str, comment: str = "") -> list:
    text = f"### tuple ### {rule} in {comment}\n"
    six = text.replace("0.0.0.0/0", "::/0")
    return parse_rules(text, 4) + parse_rules(six, 6)


def everywhere(port: object, action: str = "allow", protocol: str = "tcp", comment: str = "") -> list:
    return both(f"{action} {protocol} {port} 0.0.0.0/0 any 0.0.0.0/0", comment)


def plan(allow: list, rules: list, **options: Any) -> dict:
    firewall = {"installed": True, "enabled": True, "active": True, "ipv6": True, "incoming": "deny", "rules": rules}
    firewall["loaded"] = True
    facts: dict[str, Any] = {"firewall": firewall, "ssh_ports": [22], "ssh_client": CLIENT4}
    firewall.update({key: value for key, value in options.items() if key in firewall})
    facts.update({key: value for key, value in options.items() if key in facts})
    return firewall_changes(allow, facts)


def ports(rules: list) -> list:
    return [rule["port"] for rule in rules]


def test_rules_are_parsed() -> None:
    text = """
### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in
-A ufw-user-input -p tcp --dport 22 -j ACCEPT
### tuple ### allow tcp 8000:8010 0.0.0.0/0 any 10.1.0.0/16 in comment=68616c6c6f
### tuple ### limit_log any 53 0.0.0.0/0 any 0.0.0.0/0 in_eth0
### tuple ### allow tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 Nginx%20Full - in
### tuple ### deny any 25 0.0.0.0/0 any 0.0.0.0/0 out
### tuple ### route:allow tcp 80 0.0.0.0/0 any 0.0.0.0/0 in_eth0!out_eth1
"""
    assert [tuple(rule.values()) for rule in parse_rules(text, 4)] == [
        (4, "allow", "tcp", "22", "any", False, ""),
        (4, "allow", "tcp", "8000:8010", "10.1.0.0/16", False, "hallo"),
        (4, "limit", "any", "53", "any", True, ""),
        (4, "allow", "tcp", "80,443", "any", False, ""),
    ]


@pytest.mark.parametrize(
    "rules, missing",
    [
        ([], ["443"]),
        (everywhere(443), []),
        (everywhere("80,443"), []),
        (everywhere("400:500"), []),
        (everywhere(443, "limit"), []),
        (everywhere(443, protocol="any"), []),
        (everywhere("any", protocol="any"), []),
        (everywhere(443, protocol="udp"), ["443"]),
        (everywhere(443, "deny"), ["443"]),
        (everywhere(443)[:1], ["443"]),
        (both("allow tcp 443 0.0.0.0/0 any 10.0.0.0/8")[:1], ["443"]),
        (both("allow tcp 443 192.0.2.1 any 0.0.0.0/0"), ["443"]),
    ],
)
def test_what_is_missing(rules: list, missing: list) -> None:
    result = plan([{"port": 443}], everywhere(22) + rules)
    assert ports(result["missing"]) == missing
    assert (result["stale"], result["enable"], result["warnings"]) == ([], False, [])


@pytest.mark.parametrize(
    "comments, enable, warned, comment",
    [
        ([], False, True, "ringstand beside an open policy"),
        ([OURS], True, False, "ringstand"),
        (["comment=" + b"ringstand beside an open policy".hex()], False, True, "ringstand beside an open policy"),
    ],
)
def test_an_open_policy_is_closed_where_it_was_closed_here_before(
    comments: list, enable: bool, warned: bool, comment: str
) -> None:
    rules = [rule for each in comments for rule in everywhere(22, comment=each)]
    result = plan([{"port": 22}, {"port": 443}], rules, incoming="allow")
    assert (result["enable"], bool(result["warnings"]), result["comment"]) == (enable, warned, comment)
    assert result["stale"] == []


KERNEL = """-P INPUT DROP
-N ufw-user-input
-A INPUT -j ufw-before-input
-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT
-A ufw-user-input -s 10.1.0.0/16 -p tcp -m multiport --dports 8000:8010 -j ACCEPT
-A ufw-user-input -s 192.0.2.7/32 -p udp -m udp --dport 53 -j ACCEPT
""".splitlines()
LOADED = parse_rules(
    """### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in
### tuple ### allow tcp 8000:8010 0.0.0.0/0 any 10.1.0.0/16 in
### tuple ### allow udp 53 0.0.0.0/0 any 192.0.2.7 in
### tuple ### limit tcp 25 0.0.0.0/0 any 0.0.0.0/0 in
""",
    4,
)


@pytest.mark.parametrize("without", range(len(KERNEL)))
def test_what_the_kernel_lacks_is_seen(without: int) -> None:
    lines = [line for number, line in enumerate(KERNEL) if number != without]
    assert is_loaded(KERNEL, 4, "deny", LOADED)
    assert is_loaded(lines, 4, "deny", LOADED) is (KERNEL[without] == "-N ufw-user-input")
    assert is_loaded(lines, 4, "allow", LOADED) is (without < 3)


def test_what_the_kernel_lacks_is_loaded() -> None:
    assert not plan([], everywhere(22))["reload"]
    assert plan([], everywhere(22), loaded=False)["reload"]
    assert not plan([], everywhere(22), loaded=False, enabled=False)["reload"]


def test_one_family_is_enough_where_only_one_is_meant() -> None:
    assert plan([{"port": 443}], (everywhere(22) + everywhere(443))[::2], ipv6=False)["missing"] == []
    four = parse_rules("### tuple ### allow tcp 5432 0.0.0.0/0 any 10.0.0.0/8 in", 4)
    assert plan([{"port": 5432, "from": "10.1.2.3/16"}], everywhere(22) + four)["missing"] == []
    missing = plan([{"port": 5432, "from": "2001:db8::/32"}], everywhere(22) + four)["missing"]
    assert missing == [{"port": "5432", "proto": "tcp", "from": "2001:db8::/32"}]


def test_ssh_is_always_allowed_and_first() -> None:
    result = plan([{"port": 80}], [], ssh_ports=[2222, 22], enabled=False, active=False)
    assert ports(result["missing"]) == ["22", "2222", "80"]
    assert result["enable"]
    assert ports(plan([{"port": 22}, {"port": 80}], [], ssh_ports=[])["missing"]) == ["22", "80"]


def test_a_narrower_rule_for_ssh_replaces_the_open_one() -> None:
    narrow = {"port": "22", "proto": "tcp", "from": "192.0.2.0/24"}
    assert plan([narrow], [])["missing"] == [narrow]
    result = plan([narrow], everywhere(22, comment=OURS))
    assert (result["missing"], ports(result["stale"])) == ([narrow], ["22"])


def test_own_rules_that_are_no_longer_wanted_are_stale_and_others_are_not() -> None:
    rules = everywhere(22, comment=OURS) + everywhere(8080, comment=OURS) + everywhere(9090) + everywhere(5000)
    assert plan([], rules)["stale"] == [{"port": "8080", "proto": "tcp", "from": "any"}]


def test_an_open_policy_of_somebody_else_is_reported() -> None:
    assert "ufw default deny incoming" in plan([], everywhere(22), incoming="allow")["warnings"][0]
    assert plan([], everywhere(22), incoming="allow", active=False)["warnings"] == []


ELSEWHERE = [{"port": 22, "from": "10.0.0.0/8"}]
REFUSED: dict[str, tuple] = {
    "no port": ([{}], [], {}, "host_firewall_allow[0]: port is ''"),
    "port 0": ([{"port": 80}, {"port": 0}], [], {}, "host_firewall_allow[1]: port is '0'"),
    "port too large": ([{"port": 65536}], [], {}, "port is '65536'"),
    "range backwards": ([{"port": "90:80"}], [], {}, "port is '90:80'"),
    "name as port": ([{"port": "https"}], [], {}, "port is 'https'; give a port or a range"),
    "unknown protocol": ([{"port": 80, "proto": "sctp"}], [], {}, "proto is 'sctp'; use tcp or udp"),
    "name as source": ([{"port": 80, "from": "office"}], [], {}, "from is 'office'; give an address"),
    "SSH for others only": (ELSEWHERE, [], {}, "would lock out this run, which comes from 192.0.2.7"),
    "the same over IPv6": (ELSEWHERE, [], {"ssh_client": CLIENT6}, "add an item with that port and from: 2001:db8::7"),
    "the same, mapped": (ELSEWHERE, [], {"ssh_client": f"::ffff:{CLIENT4}"}, "comes from 192.0.2.7"),
    "own open rule goes away": (ELSEWHERE, everywhere(22, comment=OURS), {}, "would lock out this run"),
    "denied by a rule that sleeps": (
        [],
        everywhere(22, "deny"),
        {"active": False},
        "a rule that would deny SSH (port 22",
    ),
    "all denied": ([], everywhere("any", "reject", "any"), {"active": False}, "a rule that would reject SSH"),
}


@pytest.mark.parametrize("allow, rules, options, reason", REFUSED.values(), ids=REFUSED)
def test_refused(allow: list, rules: list, options: dict, reason: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        plan(allow, rules, **options)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "allow, rules, options",
    [
        ([{"port": 22, "from": "192.0.2.7"}], [], {}),
        (ELSEWHERE, everywhere(22), {}),
        (ELSEWHERE, [], {"ssh_client": ""}),
        (ELSEWHERE, [], {"ssh_ports": [22, 2222]}),
        ([], everywhere(22, "deny"), {}),
        ([], everywhere(22, "limit"), {"active": False}),
        ([], everywhere(25, "deny"), {"active": False}),
        ([], both("deny tcp 22 0.0.0.0/0 any 203.0.113.0/24")[:1], {"active": False}),
        ([], [], {"ssh_client": "fe80::1%eth0"}),
    ],
)
def test_not_refused(allow: list, rules: list, options: dict) -> None:
    plan(allow, rules, **options)
