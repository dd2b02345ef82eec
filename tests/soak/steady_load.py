"""An open loop of requests: each has a moment at which it is meant to be sent, whatever became of those before it.

  steady_load.py ADDRESS NAME RATE CONNECTIONS FILE     until its standard input is closed

Keep-alive connections over TLS that never retry; every other request is a POST. A line per request in FILE: the moment
it was meant for (seconds since the epoch), milliseconds from that moment to the last byte of the answer, the method,
what came of it (the status, or the name of an exception) and the release that answered.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "hosts"))

from probe import Connection  # noqa: E402

ORDER = json.dumps({"product": "none-of-that-name"}).encode()
# The app's own answers: it has looked in its database and knows no such product.
EXPECTED = {"GET": "200", "POST": "404"}


def ask(connection: Connection, method: str) -> tuple[str, str]:
    try:
        if method == "GET":
            connection.request("GET", "/health")
        else:
            connection.request("POST", "/orders", body=ORDER, headers={"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return str(answer.status), answer.headers.get("X-Release", "-")
    except Exception as error:
        connection.close()
        return type(error).__name__, "-"


def visit(place: tuple[str, str], number: int, pace: tuple[float, float, int], stop: threading.Event,
          lines: list[str]) -> None:
    began, rate, count = pace
    connection = Connection(place[0], 443, place[1], 60)
    turn = 0
    while not stop.is_set():
        moment = began + (number + turn * count) / rate
        time.sleep(max(0.0, moment - time.time()))
        method = ("GET", "POST")[(number + turn) % 2]
        outcome, release = ask(connection, method)
        lines.append(f"{moment:.4f} {(time.time() - moment) * 1000:.2f} {method} {outcome} {release}")
        turn += 1
    connection.close()


def main() -> None:
    address, name, rate, count, path = sys.argv[1:]
    if os.geteuid() == 0:
        os.nice(-10)  # its own waiting for a processor would be taken for the site's
    stop = threading.Event()
    lines: list[str] = []
    pace = (time.time() + 1, float(rate), int(count))
    threads = [threading.Thread(target=visit, args=((address, name), number, pace, stop, lines), daemon=True)
               for number in range(int(count))]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join(65)
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
