# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Single values of the roles: ranges, paths and names, each in the words of its variable."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from .backup_repository import check_backup_repository
from .backup_values import absolute_paths, backup_dir, backup_key
from .host_values import firewall_rules, regular_expressions, timezone
from .problems import Problems, join
from .processes import check_webhook
from .schema import Field, check
from .smtp import EMAIL, check_smtp
from .sources import check_absolute_path
from .tls import check_dns_plugin

Checker = Callable[[str, Any, Problems], None]

# RFC 8555, 6.1: HTTPS only.
DIRECTORY_URL = re.compile(r"https://[^\s/@]+(/[^\s@]*)?")
LOCALE = re.compile(r"[A-Za-z]{1,3}(_[A-Z]{2})?(\.[A-Za-z0-9-]+)?(@[a-z]+)?")


def number(minimum: int, maximum: int) -> Checker:
    """An integer within limits."""
    field = Field((int,), minimum=minimum, maximum=maximum)

    def run(variable: str, value: Any, problems: Problems) -> None:
        check(value, field, variable, problems)

    return run


def absolute_path(variable: str, value: Any, problems: Problems) -> None:
    """An absolute path of the role's own."""
    check_absolute_path(value, variable, problems)


def optional_path(variable: str, value: Any, problems: Problems) -> None:
    """As :func:`absolute_path`, or nothing."""
    if value != "":
        check_absolute_path(value, variable, problems)


def text_like(pattern: re.Pattern[str], rule: str, remedy: str) -> Checker:
    """Text, or each item of a list of texts, that matches ``pattern``."""

    def run(variable: str, value: Any, problems: Problems) -> None:
        for path, item in _each(variable, value):
            if item and not (isinstance(item, str) and pattern.fullmatch(item)):
                problems.add(path, rule, remedy, item)

    return run


def addresses(variable: str, value: Any, problems: Problems) -> None:
    """Each item an IP address; one that stands for all is accepted with a note."""
    for path, item in _each(variable, value):
        try:
            everywhere = ipaddress.ip_address(str(item)).is_unspecified
        except ValueError:
            problems.add(path, "this is not an IP address", "Write an address of the host, such as 127.0.0.1", item)
            continue
        if everywhere:
            problems.note(path, "this listens on every network", "Prefer a private address", item)


def is_loopback(address: Any) -> bool:
    """Whether only this machine reaches an address; what is none is for another check to say."""
    try:
        return ipaddress.ip_address(str(address)).is_loopback
    except ValueError:
        return True


def nginx_directives(variable: str, value: Any, problems: Problems) -> None:
    """Names and values of single directives, so that none can open or close a block."""
    for name, setting in value.items() if isinstance(value, dict) else ():
        text = str(setting)
        if not re.fullmatch(r"[a-z0-9_]+", str(name)):
            problems.add(join(variable, str(name)), "this is not the name of a directive", "Write only its name")
        elif any(character in text for character in ";{}\n") or text.count('"') % 2:
            rule = "the value of a directive has no ';', braces, line breaks or single quotation marks"
            problems.add(join(variable, str(name)), rule, "Write one directive per key", setting)


