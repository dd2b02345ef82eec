"""The store backs up files only, so that it has tests of its own."""

from __future__ import annotations

import pytest

STORE = "backup-store"


@pytest.fixture(autouse=True)
def on_its_hosts(request, host):
    """Skip what is not for this host."""
    of_the_store = request.module.__name__.endswith("test_files_only")
    if of_the_store != (STORE in host.backend.get_pytest_id()):
        pytest.skip("is not for this host")
