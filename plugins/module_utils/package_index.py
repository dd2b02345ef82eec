# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The package index of an app: its address, which anyone may read, and its credentials, which only a build gets."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit, urlunsplit

# uv takes the credentials of a named index from UV_INDEX_<NAME>_USERNAME and _PASSWORD.
INDEX_NAME = "ringstand"


def split_credentials(url: str) -> tuple[str, str, str]:
    """The URL without its credentials, the user and the password; both are empty when it has none."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, "", ""
    clean = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return clean, unquote(parts.username or ""), unquote(parts.password or "")