def settings_dictionary(variable: str, value: Any, problems: Problems) -> None:
    """Names as postgresql.conf has them; what their values may be, the server says."""
    for name in value if isinstance(value, dict) else ():
        if not re.fullmatch(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?", str(name)):
            problems.add(join(variable, str(name)), "this is not the name of a setting", "Write only its name")


def eab(variable: str, value: Any, problems: Problems) -> None:
    """What binds an ACME account to one outside, as a line of a configuration file holds it; the key is never shown."""
    given = value if isinstance(value, dict) else {}
    kid, key = given.get("kid"), given.get("hmac_key")
    if kid is not None and not re.fullmatch(r"[!-~]+", str(kid)):
        problems.add(join(variable, "kid"), "this has spaces or is empty", "Copy it whole", kid)
    if key is not None and not re.fullmatch(r"[A-Za-z0-9_-]{22,}={0,2}", str(key)):
        rule = "this is no key of at least 128 bits in base64url"
        problems.add(join(variable, "hmac_key"), rule, "Copy it whole, as the authority shows it")


def dns_credentials(variable: str, value: Any, problems: Problems) -> None:
    """The files of plugins for DNS by the plugins' names; their contents are never shown."""
    for plugin, text in value.items() if isinstance(value, dict) else ():
        check_dns_plugin(plugin, join(variable, str(plugin)), problems)
        if not (isinstance(text, str) and text.strip()):
            rule = "this is not the text of a file"
            problems.add(join(variable, str(plugin)), rule, "Write it as the plugin reads it")


def dns_propagation_seconds(variable: str, value: Any, problems: Problems) -> None:
    """Seconds by the names of plugins for DNS."""
    for plugin, seconds in value.items() if isinstance(value, dict) else ():
        path = join(variable, str(plugin))
        check_dns_plugin(plugin, path, problems)
        check(seconds, Field((int,), minimum=0, maximum=3600), path, problems)
        if plugin == "route53":
            problems.add(path, "this plugin finds out itself when its records are everywhere", "Remove it")


def check_webhook_value(variable: str, value: Any, problems: Problems) -> None:
    """A URL that is told of something; it is never shown."""
    check_webhook(value, variable, problems)


def _each(variable: str, value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, list):
        return [(variable, value)]
    return [(join(variable, position), item) for position, item in enumerate(value)]


_CLUSTER = text_like(re.compile(r"[A-Za-z0-9_]+"), "a cluster's name has letters, digits and '_'", "Rename it")
_VERSION = text_like(re.compile(r"\d{2}"), "a major version is two digits", 'Write it in quotes, as "17"')

_DIRECTORY = text_like(DIRECTORY_URL, "this is not the URL of an ACME directory", "Write one that begins with https://")

VALUES: dict[str, dict[str, Checker]] = {
    "backup": {
        "backup_archive_timeout_seconds": number(5, 3600),
        "backup_cluster": _CLUSTER,
        "backup_dir": backup_dir,
        "backup_drill_interval_days": number(0, 365),
        "backup_dump_retention_days": number(1, 3650),
        "backup_files_retention_days": number(1, 3650),
        "backup_host_paths": absolute_paths,
        "backup_hour": number(0, 23),
        "backup_key": backup_key,
        "backup_key_escrow_dir": absolute_path,
        "backup_metrics_dir": optional_path,
        "backup_postgresql_version": _VERSION,
        "backup_redis_dir": optional_path,
        "backup_repository": check_backup_repository,
        "backup_retention_full_count": number(1, 100),
        "backup_smtp": check_smtp,
        "backup_webhook_url": check_webhook_value,
    },
    "certbot": {
        "certbot_ca_bundle_path": absolute_path,
        "certbot_certificates_dir": absolute_path,
        "certbot_directory_url": _DIRECTORY,
        "certbot_eab": eab,
        "certbot_dns_credentials": dns_credentials,
        "certbot_dns_propagation_seconds": dns_propagation_seconds,
        "certbot_email": text_like(EMAIL, "this is not an e-mail address", "Write one such as ops@example.com"),
        "certbot_profile": text_like(
            re.compile(r"[A-Za-z0-9_-]+"), "a profile has letters, digits, '-' and '_'", "Write its name only"
        ),
        "certbot_staging_directory_url": _DIRECTORY,
        "certbot_webhook_url": check_webhook_value,
        "certbot_webroot_dir": absolute_path,
    },
    "gunicorn": {
        "gunicorn_backlog": number(16, 65535),
        "gunicorn_package_index_ca_path": absolute_path,
    },
    "host": {
        "host_connection_backlog": number(128, 65535),
        "host_firewall_allow": firewall_rules,
        "host_journal_max_mb": number(16, 1_048_576),
        "host_journal_retention_days": number(0, 36_500),
        "host_locale": text_like(LOCALE, "this is not the name of a locale", "Write a name such as en_US.UTF-8"),
        "host_timezone": timezone,
        "host_unattended_upgrades_blocklist": regular_expressions,
    },
    "nginx": {
        "nginx_acme_dir": absolute_path,
        "nginx_certificates_dir": absolute_path,
        "nginx_client_max_body_size_mb": number(1, 102_400),
        "nginx_hsts_max_age_seconds": number(0, 315_360_000),
        "nginx_maintenance_dir": absolute_path,
        "nginx_maintenance_retry_after_seconds": number(1, 86_400),
        "nginx_public_https_port": number(1, 65535),
        "nginx_settings": nginx_directives,
        "nginx_timeout_seconds": number(1, 3600),
        "nginx_worker_shutdown_timeout_seconds": number(1, 86_400),
    },
    "postgresql": {
        "postgresql_cluster": _CLUSTER,
        "postgresql_expected_connections": number(0, 262_143),
        "postgresql_memory_mb": number(128, 16_777_216),
        "postgresql_pgdg_key": text_like(
            re.compile(r"\s*-----BEGIN PGP PUBLIC KEY BLOCK-----\s.*-----END PGP PUBLIC KEY BLOCK-----\s*", re.DOTALL),
            "this is no public key in ASCII armour", "Export it with: gpg --armor --export",
        ),
        "postgresql_pgdg_url": text_like(
            re.compile(r"(https?|file):/[^\s@]+"), "this is not the URL of an archive", "Begin it with https://"
        ),
        "postgresql_reserved_memory_mb": number(0, 16_777_216),
        "postgresql_settings": settings_dictionary,
        "postgresql_version": _VERSION,
    },
}
