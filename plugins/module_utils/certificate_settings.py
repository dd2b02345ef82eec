# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the role certbot wrote down for the deploy hook, the renewal and ``ringstand certificates``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from .certbot import Client
from .certbot_lineage import Renewal
from .certificates import Wanted
from .errors import RingstandError

PATH = "/etc/ringstand/certbot.json"
WEBHOOK_PATH = "/etc/ringstand/certbot-webhook.url"
SCHEMA = 2

_Written = TypeVar("_Written")


@dataclass(frozen=True)
class Settings:
    """The certificates that certbot shall have on this host, and whom it asks for them."""

    client: Client
    sites: Sequence[Wanted]


def read_client(given: Mapping[str, Any]) -> Client:
    """The client of the settings, which have the names of the module's options."""
    renewal = Renewal(given["directory_url"], given["key_type"], given["webroot_dir"])
    return Client(
        renewal,
        email=given.get("email") or "",
        ca_bundle_path=given.get("ca_bundle_path") or "",
        program=given.get("program") or "certbot",
        config_path=given.get("config_path") or "",
        staging_url=given.get("staging_directory_url") or "",
        profile=given.get("profile") or "",
        propagation_seconds={name: int(value) for name, value in (given.get("dns_propagation_seconds") or {}).items()},
    )


def read_sites(items: Sequence[Mapping[str, Any]]) -> list[Wanted]:
    """The certificates of the settings, which look like the module's option."""
    return [Wanted(item["name"], item["domains"], item["dir"], item.get("dns_plugin") or "") for item in items]


def _parse(data: Mapping[str, Any]) -> Settings:
    return Settings(read_client(data["client"]), read_sites(data["certificates"]))


def load(path: str | None = None) -> Settings | None:
    """The settings of this host, or None where the role did not run.

    Raises RingstandError when the file cannot be read or is of another version of this program.
    """
    return read_written(path or PATH, SCHEMA, "certbot", _parse)


def read_written(path: str, schema: int, role: str, parse: Callable[[Any], _Written]) -> _Written | None:
    """What a role has written for the program, or None without the file; raises RingstandError as :func:`load` does."""
    try:
        with open(path, encoding="utf-8") as handle:
            data = json.load(handle)
        if data["schema"] != schema:
            raise RingstandError(f"Failed to read {path}: its schema is {data['schema']}, not {schema}")
        return parse(data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RingstandError(f"Failed to read {path}: {error!r}. Run site.yml or the role {role} again.") from error
