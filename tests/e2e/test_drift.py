"""What is altered by hand is put right by the next run: all kinds at once on the host of the other tests, one run, then
a look at each. A look says the same before and after; in between it says something else, or the drift was none."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from conftest import NAME, Run, Site

PSQL = "runuser -u postgres -- psql -XAtqc"
SLOT = "$(basename $(readlink /srv/shop/live))"
QUEUE = "/etc/redis/redis-shop-queue"
REDIS = f"redis-cli -p $(sed -n 's/^port //p' {QUEUE}.conf) --no-auth-warning"
PASSWORD = "$(sed -n 's,^REDIS_URL=.*//shop:\\(.*\\)@.*,\\1,p' /etc/ringstand/environment/shop.env)"


@dataclass(frozen=True)
class Drift:
    """``do`` alters something by hand, ``look`` shows it."""

    do: str
    look: str


DRIFTS = {
    # Files, on disk.
    "file: content": Drift("echo '# by hand' >> /etc/nginx/ringstand/tls.conf",
                           "sha256sum /etc/nginx/ringstand/tls.conf"),
    "file: owner": Drift("chown www-data:adm /etc/nginx/ringstand/headers.conf",
                         "stat -c %U:%G /etc/nginx/ringstand/headers.conf"),
    "file: mode": Drift("chmod 0666 /etc/ringstand/apps/shop.json", "stat -c %a /etc/ringstand/apps/shop.json"),
    "file: gone": Drift("rm /etc/needrestart/conf.d/50-ringstand.conf", "ls /etc/needrestart/conf.d/50-ringstand.conf"),
    "file: a link in its place": Drift(
        "cd /etc/redis; mv redis-shop-cache.conf /root/; ln -s /root/redis-shop-cache.conf redis-shop-cache.conf",
        "stat -c %F /etc/redis/redis-shop-cache.conf"),
    "file: a program": Drift("printf '#!/bin/sh\\n' > /usr/local/bin/ringstand", "sha256sum /usr/local/bin/ringstand"),
    "directory: mode": Drift("chmod 0777 /srv/shop/releases", "stat -c %a /srv/shop/releases"),
    "link: time zone": Drift("ln -sf /usr/share/zoneinfo/Asia/Tokyo /etc/localtime", "date -d @0 +%H"),
    "nginx: edited and loaded": Drift(
        "sed -i 's/server_tokens off/server_tokens on/' /etc/nginx/ringstand/server.conf; "
        "systemctl reload nginx; sleep 1",
        "exec 3<>/dev/tcp/127.0.0.1/80; "
        f"printf 'GET / HTTP/1.0\\r\\nHost: {NAME}\\r\\n\\r\\n' >&3; grep -ai ^server <&3"),
    "certificate: gone": Drift("rm /etc/ringstand/certificates/shop/current",
                               "openssl x509 -noout -subject -in /etc/ringstand/certificates/shop/fullchain.pem"),
    # Units.
    "unit: stopped": Drift("systemctl stop apt-daily.timer", "systemctl is-active apt-daily.timer"),
    "unit: disabled": Drift("systemctl disable nginx", "systemctl is-enabled nginx"),
    "unit: masked": Drift("systemctl mask --now redis-server@shop-cache",
                          "systemctl is-active redis-server@shop-cache"),
    "unit: masked until the next boot": Drift("systemctl mask --runtime --now apt-daily-upgrade.timer",
                                              "systemctl is-active apt-daily-upgrade.timer"),
    "unit: edited and loaded": Drift(
        "sed -i 's/^RestartSec=.*/RestartSec=9s/' /etc/systemd/system/ringstand-shop@.service; systemctl daemon-reload",
        f"systemctl show -P RestartUSec ringstand-shop@{SLOT}"),
    "process: masked": Drift("systemctl mask --now ringstand-shop.worker@1",
                             "systemctl is-active ringstand-shop.worker@1"),
    "process: edited": Drift(
        "sed -i 's/^TimeoutStopSec=.*/TimeoutStopSec=9/' /etc/systemd/system/ringstand-shop.worker@.service",
        "grep TimeoutStopSec /etc/systemd/system/ringstand-shop.worker@.service"),
    "unit: drop-in file that is not loaded": Drift(
        "mkdir /etc/systemd/system/nginx.service.d; "
        "printf '[Service]\\nEnvironment=A=1\\n' > /etc/systemd/system/nginx.service.d/by-hand.conf",
        "systemctl show -P NeedDaemonReload nginx"),
    "unit: one by hand before the template": Drift(
        "printf '[Service]\\nExecStart=/bin/true\\n' > /etc/systemd/system/ringstand-shop@green.service",
        "ls /etc/systemd/system/ringstand-shop@green.service || echo none"),
    # PostgreSQL.
    "role: attributes": Drift(f"{PSQL} 'ALTER ROLE shop CREATEDB'",
                              f"{PSQL} \"SELECT rolcreatedb FROM pg_roles WHERE rolname = 'shop'\""),
    "role: limits": Drift(f"{PSQL} \"ALTER ROLE shop CONNECTION LIMIT 30 VALID UNTIL '2020-01-01'\"",
                          f"{PSQL} \"SELECT rolconnlimit, coalesce(rolvaliduntil, 'infinity') FROM pg_roles "
                          "WHERE rolname = 'shop'\""),
    "database: owner": Drift(f"{PSQL} 'ALTER DATABASE shop OWNER TO postgres'",
                             f"{PSQL} \"SELECT datdba::regrole FROM pg_database WHERE datname = 'shop'\""),
    "database: limit": Drift(f"{PSQL} 'ALTER DATABASE shop CONNECTION LIMIT 50'",
                             f"{PSQL} \"SELECT datconnlimit FROM pg_database WHERE datname = 'shop'\""),
    "database: open to all": Drift(f"{PSQL} 'GRANT CONNECT ON DATABASE shop TO PUBLIC'",
                                   f"{PSQL} \"SELECT has_database_privilege('public', 'shop', 'CONNECT')\""),
    "database: schema open to all": Drift(f"{PSQL} 'GRANT CREATE ON SCHEMA public TO PUBLIC' shop",
                                          f"{PSQL} \"SELECT has_schema_privilege('public', 'public', 'CREATE')\" shop"),
    "database: extension": Drift(f"{PSQL} 'DROP EXTENSION citext' shop",
                                 f"{PSQL} \"SELECT extname FROM pg_extension WHERE extname = 'citext'\" shop"),
    "setting: ALTER SYSTEM": Drift(f"{PSQL} \"ALTER SYSTEM SET work_mem = '1MB'\"; {PSQL} 'SELECT pg_reload_conf()'",
                                   f"{PSQL} 'SHOW work_mem'"),
    "setting: edited and loaded": Drift(
        "sed -i 's/^jit = off/jit = on/' /etc/postgresql/*/main/conf.d/50-ringstand.conf; "
        f"{PSQL} 'SELECT pg_reload_conf()'",
        f"sleep 0.2; {PSQL} 'SHOW jit'"),
    "setting: no start at boot": Drift("sed -i s/^auto/manual/ /etc/postgresql/*/main/start.conf",
                                       "grep -v ^# /etc/postgresql/*/main/start.conf | grep ."),
    # Redis: nobody may alter a running one, so it takes a file and a restart; then the file is as it was.
    "redis: user": Drift(
        f"cp -p {QUEUE}.acl /root/acl; echo 'user eve on nopass ~* &* +@all' >> {QUEUE}.acl; "
        "systemctl restart redis-server@shop-queue; sleep 0.5; "
        f"{REDIS} --user eve --pass x ACL SETUSER shop +@all; cp -p /root/acl {QUEUE}.acl",
        f"{REDIS} --user eve --pass x ACL WHOAMI; {REDIS} --user shop --pass {PASSWORD} CONFIG GET maxmemory"),
    "redis: setting": Drift(f"{REDIS} --user eve --pass x CONFIG SET maxmemory 5mb",
                            f"{REDIS} --user shop --pass {PASSWORD} INFO memory | grep ^maxmemory:"),
    # The firewall, on disk and in the kernel.
    "firewall: policy": Drift("ufw default allow incoming", "iptables -S INPUT | head -n 1"),
    "firewall: rule": Drift("ufw delete allow 443/tcp", "grep -c '^### tuple ### allow tcp 443 ' /etc/ufw/user.rules"),
    "firewall: rule in the kernel": Drift("iptables -D ufw-user-input -p tcp --dport 80 -j ACCEPT",
                                          "iptables -S ufw-user-input | grep -c 'dport 80 '"),
    "kernel: setting": Drift("echo 128 > /proc/sys/net/core/somaxconn", "cat /proc/sys/net/core/somaxconn"),
    # The app.
    "app: shell": Drift("usermod --shell /bin/bash shop", "getent passwd shop | cut -d: -f7"),
    "app: groups": Drift("usermod --append --groups adm shop", "id -nG shop"),
    "app: password": Drift("usermod --password 'x$y' shop", "getent shadow shop | cut -d: -f2"),
    "app: environment": Drift(
        "echo 'BY_HAND=\"1\"' >> /etc/ringstand/environment/shop.env; systemctl restart ringstand-shop@" + SLOT,
        "tr '\\0' '\\n' < /proc/$(pgrep -o -u shop gunicorn)/environ | grep -c ^BY_HAND"),
    "app: listener": Drift("systemctl stop ringstand-shop@" + SLOT + ".socket",
                           "systemctl list-units --plain --no-legend --state=active 'ringstand-shop@*.socket' | wc -l"),
    "app: live.sock": Drift("rm /run/shop/live.sock", "test -S /run/shop/live.sock && echo there"),
    "cron: edited": Drift("sed -i 's/--if-due//' /etc/cron.d/ringstand-backup", "cat /etc/cron.d/ringstand-backup"),
    "app: slot": Drift("rm /srv/shop/slots/" + SLOT, "ls /srv/shop/live/manifest.json"),
}
# Altered when all others have been looked at: some of those ask the server.
LAST = {
    "unit: server stopped": Drift("systemctl stop 'postgresql@*-main.service'",
                                 "pg_lsclusters --no-header | grep -c online"),
}


def alter(site: Site, drifts: dict[str, Drift]) -> None:
    site.root("bash -s", "\n".join(drift.do for drift in drifts.values()))


def look(site: Site, drifts: dict[str, Drift]) -> dict[str, str]:
    said = site.root("bash -s", "\n".join(f"{{ {drift.look}; }} 2>&1; printf '\\036'" for drift in drifts.values()))
    texts = said.split("\036")
    assert len(texts) == len(drifts) + 1, said
    return dict(zip(drifts, (text.strip() for text in texts)))


@dataclass
class Story:
    before: dict[str, str]
    altered: dict[str, str]
    after: dict[str, str]
    again: Run


@pytest.fixture(scope="module")
def story(site):
    before = look(site, {**DRIFTS, **LAST})
    assert site.ask("/health/ready").status == 200
    alter(site, DRIFTS)
    altered = look(site, DRIFTS)
    alter(site, LAST)
    altered.update(look(site, LAST))
    repair = site.play("--diff")
    if repair.code:
        pytest.fail(f"Failed to repair:\n{repair.output[-4000:]}", pytrace=False)
    found = Story(before, altered, look(site, {**DRIFTS, **LAST}), site.play("--diff"))
    yield found
    site.root("rm -rf /etc/systemd/system/nginx.service.d /root/acl /root/redis-shop-cache.conf")
    site.root("systemctl daemon-reload")


@pytest.mark.parametrize("kind", [*DRIFTS, *LAST])
def test_it_is_put_right(story, kind):
    assert story.altered[kind] != story.before[kind], "the drift was none"
    assert story.after[kind] == story.before[kind]


def test_another_run_changes_nothing(story):
    assert story.again.changed() == [], story.again.output[-6000:]


def test_the_site_answers_again(site, story):
    assert site.ask("/health/ready").status == 200


def test_what_somebody_added_beside_it_stays(site, story):
    assert "A=1" in site.root("systemctl show -P Environment nginx")
