"""PostgreSQL by itself: its settings beside the distribution's."""

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
BENCH = f"runuser -u postgres -- pgbench -h /run/postgresql -n -c {CLIENTS} -j 2 -T {SECONDS} {{}} bench"


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
