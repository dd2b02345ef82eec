# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the role nginx wrote down of the sites that it serves: their names, and where the certificate of each is."""

from __future__ import annotations

from .certificate_settings import read_sites, read_written
from .certificates import Wanted

PATH = "/etc/ringstand/sites.json"
SCHEMA = 1


def load(path: str | None = None) -> list[Wanted] | None:
    """The sites of this host, or None where the role did not run since it writes this.

    Raises RingstandError when the file cannot be read or is of another version of this program.
    """
    return read_written(path or PATH, SCHEMA, "nginx", lambda data: read_sites(data["sites"]))
