"""The hosts of a scenario are asked side by side, the tests of one host in their order."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(items):
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        host = parameters.get("_testinfra_host")
        item.add_marker(pytest.mark.xdist_group(host.backend.hostname if host else "none"))
