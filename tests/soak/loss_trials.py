"""A whole host is lost, and one playbook makes a fresh one of it: from another host and the key on the controller.

The app is examples/shop, which counts visits in PostgreSQL and in Redis. What is committed 60 s before the loss has to
be there; uploads and what Redis keeps, as of the last backup.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import host as test_hosts
from probe import ask
from remote import Remote
from steps import CHECKOUT, NAME, Place

RECOVER = CHECKOUT / "playbooks" / "recover.yml"
WAIT_SECONDS = 60
# As the README tells it.
STORE = """
id ringstand >/dev/null 2>&1 || useradd --system --create-home --shell /usr/sbin/nologin ringstand
install -d -o ringstand -m 0700 /backups
mkdir -p ~ringstand/.ssh
echo 'restrict,command="internal-sftp" {key}' > ~ringstand/.ssh/authorized_keys
"""


# An S3-compatible service, which keeps what it gets in its memory; nginx before it, for its own TLS is cut short.
BUCKETS = """
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends curl nginx openssl python3-venv \\
  > /dev/null 2>&1
cd /etc/ssl
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=store \\
  -addext subjectAltName=IP:{address} -keyout store.key -out store.pem 2> /dev/null
python3 -m venv /opt/moto
/opt/moto/bin/pip --quiet --disable-pip-version-check --cert /etc/ssl/certs/ca-certificates.crt \\
  install 'moto[s3,server]==5.2.5'
systemd-run --quiet --unit=store /opt/moto/bin/moto_server -H 127.0.0.1 -p 5000
cat > /etc/nginx/conf.d/store.conf << 'END'
server {{
  listen {port} ssl; ssl_certificate /etc/ssl/store.pem; ssl_certificate_key /etc/ssl/store.key; client_max_body_size 0;
  location / {{ proxy_pass http://127.0.0.1:5000; proxy_set_header Host $http_host; }}
}}
END
systemctl reload nginx
put='curl -fsS --cacert store.pem -X PUT https://{address}:{port}/backups'
timeout 30 sh -c "until $put; do sleep 0.5; done" > /dev/null 2>&1
"""
S3_PORT = 9000


def repository(store: Remote, directory: Path, kind: str) -> dict[str, Any]:
    """Make an account on the store; returns backup_repository for it, of type ssh, sftp or s3."""
    if kind == "s3":
        address = test_hosts.find(store.name).address
        store.must(BUCKETS.format(address=address, port=S3_PORT))
        return {"type": kind, "endpoint": f"{address}:{S3_PORT}", "bucket": "backups", "region": "eu-central-1",
                "path_style": True, "access_key": "of-the-shop", "secret_key": "of/the+shop",
                "ca_certificate": store.must("cat /etc/ssl/store.pem")}
    key = directory / "backup_key"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    store.must(STORE.format(key=key.with_suffix(".pub").read_text().strip()))
    address = test_hosts.find(store.name).address
    public = store.must("cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub")
    return {"type": kind, "host": address, "user": "ringstand", "path": "/backups",
            "private_key": key.read_text(), "known_hosts": [f"{address} {public}"]}


def visit(place: Place) -> dict[str, int]:
    """Look at the shop once; what it counts."""
    page = ask(place.host.address, NAME, "/").body.decode()
    found = {kind: re.search(rf'id="visits-{kind}">(\d+)<', page) for kind in ("database", "redis")}
    return {kind: int(match[1]) for kind, match in found.items() if match}


def run(place: Place, store: Remote, kind: str, count: int, say: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Yield what came of each loss."""
    place.variables["backup_repository"] = repository(store, place.work, kind)
    say("setting the first host up")
    place.play()
    place.wait_for_background()
    for number in range(count):
        yield one(place, number, say)


def one(place: Place, number: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Visits, a backup, more visits, a minute, and then the host is gone."""
    mark = f"upload {number}"
    for _visit in range(3):
        visit(place)
    place.root(f"echo {mark} > /srv/shop/shared/upload-{number} && chown shop: /srv/shop/shared/upload-{number}")
    kept = visit(place)
    place.root("ringstand backup")
    last = visit(place)
    secrets = place.root("sha256sum < /var/lib/ringstand/secrets/shop.json")
    time.sleep(WAIT_SECONDS)
    say(f"loss {number + 1}: {last['database']} visits, the host is removed")
    place.remove()
    place.start()
    began = time.monotonic()
    place.play(RECOVER)
    seconds = round(time.monotonic() - began, 1)
    now = visit(place)
    place.wait_for_background()
    problems = [
        *([] if now["database"] == last["database"] + 1 else [f"visits went on with {now}, not after {last}"]),
        *([] if now["redis"] > kept["redis"] else [f"Redis went on with {now}, not after {kept}"]),
        *([] if place.root("sha256sum < /var/lib/ringstand/secrets/shop.json") == secrets else ["other secrets"]),
        *([] if mark in place.root(f"cat /srv/shop/shared/upload-{number}") else ["the upload is not there"]),
        *([] if place.root("stat -c %U /srv/shop/shared/upload-*").split()[0] == "shop" else ["another owner"]),
    ]
    place.root("ringstand backup")
    state = place.root("ringstand backups || true")
    problems += [line for line in state.splitlines() if line.startswith("NOT GOOD")]
    again = place.play(RECOVER)
    if "Say what is back" in again.output and "recovered_to" in again.output:
        problems.append("a second run recovered again")
    case = {"before": last, "after": now, "recover_seconds": seconds, "passed": not problems, "reason": problems}
    say(f"loss {number + 1}: {'passed' if not problems else 'FAILED'} {case}")
    return case
