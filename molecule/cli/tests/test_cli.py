"""The program alone, on a host without any app."""

from __future__ import annotations

import json

import pytest

PROGRAM = "/usr/local/bin/ringstand"


def test_it_is_roots_and_needs_nothing_but_python(host):
    file = host.file(PROGRAM)
    assert (file.user, file.group, file.mode) == ("root", "root", 0o755)
    assert host.run(f"python3 -I -S {PROGRAM} --help").rc == 0


def test_without_apps_there_is_nothing_to_tell(host):
    assert json.loads(host.check_output(f"{PROGRAM} --json status")) == {"apps": []}


@pytest.mark.parametrize(
    ("arguments", "rc", "words"),
    [
        ("status shop", 1, "Failed to find app 'shop'"),
        ("deploy shop --archive /nonexistent --sha 0 --version v1", 1, "Apps on this host: none"),
        ("rollback ../../etc", 1, "is not a name of an app"),
        ("frobnicate", 2, "invalid choice"),
    ],
)
def test_errors_name_what_is_wrong(host, arguments, rc, words):
    done = host.run(f"{PROGRAM} {arguments}")
    assert (done.rc, words in done.stderr) == (rc, True), done.stderr


def test_others_than_root_are_told(host):
    done = host.run(f"runuser -u nobody -- {PROGRAM} status")
    assert (done.rc, "run it as root" in done.stderr) == (1, True)
