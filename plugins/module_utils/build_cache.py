# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The cache of packages that builds share: kept between them, and never trusted after a power cut in one.

uv writes into it without flushing. A power cut may leave a package there whose files are empty, and every later build
would take them from it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

from .boot import boot_id
from .layout import Layout
from .links import sync_file_system
from .releases import write_durably


@contextlib.contextmanager
def trusted(layout: Layout) -> Iterator[None]:
    """Let the block write into the cache, which is emptied first when the machine went down in such a block."""
    note = os.path.join(layout.state_dir, "cache-in-use")
    with contextlib.suppress(FileNotFoundError), open(note, encoding="ascii", errors="replace") as stream:
        if stream.read() != boot_id():
            shutil.rmtree(layout.cache_dir, ignore_errors=True)
    os.makedirs(layout.cache_dir, mode=0o750, exist_ok=True)
    shutil.chown(layout.cache_dir, layout.app, layout.app)
    write_durably(note, boot_id(), mode=0o600)
    yield
    sync_file_system(layout.cache_dir)
    os.unlink(note)
