"""The hosts of a scenario are asked side by side, the tests of one host in their order."""

from __future__ import annotations

import re

import pytest


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(items):
    for item in items:
        host = re.search(r"ansible://([\w-]+)", item.nodeid)
        item.add_marker(pytest.mark.xdist_group(host[1] if host else "no host"))
