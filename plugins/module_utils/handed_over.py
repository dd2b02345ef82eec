# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the archive of a source reaches the host program: as a file that was transferred, or with the call itself."""

from __future__ import annotations

import base64
import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import Any

# For the argument spec of a module. A source may have secrets in it, and the host writes down what a module is given.
OPTIONS: dict[str, Any] = {
    "archive": {"type": "path"},
    "archive_content": {"type": "str", "no_log": True},
    "sha": {"type": "str"},
    "version": {"type": "str"},
}


@contextlib.contextmanager
def archive_path(module: Any) -> Iterator[str]:
    """The archive's path during the block; empty when there is none. What came with the call is gone after it."""
    content = module.params["archive_content"]
    if not content:
        yield module.params["archive"] or ""
        return
    # Only now: the module makes its directory when it is asked for it, which in check mode nobody does.
    descriptor, path = tempfile.mkstemp(suffix=".tar", dir=module.tmpdir)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(base64.b64decode(content))
        yield path
    finally:
        os.unlink(path)
