"""Runs over certificates, by the timer and by a person, with everything outside in the place of it a list of calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ringstand.flask.plugins.module_utils import (
    acme_preflight,
    certbot,
    certbot_lineage,
    certbot_run,
    certificate_attempts,
    certificate_deploy,
    certificate_order,
    certificate_renewal,
    certificate_settings,
    certificate_sites,
    certificate_state,
    renewal_information,
    webhook,
)
from ansible_collections.ringstand.flask.plugins.module_utils.certbot_lineage import Renewal
from ansible_collections.ringstand.flask.plugins.module_utils.certificates import Wanted
from ansible_collections.ringstand.flask.plugins.module_utils.errors import RingstandError
from test_certbot import RENEWAL, make_certificate

DAY, HOUR = 86_400.0, 3600.0
URL = "https://acme.example.com/directory"
DOMAINS = ["shop.example.com", "www.shop.example.com"]
CLIENT = {"directory_url": URL, "key_type": "ecdsa", "webroot_dir": "/var/www/acme"}


class Host:
    """A host with the site shop. ``asked`` is what certbot was called for, ``fails`` what it says then."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.now = path, 0.0
        self.asked: list[str] = []
        self.fails: RingstandError | None = None
        self.shown = True
        self.days = 90
        self.domains = DOMAINS
        monkeypatch.setattr(certbot_lineage, "ROOT", str(path))
        monkeypatch.setattr(certificate_attempts, "PATH", str(path / "state/certificates.json"))
        monkeypatch.setattr(certificate_attempts, "LOCK_PATH", str(path / "lock"))
        monkeypatch.setattr(certificate_settings, "PATH", str(path / "certbot.json"))
        monkeypatch.setattr(certificate_settings, "WEBHOOK_PATH", str(path / "webhook.url"))
        monkeypatch.setattr(certificate_state, "CERTIFICATES_DIR", str(path / "certificates"))
        monkeypatch.setattr(certificate_sites, "PATH", str(path / "sites.json"))
        monkeypatch.setattr(acme_preflight, "fault", lambda _webroot, _domains: None)
        monkeypatch.setattr(certificate_deploy, "deploy", lambda site, _live: self.asked.append(f"deploy {site.name}"))
        monkeypatch.setattr(certificate_deploy, "is_current", lambda _site, _live: True)
        monkeypatch.setattr(
            certificate_deploy, "not_served", lambda _details, _domains: None if self.shown else "shows another"
        )
        monkeypatch.setattr(certbot, "issue", self._issue)
        monkeypatch.setattr(certbot, "rehearse", lambda _client, site, _replaces: self._call("rehearse", site.name))
        monkeypatch.setattr(renewal_information, "ask", lambda _url, _der, _ca, now: (None, now + DAY))
        for module in (certbot_run, certificate_renewal, certificate_state):
            monkeypatch.setattr(module.time, "time", lambda: self.now)
        self.settings()

    def _call(self, what: str, name: str) -> None:
        self.asked.append(f"{what} {name}")
        if self.fails:
            raise self.fails

    def _issue(self, _client: certbot.Client, site: Wanted, replaces: bool) -> None:
        self._call("replace" if replaces else "issue", site.name)
        self.certificate(site.name)

    def certificate(self, name: str = "shop", days: int | None = None) -> float:
        """Make what certbot would have; returns when its lifetime begins."""
        make_certificate(self.path / "archive" / name, list(self.domains), days=days or self.days)
        live = self.path / "live" / name
        live.mkdir(parents=True, exist_ok=True)
        for kind in ("cert", "privkey", "chain", "fullchain"):
            link = live / f"{kind}.pem"
            if not link.is_symlink():
                link.symlink_to(f"../../archive/{name}/{kind}1.pem")
        (self.path / "renewal").mkdir(exist_ok=True)
        text = RENEWAL.format(root=self.path).replace("live/shop", f"live/{name}")
        (self.path / f"renewal/{name}.conf").write_text(text)
        details = certbot_lineage.read(name).details
        assert details
        self.now = self.now or float(details.starts)
        return float(details.starts)

    def settings(self, **client: str) -> None:
        site = {"name": "shop", "domains": list(self.domains), "dir": str(self.path / "certificates/shop")}
        text = json.dumps({"schema": 2, "client": {**CLIENT, **client}, "certificates": [site]})
        (self.path / "certbot.json").write_text(text)

    def by_timer(self, name: str = "") -> certbot_run.Outcome:
        """What the timer runs; returns what became of the site."""
        self.asked.clear()
        return certificate_renewal.renew(name)["shop"]

    def by_person(self, **settings: str) -> certbot_run.Outcome:
        """What site.yml runs."""
        self.asked.clear()
        client = certificate_settings.read_client({**CLIENT, **settings})
        with certificate_attempts.held() as memory:
            site = Wanted("shop", self.domains, str(self.path / "certificates/shop"))
            return certbot_run.Run(client, memory).ensure([site])["shop"]

    def attempts(self) -> certificate_attempts.Attempts:
        return certificate_attempts.load().of("shop")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def failure(kind: str = certbot.UNREACHABLE, **details: Any) -> RingstandError:
    return RingstandError("the authority says no", kind=kind, rate_limited=kind == certbot.RATE_LIMIT, **details)


