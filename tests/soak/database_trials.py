"""PostgreSQL by itself: its settings beside the distribution's, and an upgrade of its version there and back."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import host as test_hosts
from remote import Remote

Say = Callable[[str], None]
PAIRS, SCALE, CLIENTS, SECONDS = 9, 30, 4, 6
MODES = {"select-only": "-S", "tpc-b": ""}
PLAYBOOK = """
- hosts: all
  become: true
  gather_facts: false
  roles: [{}]
"""
BACKUP_KEY = "Zq7-wr2_Xp9-m4K-Zq7-wr2_Xp9-m4K"
ROWS = 100_000
BENCH = f"runuser -u postgres -- pgbench -h /run/postgresql -n -c {CLIENTS} -j 2 -T {SECONDS} {{}} bench"
# The older version's packages of one suite, on a host of a newer one.
OLDER = """
printf 'Types: deb\\nURIs: http://deb.debian.org/debian\\nSuites: bookworm\\nComponents: main\\nSigned-By: %s\\n' \\
  /usr/share/keyrings/debian-archive-keyring.gpg > /etc/apt/sources.list.d/bookworm.sources
"""


def play(name: str, roles: list[str], **variables: Any) -> None:
    """Apply roles of this collection to a test host."""
    folder = test_hosts.STATE
    inventory, playbook = folder / f"{name}-inventory.json", folder / f"{name}-playbook.yml"
    inventory.write_text(json.dumps(test_hosts.inventory([name])), encoding="utf-8")
    playbook.write_text(PLAYBOOK.format(", ".join(f"ringstand.flask.{role}" for role in roles)), encoding="utf-8")
    command = ["ansible-playbook", "-i", str(inventory), str(playbook), "-e", json.dumps(variables)]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    inventory.unlink()
    playbook.unlink()
    if done.returncode:
        sys.exit(f"soak: Failed to converge {name}:\n{done.stdout[-3000:]}")


def pgbench(remote: Remote, count: int, say: Say) -> Iterator[dict[str, Any]]:
    """Yields, for each kind of load, transactions per second with the role's settings and without, by turns."""
    play(remote.name, ["postgresql"], postgresql_databases=[{"name": "bench", "owner": "postgres"}])
    own = remote.must("ls /etc/postgresql/*/main/conf.d/50-ringstand.conf")
    unit = remote.must("systemctl list-units --plain --no-legend 'postgresql@*' | cut -d' ' -f1")
    remote.must(f"runuser -u postgres -- pgbench -h /run/postgresql -q -i -s {SCALE} bench")
    found: dict[str, dict[str, list[float]]] = {mode: {"role": [], "distribution": []} for mode in MODES}
    for number in range(PAIRS):
        for who in ("distribution", "role") if number % 2 else ("role", "distribution"):
            move = f"mv {own} /root/kept.conf" if who == "distribution" else "true"
            remote.must(f"{move}; systemctl restart {unit}; sleep 1; runuser -u postgres -- psql -Xqc CHECKPOINT")
            remote.must(BENCH.format("-S"))  # fills the server's buffers, which are empty after a restart; not counted
            for mode, option in MODES.items():
                text = remote.must(BENCH.format(option))
                tps = float(next(line for line in text.splitlines() if line.startswith("tps")).split()[2])
                found[mode][who].append(round(tps, 1))
                say(f"{mode}, settings of the {who}: {tps:.0f} transactions a second")
            if who == "distribution":
                remote.must(f"mv /root/kept.conf {own}")
    for mode, measured in list(found.items())[:count]:
        medians = {who: statistics.median(values) for who, values in measured.items()}
        ratio = round(medians["role"] / medians["distribution"], 3)
        yield {"load": mode, "passed": ratio >= 1, "ratio": ratio, "medians": medians, "measured": measured}


def upgrade(remote: Remote, count: int, say: Say) -> Iterator[dict[str, Any]]:
    """Yields the outcome of each way: a refusal, there, back, and there again."""
    remote.must(OLDER)
    play(
        remote.name, ["cli", "postgresql", "backup"], postgresql_version="15", backup_key=BACKUP_KEY,
        postgresql_extra_packages=["postgresql-17"], postgresql_roles=[{"name": "shop"}],
        postgresql_databases=[{"name": "shop", "owner": "shop", "extensions": ["pg_trgm"]}],
        postgresql_managed_settings={"archive_mode": True, "wal_level": "replica", "archive_timeout": 30,
                                     "archive_command": "pgbackrest --stanza=main archive-push %p"},
        backup_key_escrow_dir=str(test_hosts.STATE / "backup-keys"),
    )  # fmt: skip
    remote.must("while systemctl is-active --quiet ringstand-backup; do sleep 1; done")
    sql = "runuser -u postgres -- psql -XAtqw -h /run/postgresql -d shop -c"
    remote.must(f"{sql} 'CREATE TABLE visits AS SELECT generate_series(1, {ROWS}) AS n'")
    there, back = "--to=17 --confirm=$(hostname)", "--rollback --confirm=$(hostname)"
    for words, options, version, breaks in (
        ("a setting that the new version does not know", there, "15", "vacuum_defer_cleanup_age = 0"),
        ("there", there, "17", ""),
        ("back", back, "15", ""),
        ("there again", there, "17", ""),
    )[:count]:
        drop_in = "/etc/postgresql/15/main/conf.d/99-mine.conf"
        if breaks:
            remote.must(f"echo '{breaks}' > {drop_in}")
        done = remote.run(f"ringstand --json upgrade {options}", seconds=900)
        if breaks:
            remote.must(f"rm {drop_in}")
        answer = json.loads(done.output.splitlines()[-1])
        query = "SELECT current_setting('server_version_num')::int / 10000, count(*) FROM visits"
        facts = remote.must(f'{sql} "{query}"')
        backed_up = remote.run("ringstand backup", seconds=900).code == 0
        good = facts == f"{version}|{ROWS}" and backed_up and (done.code != 0 if breaks else done.code == 0)
        say(f"{words}: {'passed' if good else done.output[-500:]}")
        yield {"way": words, "passed": good, "downtime_seconds": answer.get("downtime_seconds"),
               "problems": answer.get("problems") or [], "reason": answer.get("reason", "")[:300]}
