"""Visits that are under way when a deploy begins and go on until a file appears; print what came of each as JSON.

A WebSocket that sends a line and reads one again and again, a POST whose body comes byte by byte, an answer that is
read byte by byte; or, with a CROWD, that many requests at once, more than the app has threads, so that most wait.
"""

import json
import os
import selectors
import socket
import sys
import threading
import time

SOCKET, STOP, CROWD = sys.argv[1], sys.argv[2], int(sys.argv[3])
PAUSE_SECONDS = 0.05


def connect():
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(60)
    stream.connect(SOCKET)
    return stream


def request(head, body=b""):
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{length}\r\n".encode()


def release_in(text):
    """The release that answered with 200."""
    head, _separator, body = text.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise ValueError(head.decode()[:100] or "nothing")
    return json.loads(body)["release"]


def answer(stream):
    text = b""
    while part := stream.recv(65536):
        text += part
    return release_in(text)


def websocket():
    stream = connect()
    stream.sendall(b"GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    lines = stream.makefile("rwb", buffering=0)
    while lines.readline().strip():
        pass
    releases, count = set(), 0
    while not os.path.exists(STOP):
        lines.write(b"hello\n")
        releases.add(lines.readline().decode().strip())
        count += 1
        time.sleep(PAUSE_SECONDS)
    stream.shutdown(socket.SHUT_WR)
    return {"releases": sorted(releases), "lines": count}


def slow_body():
    stream, body = connect(), b"x" * 100_000
    stream.sendall(request("POST /echo", body))
    sent = 0
    while not os.path.exists(STOP):
        stream.sendall(body[sent : sent + 1])
        sent += 1
        time.sleep(PAUSE_SECONDS)
    stream.sendall(body[sent:])
    return {"releases": [answer(stream)]}


def slow_reader():
    stream, text = connect(), b""
    stream.sendall(request("GET /echo"))
    while not os.path.exists(STOP):
        text += stream.recv(1)
        time.sleep(PAUSE_SECONDS)
    text += stream.recv(65536)
    return {"releases": [json.loads(text.partition(b"\r\n\r\n")[2])["release"]]}


def crowd():
    """All connect at once, and each waits for its turn. Like nginx, each closes as soon as it has its answer."""
    waiting, texts, releases = selectors.DefaultSelector(), {}, {}
    for _number in range(CROWD):
        stream = connect()
        texts[stream] = b""
        stream.sendall(request("GET /wait/250"))
        waiting.register(stream, selectors.EVENT_READ)
    while texts:
        ready = waiting.select(60)
        if not ready:
            raise TimeoutError(f"{len(texts)} without an answer")
        for key, _events in ready:
            stream = key.fileobj
            part = stream.recv(65536)
            texts[stream] += part
            if not part:
                waiting.unregister(stream)
                stream.close()
                release = release_in(texts.pop(stream))
                releases[release] = releases.get(release, 0) + 1
    return {"releases": releases, "ended": time.time()}


def note(found, visit):
    try:
        found[visit.__name__] = visit()
    except Exception as error:
        found[visit.__name__] = {"failed": f"{type(error).__name__}: {error}"}


def main():
    found = {}
    visits = [crowd] if CROWD else [websocket, slow_body, slow_reader]
    threads = [threading.Thread(target=note, args=(found, visit)) for visit in visits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(found))


main()
