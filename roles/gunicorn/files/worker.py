import contextlib
import os
import select
import socket
import time
from concurrent import futures

from gunicorn.workers import gthread


class SlotWorker(gthread.ThreadWorker):
    """gunicorn's gthread, whose threads take their connections themselves.

    nginx opens one for each request, because one that is kept would lead to the old release after a switch. gthread is
    made for connections that stay: its main thread takes all that come, passes each to another thread and waits until
    it is closed. Here what no thread is free for waits in the listener, for whichever worker is free first, and is not
    lost with a worker that dies.
    """

    def run(self):
        self.waiting = select.epoll()
        stop, self.stopping = os.pipe()
        self.waiting.register(stop, select.EPOLLIN)
        for listener in self.sockets:
            listener.setblocking(False)
            self.waiting.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        self.names = [listener.getsockname() for listener in self.sockets]
        try:
            threads = [self.tpool.submit(self.serve) for _number in range(self.cfg.threads)]
            while self.alive and self.is_parent_alive():
                self.notify()
                self.sleep()
        finally:
            self.alive = False
            os.write(self.stopping, b".")  # never read, so that it wakes every thread
        for _second in range(self.cfg.graceful_timeout):
            self.notify()
            if not futures.wait(threads, timeout=1).not_done:
                break

    def sleep(self):
        """For a second, or until there is a signal or a thread has ended."""
        if select.select([self.PIPE[0]], [], [], 1)[0]:
            os.read(self.PIPE[0], 4096)

    def handle_exit(self, sig, frame):
        self.alive = False

    def serve(self):
        try:
            while self.alive:
                if not any(self.take(listener, name) for listener, name in zip(self.sockets, self.names)):
                    self.waiting.poll(maxevents=1)
        except Exception:
            self.log.exception("A thread of the worker failed")
        finally:
            # After max_requests too, or when the app calls sys.exit(): the worker is replaced.
            self.alive = False
            os.write(self.PIPE[1], b".")

    def take(self, listener, name):
        """Answer the next request, if there is one."""
        try:
            sock, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        connection = gthread.TConn(self.cfg, sock, client, name)
        connection.data_ready = True  # nginx sends what it has as soon as it is connected
        try:
            connection.init()
            self.handle(connection)
        finally:
            with contextlib.closing(sock), contextlib.suppress(OSError):
                self.wait_for_rest(connection.parser, sock)
        return True

    def wait_for_rest(self, parser, sock):
        """What the app has not read of a body: nginx might not read the answer when it cannot send all."""
        request = parser and parser.mesg
        if request and any(name in ("CONTENT-LENGTH", "TRANSFER-ENCODING") for name, _value in request.headers):
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(1)
            deadline = time.monotonic() + 2
            while sock.recv(65536) and time.monotonic() < deadline:
                pass
