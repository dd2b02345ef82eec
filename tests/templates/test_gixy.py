# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""gixy finds nothing in what the nginx role writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_nginx_role import FULL, SITE, render

MAIN = """
user www-data;
worker_processes auto;
include modules-enabled/*.conf;
events { worker_connections 768; }
http { include sites-enabled/*; }
"""
# Our servers for unknown names are the first ones, and not marked: a server that somebody marks later would keep nginx
# from starting.
ALWAYS_SKIPPED = "default_server_flag"
# A page of maintenance is for everybody, also for whom the lists of the site keep out.
SKIPPED_WITH_LISTS = "return_bypasses_allow_deny"


def findings(folder: Path, skipped: list[str], *sites: dict[str, Any], **facts: Any) -> list[str]:
    for path, entry in render(*sites, **facts).items():
        if path.endswith(".conf"):
            file = folder / path.removeprefix("/etc/nginx/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(entry["content"])
    (folder / "nginx.conf").write_text(MAIN)
    gixy = [str(Path(sys.executable).with_name("gixy")), "--format", "json", "--skips", ",".join(skipped)]
    done = subprocess.run([*gixy, str(folder / "nginx.conf")], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return [f"{found['plugin']}: {found['reason'] or found['summary']}" for found in json.loads(done.stdout)]


@pytest.mark.parametrize(
    "facts", [{}, {"version": "1.22.1", "openssl": "3.0.17", "modules": ["http_realip"], "ipv6": False}], ids=str
)
def test_nothing_is_found_in_what_sites_have(tmp_path: Path, facts: dict[str, Any]) -> None:
    blog = {**SITE, "name": "blog", "domains": ["blog.example.com"]}
    site = {key: value for key, value in FULL.items() if key != "access"}
    site["locations"] = [{**place, "access": {"users": place["access"]["users"]}} if "access" in place else place
                         for place in site["locations"]]  # fmt: skip
    assert findings(tmp_path, [ALWAYS_SKIPPED], site, blog, **facts) == []


def test_nothing_else_is_found_where_lists_keep_somebody_out(tmp_path: Path) -> None:
    assert findings(tmp_path, [ALWAYS_SKIPPED, SKIPPED_WITH_LISTS], FULL) == []


def test_it_would_be_found(tmp_path: Path) -> None:
    bad = {**SITE, "extra_configuration": "location /x { add_header X-A b; }"}
    assert any("add_header_redefinition" in found for found in findings(tmp_path, [ALWAYS_SKIPPED], bad))
