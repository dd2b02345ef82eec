from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.postgresql_clients import BEGIN, END, foreign, with_block
from ansible_collections.ringstand.flask.plugins.module_utils.postgresql_readers import differing, statements

CLIENT = {"role": "report", "database": "blog-1", "addresses": ["192.0.2.7", "2001:db8::/32"]}
LINES = """\
hostssl "blog-1" "report" 192.0.2.7/32 scram-sha-256
hostssl "blog-1" "report" 2001:db8::/32 scram-sha-256
"""
BLOCK = f"{BEGIN}\n{LINES}{END}\n"
THEIRS = "local all all peer\n"


@pytest.mark.parametrize("before", [THEIRS, THEIRS.rstrip("\n"), THEIRS + BLOCK, f"{THEIRS}{BEGIN}\nold\n{END}\n"])
def test_the_block_is_at_the_end_and_the_rest_stays(before: str) -> None:
    text = with_block(before, [CLIENT])
    assert text == THEIRS + BLOCK
    assert with_block(text, [CLIENT]) == text
    assert with_block(text, []) == THEIRS


def test_lines_that_others_put_behind_the_block_are_kept() -> None:
    assert with_block(f"{THEIRS}{BLOCK}host all all 192.0.2.9/32 reject\n", []) == (
        f"{THEIRS}host all all 192.0.2.9/32 reject\n"
    )


def test_a_block_without_an_end_is_refused() -> None:
    with pytest.raises(RingstandError, match="has no line '# END ringstand'"):
        with_block(f"{BEGIN}\nhostssl a b 192.0.2.7/32 scram-sha-256\n", [])


def rule(**changes: Any) -> dict[str, Any]:
    return {"line": 9, "type": "host", "database": ["all"], "user": ["all"], "address": "192.0.2.0",
            "netmask": "255.255.255.0", "method": "scram-sha-256", **changes}


@pytest.mark.parametrize(
    ("found", "is_foreign"),
    [
        (rule(), True),
        (rule(method="reject"), False),
        (rule(address="127.0.0.1", netmask="255.255.255.255"), False),
        (rule(address="::1"), False),
        (rule(type="local", address=None), False),
        (rule(address="all", netmask=None), True),
        (rule(type="hostssl", database=["blog-1"], user=["report"], address="192.0.2.7", netmask="255.255.255.255"),
         False),
        (rule(type="hostssl", database=["blog-1"], user=["report"], address="2001:db8::", netmask="ffff:ffff::"),
         False),
        (rule(type="host", database=["blog-1"], user=["report"], address="192.0.2.7", netmask="255.255.255.255"), True),
    ],
)  # fmt: skip
def test_others_who_let_somebody_in_are_named(found: dict[str, Any], is_foreign: bool) -> None:
    assert [words.startswith("line 9 (") for words in foreign([found], [CLIENT])] == ([True] if is_foreign else [])


GOOD = {"connect": True, "read_only": True, "future": True, "missing": 0}


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        (["report"], {"report": GOOD}, ([], [])),
        (["report"], {}, (["report"], [])),
        (["report"], {"report": {**GOOD, "missing": 2}}, (["report"], [])),
        (["report"], {"report": {**GOOD, "future": False}}, (["report"], [])),
        (["report"], {"report": {**GOOD, "read_only": False}}, (["report"], [])),
        ([], {"report": GOOD}, ([], ["report"])),
        ([], {"by_hand": {**GOOD, "read_only": False}}, ([], [])),
    ],
)
def test_readers_that_differ(wanted: list[str], found: dict[str, Any], expected: tuple[list[str], list[str]]) -> None:
    assert differing(wanted, found) == expected


def test_what_makes_a_reader() -> None:
    database = {"name": "blog-1", "owner": "blog", "readers": ["report"]}
    script = statements([database], {})
    assert script[0] == '\\connect "blog-1"'
    assert 'GRANT CONNECT ON DATABASE "blog-1" TO "report";' in script
    assert 'ALTER DEFAULT PRIVILEGES FOR ROLE "blog" GRANT SELECT ON TABLES TO "report";' in script
    assert script[-1] == 'ALTER ROLE "report" IN DATABASE "blog-1" SET default_transaction_read_only = on;'
    gone = statements([{**database, "readers": []}], {"blog-1": {"readers": {"report": GOOD}}})
    assert [line for line in gone if "GRANT" in line] == []
    assert 'REVOKE CONNECT ON DATABASE "blog-1" FROM "report";' in gone
