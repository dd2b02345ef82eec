"""The store backs up files only, so that it has tests of its own."""

from __future__ import annotations

import pytest
from backup_host import wait_until

STORE = "backup-store"


@pytest.fixture(autouse=True)
def on_its_hosts(request, host):
    """Skip what is not for this host."""
    of_the_store = request.module.__name__.endswith("test_files_only")
    if of_the_store != (STORE in host.backend.get_pytest_id()):
        pytest.skip("is not for this host")


@pytest.fixture(scope="module", autouse=True)
def first_backup(host):
    """The one that the role starts in the background."""
    wait_until(lambda: host.run("systemctl is-active ringstand-backup").rc != 0, 120, "end of the first backup")
