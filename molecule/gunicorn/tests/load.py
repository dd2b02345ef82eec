"""Ask an app through its live socket, as nginx does, until a file appears; print what came of it as one JSON object.

load.py SOCKET FILE CLIENTS PAUSE, with the seconds that each client waits after an answer: a saturated machine would
only measure its own queue.

A client never retries: a request that gets no answer, or another one than 200, counts as failed.
"""

import collections
import http.client
import json
import os
import socket
import sys
import threading
import time

SOCKET, STOP, CLIENTS, PAUSE_SECONDS = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])


class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(40)
        self.sock.connect(SOCKET)


def client(number, releases, failures):
    turn = number
    while not os.path.exists(STOP):
        turn += 1
        connection = Connection("localhost")
        try:
            method, body = ("POST", b"x" * 2000) if turn % 2 else ("GET", None)
            connection.request(method, "/echo", body=body, headers={"Connection": "close"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status == 200:
                releases[json.loads(text)["release"]] += 1
            else:
                failures[str(answer.status)] += 1
        except Exception as error:
            failures[type(error).__name__] += 1
        finally:
            connection.close()
        time.sleep(PAUSE_SECONDS)


def main():
    releases, failures = collections.Counter(), collections.Counter()
    threads = [threading.Thread(target=client, args=(number, releases, failures)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"requests": sum(releases.values()), "releases": releases, "failures": failures}))


main()
