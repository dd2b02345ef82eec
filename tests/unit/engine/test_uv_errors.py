"""What uv says when it fails becomes one line and a remedy. The texts are those of uv 0.13."""

from __future__ import annotations

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils.uv_errors import headline, remedy

UNREACHABLE = """Using Python 3.11.2 environment at: v
error: Request failed after 3 retries in 6.8s
  cause: Failed to fetch: https://127.0.0.1:9/simple/itsdangerous/
  cause: error sending request for url (https://127.0.0.1:9/simple/itsdangerous/)
  cause: client error (Connect)
"""
BUILD = """error: Failed to build `markupsafe==1.0`
  cause: The build backend returned an error
  cause: Call to `setuptools.build_meta:__legacy__.get_requires_for_build_wheel` failed (exit status: 1)

         [stderr]
         ImportError: cannot import name 'Feature' from 'setuptools'

hint: Build failures usually indicate a problem with the package or the build environment
"""
REFUSED = """error: No solution found when resolving dependencies
  cause: Because itsdangerous was not found in the package registry, your requirements are unsatisfiable.

hint: An index URL (http://x.y/simple) could not be queried due to a lack of valid authentication (401 Unauthorized)
"""
UNKNOWN = "error: No solution found when resolving\n  cause: Because zzz was not found in the package registry"
NO_WHEEL = "error: No solution found\n  cause: Because a==1 has no wheels with a matching Python ABI tag (`cp313`)"
CERTIFICATE = "error: Failed to fetch\n  cause: error sending request\n  cause: invalid peer certificate: UnknownIssuer"


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (UNREACHABLE, "does not answer"),
        (BUILD, "no wheel of it for this Python, and building it failed"),
        (REFUSED, "refuses the credentials"),
        (UNKNOWN, "Correct the versions"),
        (NO_WHEEL, "no wheel of it for this Python: pin another version"),
        (CERTIFICATE, "package_index_ca_path"),
        ("error: something else", ""),
    ],
)
def test_each_failure_has_its_remedy(output: str, words: str) -> None:
    assert words in remedy(output)
    assert bool(remedy(output)) == bool(words)


def test_the_headline_has_the_error_and_its_causes() -> None:
    fetch = "Failed to fetch: https://127.0.0.1:9/simple/itsdangerous/"
    assert headline(UNREACHABLE).startswith(f"Request failed after 3 retries in 6.8s: {fetch}")
    assert headline(BUILD).startswith("Failed to build `markupsafe==1.0`: The build backend returned an error")
    assert headline("Killed\n") == "Killed"
    assert headline("") == ""
