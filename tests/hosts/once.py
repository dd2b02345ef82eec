"""What a scenario tests once per host, although its checks run again after the restart of the host."""

from __future__ import annotations

from typing import Any

import pytest


def once_per_host(host: Any, what: str) -> None:
    """Skip the tests that use the calling fixture when they have run before this boot of the host.

    For what takes long and of which a restart changes nothing. What it may change is tested both times.
    """
    # The second file is gone after a restart: until then the tests can be run again and again.
    if host.run("test -e /root/tested-%s -a ! -e /run/tested-%s", what, what).rc == 0:
        pytest.skip("has run on this host before its restart")
    host.check_output("touch /root/tested-%s /run/tested-%s", what, what)
