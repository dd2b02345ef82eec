"""When to renew and when to ask again, for every lifetime that authorities give."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    acme_directory,
    certificate_due,
    renewal_information,
    x509,
)
from ansible_collections.ringstand.flask.plugins.module_utils.certificate_due import Window

DAY, HOUR = 86_400, 3600
START = 1_800_000_000


@pytest.mark.parametrize(
    ("days", "renewed_after_days"), [(398, 265.333), (90, 60), (64, 42.667), (45, 30), (6, 4), (1, 0.667)]
)
def test_two_thirds_of_a_lifetime(days: int, renewed_after_days: float) -> None:
    when = certificate_due.renewal_time(START, START + days * DAY, "A1")
    assert (when - START) / DAY == pytest.approx(renewed_after_days, abs=0.001)


@pytest.mark.parametrize("days", [90, 64, 45, 6])
def test_the_alarm_leaves_room_for_several_attempts(days: int) -> None:
    """Every hour, and then every two, four … hours, as long as nothing succeeds."""
    expires = START + days * DAY
    now, attempts = certificate_due.renewal_time(START, expires, "A1"), 0
    while not certificate_due.is_alarming(START, expires, now):
        attempts += 1
        now = certificate_due.next_attempt(attempts, now, expires - now)
    assert attempts >= 3
    while now < expires:
        attempts += 1
        now = certificate_due.next_attempt(attempts, now, expires - now)
    assert 10 <= attempts <= 60


@pytest.mark.parametrize(("start", "end"), [(10, 12), (50, 52), (0, 0.1)])
def test_an_earlier_suggestion_counts(start: float, end: float) -> None:
    window = Window(START + start * DAY, START + end * DAY)
    when = certificate_due.renewal_time(START, START + 90 * DAY, "A1", window)
    assert window.start <= when <= window.end
    assert when == certificate_due.renewal_time(START, START + 90 * DAY, "A1", window)
    assert when != certificate_due.renewal_time(START, START + 90 * DAY, "B2", window)


def test_a_suggestion_that_is_too_late_does_not_count() -> None:
    window = Window(START + 88 * DAY, START + 89 * DAY)
    assert certificate_due.renewal_time(START, START + 90 * DAY, "A1", window) == START + 63 * DAY


@pytest.mark.parametrize(
    ("failures", "left_days", "hours"),
    [(1, 30, 1), (2, 30, 2), (3, 30, 4), (5, 30, 16), (6, 30, 24), (50, 30, 24), (6, 2, 6), (6, 0.1, 1), (9, -3, 24)],
)
def test_each_wait_is_longer_but_not_near_the_end(failures: int, left_days: float, hours: float) -> None:
    assert certificate_due.next_attempt(failures, START, left_days * DAY) == START + hours * HOUR


@pytest.mark.parametrize(
    ("failures", "told", "hours"), [(1, None, 6), (2, None, 12), (9, None, 34), (1, START + 40 * HOUR, 40), (1, 0, 6)]
)
def test_a_rate_limit_is_waited_for(failures: int, told: float | None, hours: float) -> None:
    # However near the end is.
    assert certificate_due.next_attempt(failures, START, HOUR, True, told) == START + hours * HOUR


@pytest.mark.parametrize(
    ("output", "seconds"),
    [
        ("nothing of that kind", None),
        ("too many certificates, retry after 2027-01-15 09:00:00 UTC: see https://x", START + HOUR),
        ("Retry After 2027-01-15T08:30:00Z", START + HOUR / 2),
        ("retry after 2027-99-15 09:00:00 UTC", None),
        ("HTTP 429\nRetry-After: 3600\nServer: nginx", START + HOUR),
        ("Retry-After: 3\nretry after 2027-01-15 09:00:00 UTC", START + HOUR),
        ("retry after 2099-01-01 00:00:00 UTC", START + 8 * DAY),
    ],
)
def test_when_the_authority_says_to_come_back(output: str, seconds: float | None) -> None:
    assert time.gmtime(START)[:5] == (2027, 1, 15, 8, 0)
    assert certificate_due.told_time(output, START) == seconds


def test_the_name_of_a_certificate_in_renewal_information(tmp_path: Path) -> None:
    """With the key identifier and the serial number of the example in RFC 9773, 4.1."""
    path = tmp_path / "cert.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "6"]
    argv += ["-subj", "/CN=x", "-set_serial", "0x87654321", "-keyout", str(tmp_path / "key.pem"), "-out", str(path)]
    config = tmp_path / "openssl.cnf"
    config.write_text(
        "[req]\ndistinguished_name = n\nx509_extensions = e\n[n]\n[e]\n"
        "subjectKeyIdentifier = 69885B6B87464041E1B37B847BA0AE2CDE01C8D4\nauthorityKeyIdentifier = keyid:always\n"
    )
    subprocess.run([*argv, "-config", str(config)], check=True, capture_output=True)
    details = x509.read(str(path))
    assert details
    assert renewal_information.certificate_id(details.der) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


def test_a_window_is_read() -> None:
    answer = {"suggestedWindow": {"start": "2027-01-15T08:00:00Z", "end": "2027-01-15T11:00:00.5+02:00"}}
    assert renewal_information.read_window(answer) == Window(START, START + HOUR)
    answer["suggestedWindow"]["end"] = "2027-01-15T07:00:00Z"
    assert renewal_information.read_window(answer) is None


@pytest.mark.parametrize("url", ["https://127.0.0.1:1/directory", "https://[", "x"])
def test_an_authority_that_does_not_answer_suggests_nothing(url: str) -> None:
    assert renewal_information.ask(url, b"", "", START) == (None, START + 6 * HOUR)


def test_a_suggestion_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def get(url: str, _context: object) -> tuple[dict, dict]:
        asked.append(url)
        if url.endswith("/directory"):
            return {"renewalInfo": "https://ca.example.com/renewal-info/"}, {}
        window = {"start": "2027-01-15T08:00:00Z", "end": "2027-01-15T09:00:00Z"}
        return {"suggestedWindow": window}, {"Retry-After": "7200"}

    monkeypatch.setattr(acme_directory, "get", get)
    monkeypatch.setattr(renewal_information, "certificate_id", lambda _der: "a.b")
    window, again = renewal_information.ask("https://ca.example.com/directory", b"", "", START)
    assert (window, again) == (Window(START, START + HOUR), START + 2 * HOUR)
    assert asked[1] == "https://ca.example.com/renewal-info/a.b"