@pytest.mark.parametrize("days", [90, 64, 45, 6])
def test_the_timer_renews_at_two_thirds(host: Host, days: int) -> None:
    starts = host.certificate(days=days)
    host.days = days
    host.now = starts + days * DAY * 2 / 3 - 60
    assert host.by_timer().reasons == []
    assert host.asked == []
    host.now += 120
    assert host.by_timer().issued
    assert host.asked == ["replace shop", "deploy shop"]


def test_a_person_renews_nothing_that_lasts(host: Host) -> None:
    host.now = host.certificate() + 89 * DAY
    assert not host.by_person().changed
    host.now += 2 * DAY
    assert host.by_person().reasons == ["it has expired"]
    assert host.asked == ["replace shop", "deploy shop"]


def test_a_suggestion_of_the_authority_counts(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = host.certificate()
    window = certificate_attempts.Window(starts + DAY, starts + 2 * DAY)
    asked = []
    monkeypatch.setattr(renewal_information, "ask", lambda *_given: asked.append(1) or (window, host.now + 6 * HOUR))
    host.now = starts + HOUR
    assert host.by_timer().reasons == []
    host.now += HOUR
    host.by_timer()
    assert len(asked) == 1  # not each hour
    host.now = starts + 2 * DAY
    assert host.by_timer().issued


def test_a_failed_renewal_waits_longer_each_time_over_runs(host: Host) -> None:
    host.now = host.certificate() + 61 * DAY
    host.fails = failure()
    asked_at = []
    for hour in range(26):
        host.by_timer()
        asked_at += [hour] if host.asked else []
        host.now += HOUR
    assert asked_at == [0, 1, 3, 7, 15]
    attempts = host.attempts()
    assert (attempts.failures, attempts.step, attempts.kind) == (5, "order", "unreachable")
    host.fails = None
    host.now = attempts.next
    assert host.by_timer().issued
    assert host.attempts().as_dict() == {}


def test_a_person_need_not_wait(host: Host) -> None:
    host.fails = failure(certbot.CHALLENGE)
    host.now = 1_800_000_000
    assert host.by_timer().failure
    assert host.by_timer().waits
    assert host.asked == []
    host.fails = None
    host.now = 0
    assert host.by_person().issued


def test_a_rate_limit_is_not_asked_again_by_anybody(host: Host) -> None:
    host.now = 1_800_000_000
    host.fails = failure(certbot.RATE_LIMIT, retry_at=host.now + 40 * HOUR)
    assert host.by_person().failure == "the authority says no"
    host.now += 39 * HOUR
    told = host.by_person().failure
    assert "the authority says no. It is not asked again before 2027-01-17T" in told
    assert host.by_timer().waits
    assert host.asked == []
    host.now += 2 * HOUR
    host.fails = None
    host.now = 0
    host.certificate()
    assert host.attempts().failures == 1


@pytest.mark.parametrize(
    ("domains", "settings", "asked"),
    [
        (DOMAINS[::-1], {}, False),
        (DOMAINS, {"staging_directory_url": "https://other.example.com"}, False),
        (DOMAINS, {"directory_url": "https://other.example.com"}, True),
        ([*DOMAINS, "new.example.com"], {}, True),
    ],
)
def test_a_rate_limit_is_one_of_an_authority_for_names(host: Host, domains: list, settings: dict, asked: bool) -> None:
    host.now = 1_800_000_000
    for _time in range(3):
        host.fails = failure(certbot.RATE_LIMIT, retry_at=host.now + 40 * HOUR)
        host.by_person()
        host.now += 41 * HOUR
    assert host.attempts().failures == 3
    host.now -= 2 * HOUR
    host.fails, host.domains = failure(), domains
    assert host.by_person(**settings).failure.startswith("the authority says no")
    assert bool(host.asked) is asked
    # And it is counted from the beginning.
    assert host.attempts().failures == (1 if asked else 3)


def test_a_failure_that_an_earlier_version_remembers_counts(host: Host) -> None:
    host.now = 1_800_000_000
    host.fails = failure(certbot.RATE_LIMIT, retry_at=host.now + 40 * HOUR)
    host.by_person()
    path = host.path / "state/certificates.json"
    data = json.loads(path.read_text())
    del data["certificates"]["shop"]["subject"]
    path.write_text(json.dumps(data))
    host.by_person()
    assert host.asked == []


def test_a_clock_that_was_set_back_makes_nobody_wait(host: Host) -> None:
    host.now = 1_900_000_000
    host.fails = failure()
    host.by_timer()
    host.now = 1_800_000_000
    host.by_timer()
    assert host.asked == ["issue shop"]


def test_what_could_not_be_got_at_first_is_got_by_the_timer(host: Host) -> None:
    host.now = 1_800_000_000
    host.fails = failure()
    assert host.by_person().failure
    host.fails = None
    host.now = 0
    assert host.by_timer().issued
    assert host.asked == ["issue shop", "deploy shop"]


def test_it_is_served_again_without_asking_anybody(host: Host) -> None:
    host.certificate()
    host.shown = False
    assert host.by_timer().deployed
    assert host.asked == ["deploy shop"]


def test_a_renewal_that_was_asked_for(host: Host) -> None:
    host.certificate()
    assert host.by_timer("shop").issued
    with pytest.raises(RingstandError, match="no such certificate. It has shop"):
        certificate_renewal.renew("blog")


def test_what_nobody_asks_for_any_more_is_renewed_until_that_is_ended(host: Host) -> None:
    host.certificate()
    starts = host.certificate("old")
    host.now = starts + 61 * DAY
    host.by_timer()
    assert "replace old" in host.asked
    with certificate_attempts.held() as memory:
        assert memory.end(["old"], ["shop"])
        assert not memory.end([], ["shop"])
    host.by_timer()
    assert "replace old" not in host.asked
    with certificate_attempts.held() as memory:
        assert memory.end([], ["shop", "old"])


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 9}', '{"schema": 1, "certificates": {"a": 1}}'])
def test_a_damaged_memory_is_an_empty_one(host: Host, content: str) -> None:
    (host.path / "state").mkdir()
    (host.path / "state/certificates.json").write_text(content)
    assert certificate_attempts.load() == certificate_attempts.Memory()
    host.certificate()
    assert host.by_timer().reasons == []


