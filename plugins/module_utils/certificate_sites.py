# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the role nginx wrote down of the sites that it serves: their names, and where the certificate of each is."""

from __future__ import annotations

import json

from .certificates import Wanted
from .errors import RingstandError

PATH = "/etc/ringstand/sites.json"
SCHEMA = 1


def load(path: str | None = None) -> list[Wanted] | None:
    """The sites of this host, or None where the role did not run since it writes this.

    Raises RingstandError when the file cannot be read or is of another version of this program.
    """
    path = path or PATH
    try:
        with open(path, encoding="utf-8") as handle:
            data = json.load(handle)
        if data["schema"] != SCHEMA:
            raise RingstandError(f"Failed to read {path}: its schema is {data['schema']}, not {SCHEMA}")
        return [Wanted(site["name"], site["domains"], site["dir"]) for site in data["sites"]]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RingstandError(f"Failed to read {path}: {error!r}. Run site.yml or the role nginx again.") from error
