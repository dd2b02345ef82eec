"""What ufw is called with, in which order."""

from __future__ import annotations

import os

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from ansible_collections.ringstand.flask.plugins.module_utils.firewall_control import Changes, apply

SSH = {"port": "22", "proto": "tcp", "from": "any"}
RANGE = {"port": "8000:8010", "proto": "udp", "from": "192.0.2.0/24"}


def test_ssh_is_allowed_before_the_firewall_is_switched_on():
    assert Changes(missing=[SSH, RANGE], enable=True).calls() == [
        ["allow", "proto", "tcp", "from", "any", "to", "any", "port", "22", "comment", "ringstand"],
        ["allow", "proto", "udp", "from", "192.0.2.0/24", "to", "any", "port", "8000:8010", "comment", "ringstand"],
        ["default", "deny", "incoming"],
        ["--force", "enable"],
    ]


def test_a_rule_is_removed_after_others_were_allowed():
    changes = Changes(missing=[SSH], stale=[RANGE], comment="of mine", reload=True)
    assert [words[0] for words in changes.calls()] == ["allow", "delete", "reload"]
    assert changes.calls()[0][-1] == "of mine"
    assert changes.in_words() == ["allow 22/tcp from any", "no longer allow 8000:8010/udp from 192.0.2.0/24",
                                  "load the files again"]


def test_nothing_is_called_for_nothing():
    assert Changes().calls() == []
    assert Changes().in_words() == []


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A ufw that ends as it is told to: the real one would change this machine."""
    def write(text):
        path = tmp_path / "ufw"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return write


def test_what_ufw_says_is_the_reason(program):
    program("echo 'ERROR: problem running' >&2; exit 1")
    with pytest.raises(RingstandError, match="ufw allow proto tcp .*: ERROR: problem running"):
        apply(Changes(missing=[SSH]))


def test_a_firewall_that_did_not_come_on_is_an_error(program):
    program("exit 0")
    with pytest.raises(RingstandError, match="inactive"):
        apply(Changes(enable=True))
