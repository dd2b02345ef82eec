# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Each nginx is given only what it knows, by its documentation. Ubuntu 22.04 has 1.18, Debian 12 1.22, 24.04 1.24."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.nginx import Directive
from packaging.version import Version
from test_nginx_role import FULL, MODULES, SITE, STATIC, config, render

# All were there in 1.11.11, of 2017, or before.
OLD = """
access_log add_header alias allow auth_basic auth_basic_user_file charset client_body_timeout client_header_timeout
client_max_body_size default_type deny disable_symlinks error_log error_page geo gzip gzip_comp_level gzip_min_length
gzip_proxied gzip_static gzip_types gzip_vary if include internal keepalive_timeout large_client_header_buffers
limit_conn limit_conn_status limit_conn_zone limit_req limit_req_status limit_req_zone listen location log_format map
open_file_cache open_file_cache_valid proxy_buffer_size proxy_buffering proxy_buffers proxy_busy_buffers_size
proxy_connect_timeout proxy_hide_header proxy_http_version proxy_next_upstream proxy_pass proxy_read_timeout
proxy_redirect proxy_send_timeout proxy_set_header real_ip_header real_ip_recursive recursive_error_pages
reset_timedout_connection return root send_timeout server server_name server_names_hash_bucket_size
server_names_hash_max_size server_tokens set set_real_ip_from ssl_certificate ssl_certificate_key ssl_ciphers
ssl_ecdh_curve ssl_prefer_server_ciphers ssl_protocols ssl_session_cache ssl_session_tickets ssl_session_timeout
try_files upstream variables_hash_bucket_size variables_hash_max_size worker_rlimit_nofile worker_shutdown_timeout zone
"""
# Modules of others, which are there or not, whatever nginx's version.
BROTLI = ["brotli", "brotli_comp_level", "brotli_min_length", "brotli_static", "brotli_types"]
SINCE = {**dict.fromkeys([*OLD.split(), *BROTLI], "1.11.11"), "ssl_reject_handshake": "1.19.4", "http2": "1.25.1",
         "keepalive_min_timeout": "1.27.4"}  # fmt: skip
PARAMETERS_SINCE = {"quic": "1.25.0"}


def directives(block: list[Directive]) -> Iterator[Directive]:
    """All of them; what is in a map or geo are values."""
    for directive in block:
        yield directive
        if directive.name not in ("map", "geo"):
            yield from directives(directive.block or [])


@pytest.mark.parametrize("version", ["1.18.0", "1.22.1", "1.24.0", "1.26.3", "1.28.0"])
@pytest.mark.parametrize("site", [SITE, {**SITE, "static": STATIC}, FULL], ids=["bare", "static", "full"])
@pytest.mark.parametrize("profile", ["intermediate", "modern"])
def test_a_version_is_given_what_it_knows(version: str, site: dict, profile: str) -> None:
    modules = [name for name in MODULES if name != "http_v3" or Version(version) >= Version("1.25.0")]
    files = render(site, version=version, modules=modules, nginx_tls_profile=profile)
    found = [one for path in files if path.endswith(".conf") for one in directives(config(files, path))]
    for directive in found:
        assert directive.name in SINCE, "look up in nginx's documentation when it appeared"
        assert Version(SINCE[directive.name]) <= Version(version), directive
        if directive.name == "listen":
            for word in directive.arguments:
                assert Version(PARAMETERS_SINCE.get(word, "0")) <= Version(version), directive
            # nginx warns of the parameter since there is the directive.
            assert "http2" not in directive.arguments or Version(version) < Version("1.25.1")
    assert any(one.name == "http2" or "http2" in one.arguments for one in found)
