# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Metrics in a file, as the textfile collector of Prometheus' node exporter reads them.

The format: https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from .releases import write_durably

# Where Debian's package prometheus-node-exporter looks for files of metrics.
DIRECTORY = "/var/lib/prometheus/node-exporter"
Sample = tuple[Mapping[str, str], Any]


class Exposition:
    """Metrics whose names all begin with ``prefix``, in the order in which they are added."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._lines: list[str] = []

    def add(self, name: str, text: str, samples: Iterable[Sample], kind: str = "gauge") -> None:
        """A metric with its labels and values; those that are None are not known and left out."""
        known = [(labels, value) for labels, value in samples if value is not None]
        if known:
            full = f"{self.prefix}_{name}"
            self._lines.extend([f"# HELP {full} {text}", f"# TYPE {full} {kind}"])
            self._lines.extend(f"{full}{_labels(labels)} {_number(value)}" for labels, value in known)

    def text(self) -> str:
        """The text of the file."""
        return "\n".join([*self._lines, ""])

    def write(self, directory: str) -> bool:
        """Replace the file in one step, where the directory exists; returns whether it does."""
        if not directory or not os.path.isdir(directory):
            return False
        path = os.path.join(directory, f"{self.prefix}.prom")
        write_durably(path, self.text())
        os.chmod(path, 0o644)
        return True


def _labels(labels: Mapping[str, str]) -> str:
    pairs = [f'{name}="{_escaped(value)}"' for name, value in labels.items()]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _escaped(value: str) -> str:
    return str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: Any) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
