"""sslyze finds nothing to improve by Mozilla's guideline, version 6.0, of which tests/fixtures/tls has the values."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

FIXTURES = Path(__file__).resolve().parents[3] / "tests/fixtures/tls"


def test_the_guideline_is_followed(host, tmp_path):
    if host.backend.get_hostname() == "nginx-foreign":
        pytest.skip("the same nginx as that of nginx-13")
    authority = tmp_path / "ca.pem"
    authority.write_text(host.file("/etc/edge/ca.pem").content_string)
    target = f"edge.example.com:443{{{host.ansible.get_variables()['ansible_host']}}}"
    environment = {"UV_DEFAULT_INDEX": os.environ.get("PIP_INDEX_URL", ""), "UV_SYSTEM_CERTS": "true", **os.environ}
    uv = ["uv", "run", "--quiet", "--no-project", "--isolated", "--with-requirements", FIXTURES / "requirements.txt"]
    sslyze = ["sslyze", "--custom_tls_config", FIXTURES / "intermediate.json", "--certinfo_ca_file", authority, target]
    done = subprocess.run([*uv, *sslyze], capture_output=True, text=True, check=False, timeout=120, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "OK - Compliant" in done.stdout
