# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What uv says when it fails, in one line and with the remedy."""

from __future__ import annotations

import re

_BUILD = re.compile(r"Failed to (?:build|download and build) `([^`]+)`")
# In the order in which they are looked for: a build may fail because the index does not answer.
_REMEDIES = (
    (
        re.compile(r"UnknownIssuer|certificate verify failed|invalid peer certificate"),
        "The index shows a certificate that the host does not trust: set package_index_ca_path to its CA",
    ),
    (
        re.compile(r"\b401 Unauthorized|\b403 Forbidden|status code:? 40[13]|lack of valid authentication"),
        "The index refuses the credentials: put valid ones into package_index_url",
    ),
    (
        re.compile(
            r"error sending request|Connection refused|dns error|timed out|operation timed|status code:? 5\d\d"
            r"|50[0234] (?:Internal|Bad|Service|Gateway)|network is unreachable|connection closed",
            re.IGNORECASE,
        ),
        "The package index does not answer: try again when it does, or name another in package_index_url",
    ),
    (re.compile(r"[Hh]ash(?:es)? mismatch"), "A package is not what the lock was made from: make the lock anew"),
    (
        _BUILD,
        "There is no wheel of it for this Python, and building it failed: pin a newer version, set the app's python to "
        "an older interpreter, or name what its build needs in apt_packages",
    ),
    (
        re.compile(r"no wheels? with a matching|no wheels? (?:are|is) (?:available|usable)|can't be installed because"),
        "There is no wheel of it for this Python: pin another version, or set the app's python to another interpreter",
    ),
    (
        re.compile(r"Requires-Python|requires-python|the current Python version|incompatible with the .*Python"),
        "A package, or the project, asks for another Python: set the app's python, or pin another version",
    ),
    (
        re.compile(r"not found in the package registry|No solution found"),
        "Correct the versions, or name the index that has the package in package_index_url",
    ),
)
_CAUSES = 2


def headline(output: str) -> str:
    """The error and its first causes in one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if line.startswith(("error:", "×")):
            causes = [text for text in lines[number + 1 :] if text.startswith(("cause:", "╰─▶", "├─▶"))][:_CAUSES]
            texts = [re.sub(r"^(error:|cause:|×|╰─▶|├─▶)\s*", "", text).rstrip(".:") for text in (line, *causes)]
            return ": ".join(texts)
    return lines[-1] if lines else ""


def remedy(output: str) -> str:
    """What to do about it; empty when there is nothing to say beyond uv's own words."""
    return next((text for pattern, text in _REMEDIES if pattern.search(output)), "")