def test_two_runs_are_one_after_the_other(host: Host) -> None:
    refused = pytest.raises(RingstandError, match="another run has been getting")
    with certificate_attempts.held(), refused, certificate_attempts.held(wait_seconds=0):
        pass


def rehearse(host: Host, attempts: certificate_attempts.Attempts, domains: list[str]) -> None:
    host.asked.clear()
    client = certificate_settings.read_client({**CLIENT, "staging_directory_url": "https://staging.example.com/"})
    site = Wanted("shop", domains, str(host.path))
    certificate_order.prepare(client, site, certbot_lineage.read("shop"), attempts)


def test_a_first_order_is_rehearsed_once(host: Host) -> None:
    attempts = certificate_attempts.Attempts()
    rehearse(host, attempts, DOMAINS)
    assert host.asked == ["rehearse shop"]
    rehearse(host, attempts, DOMAINS)
    assert host.asked == []
    rehearse(host, attempts, [*DOMAINS, "new.example.com"])
    assert host.asked == ["rehearse shop"]
    host.certificate()
    rehearse(host, attempts, DOMAINS[:1])  # a name less: the authority has certified this one before
    assert host.asked == []


@pytest.mark.parametrize("kind", [certbot.UNREACHABLE, certbot.RATE_LIMIT, certbot.NONCE])
def test_a_staging_directory_that_is_away_stops_nothing(host: Host, kind: str) -> None:
    host.fails = failure(kind)
    rehearse(host, certificate_attempts.Attempts(), DOMAINS)


def test_a_rehearsal_that_fails_stops_the_order(host: Host) -> None:
    host.fails = failure(certbot.CHALLENGE)
    with pytest.raises(RingstandError, match="the rehearsal failed, so nothing was ordered") as caught:
        rehearse(host, certificate_attempts.Attempts(), DOMAINS)
    assert caught.value.details["step"] == "rehearsal"


def row(host: Host) -> dict[str, Any]:
    return next(row for row in certificate_state.all_states(host.now) if row["site"] == "shop")


@pytest.fixture
def served(host: Host) -> Callable[[], dict[str, Any]]:
    host.certificate()
    (host.path / "certificates").mkdir()
    (host.path / "certificates/shop").symlink_to(host.path / "live/shop")
    return lambda: row(host)


