# Copyright: (c) 2026, ringstand contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Metrics in a file."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.ringstand.flask.plugins.module_utils import certificate_metrics
from ansible_collections.ringstand.flask.plugins.module_utils.prometheus import Exposition


def test_labels_and_numbers_are_as_prometheus_reads_them(tmp_path: Path) -> None:
    exposition = Exposition("ringstand_test")
    exposition.add("size_bytes", "A size.", [({"name": 'a"b\\c\nd'}, 3.0), ({"name": "unknown"}, None)])
    exposition.add("nothing", "Not known at all.", [({}, None)])
    exposition.add("runs_total", "Runs.", [({}, 0.5)], "counter")
    assert exposition.write(str(tmp_path))
    file = tmp_path / "ringstand_test.prom"
    assert file.read_text().splitlines() == [
        "# HELP ringstand_test_size_bytes A size.",
        "# TYPE ringstand_test_size_bytes gauge",
        'ringstand_test_size_bytes{name="a\\"b\\\\c\\nd"} 3',
        "# HELP ringstand_test_runs_total Runs.",
        "# TYPE ringstand_test_runs_total counter",
        "ringstand_test_runs_total 0.5",
    ]
    assert file.stat().st_mode & 0o777 == 0o644


def test_without_the_exporter_nothing_is_written(tmp_path: Path) -> None:
    assert not Exposition("ringstand_test").write(str(tmp_path / "missing"))
    assert not Exposition("ringstand_test").write("")
    assert not list(tmp_path.iterdir())


def test_certificates_that_need_somebody_show() -> None:
    good = {"site": "shop", "state": "served", "expires": "2026-11-21T00:00:00Z", "alarm": False, "attempt": {}}
    bad = {"site": "blog", "state": "placeholder", "expires": None, "alarm": True, "attempt": {"failures": 4}}
    text = certificate_metrics.metrics([good, bad], 5.0).text()
    assert 'ringstand_certificate_not_after_timestamp_seconds{site="shop"} 1795219200' in text
    assert 'not_after_timestamp_seconds{site="blog"}' not in text
    assert 'ringstand_certificate_served{site="shop"} 1' in text
    assert 'ringstand_certificate_served{site="blog"} 0' in text
    assert 'ringstand_certificate_alarm{site="blog"} 1' in text
    assert 'ringstand_certificate_failed_attempts{site="blog"} 4' in text