def test_the_alarm_is_raised_below_a_quarter(host: Host, served: Callable[[], dict[str, Any]]) -> None:
    starts = host.now
    assert (served()["state"], served()["problem"], served()["alarm"]) == ("served", None, False)
    assert served()["renews"] == certificate_attempts.utc(starts + 60 * DAY)
    host.now = starts + 61 * DAY
    host.fails = failure()
    host.by_timer()
    assert served()["problem"] is None
    assert served()["attempt"]["reason"] == "the authority says no"
    host.now = starts + 68 * DAY
    assert "it ends in 22.0 days and was not renewed" in served()["problem"]
    assert "its order failed: the authority says no" in served()["problem"]
    assert served()["alarm"]


def test_a_certificate_that_somebody_brings_is_watched_too(host: Host, served: Callable[[], dict[str, Any]]) -> None:
    (host.path / "certbot.json").unlink()
    assert (served()["problem"], served()["renews"]) == (None, None)
    host.now += 89 * DAY
    assert "was not renewed: whoever brings it has to bring a new one" in served()["problem"]
    assert served()["alarm"]


@pytest.mark.parametrize(
    ("names", "domains", "problem"),
    [
        # Names of the certificate, those that are served here, and what is wrong with it.
        ([*DOMAINS, "elsewhere.example.com"], DOMAINS, None),
        (["*.example.com", "*.shop.example.com"], DOMAINS, None),
        (["*.example.com"], ["new.example.com"], "127.0.0.1:443 shows no certificate for new.example.com"),
        (DOMAINS[:1], DOMAINS, "it lacks www.shop.example.com; whoever brings it has to bring a new one"),
    ],
)
def test_what_somebody_brings_is_asked_for_by_the_names_of_its_site(
    host: Host, monkeypatch: pytest.MonkeyPatch, names: list, domains: list, problem: Any
) -> None:
    make_certificate(host.path / "own", names)
    (host.path / "own/fullchain.pem").symlink_to("fullchain1.pem")
    site = {"name": "shop", "domains": domains, "dir": str(host.path / "own")}
    (host.path / "sites.json").write_text(json.dumps({"schema": 1, "sites": [site]}))
    (host.path / "certbot.json").unlink()
    (host.path / "certificates/gone").mkdir(parents=True)

    def not_served(_details: Any, asked: Any) -> str | None:
        fault = f"127.0.0.1:443 shows no certificate for {asked[0]}" if asked else "nothing was asked"
        return None if set(asked) == set(DOMAINS) else fault

    monkeypatch.setattr(certificate_deploy, "not_served", not_served)
    host.certificate("other")  # for the time
    (found,) = certificate_state.all_states(host.now)
    assert (found["site"], found["problem"], found["alarm"]) == ("shop", problem, problem is not None)
    assert found["domains"] == domains


def test_sites_that_cannot_be_read_are_a_message(host: Host) -> None:
    (host.path / "sites.json").write_text('{"schema": 1, "sites": [{}]}')
    with pytest.raises(RingstandError, match="Run site.yml or the role nginx again"):
        certificate_state.all_states(host.now)


def test_a_domain_that_could_not_be_added_is_a_problem(host: Host, served: Callable[[], dict[str, Any]]) -> None:
    host.domains = [*DOMAINS, "new.example.com"]
    host.settings()
    host.fails = failure(certbot.CHALLENGE)
    host.by_timer()
    assert served()["state"] == "served"
    assert "it lacks new.example.com; its order failed: the authority says no" in served()["problem"]


def test_the_webhook_is_told_once_a_day(
    host: Host, served: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []
    answer = ""

    def post(_url: str, body: dict[str, Any]) -> str:
        told.append(body)
        return answer

    monkeypatch.setattr(webhook, "post", post)
    host.now += 70 * DAY
    assert certificate_renewal.raise_alarm([served()], host.now) == []
    assert told == []  # none is set
    (host.path / "webhook.url").write_text("https://hooks.example.com/secret\n")
    for hours in (0, 1, 23, 25):
        certificate_renewal.raise_alarm([served()], host.now + hours * HOUR)
    assert len(told) == 2
    assert "Certificate of shop on" in told[0]["text"] and "was not renewed" in told[0]["text"]
    answer = "it answered 500"
    problems = certificate_renewal.raise_alarm([served()], host.now + 60 * HOUR)
    assert problems == ["The webhook was not told about shop: it answered 500."]


def test_settings_of_another_version_are_refused(host: Host) -> None:
    (host.path / "certbot.json").write_text('{"schema": 1}')
    with pytest.raises(RingstandError, match="its schema is 1, not 2"):
        certificate_settings.load()
    (host.path / "certbot.json").unlink()
    assert certificate_settings.load() is None
    assert certificate_renewal.renew() == {}


def test_the_client_has_all_that_the_role_writes() -> None:
    assert certificate_settings.read_client(CLIENT).renewal == Renewal(URL, "ecdsa", "/var/www/acme")
