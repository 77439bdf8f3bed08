"""Readers of an event stream for `bench streams`: those that take nothing, and one that comes and goes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from bin.commands.bench_streams_world import TIMEOUT_S, USERS, connect, reader_headers
from core.errors import RunnerError

SMALL_BUFFER: Final = 4_096
EVENTS_A_VISIT: Final = 25
KEPT_EVERY_S: Final = 1.0


class Stalled:
    """Readers of the whole log that take its first bytes and no more, kept at their number."""

    def __init__(self, address: str, readers: int) -> None:
        self._address = address
        self._sockets = [self._open(number) for number in range(readers)]
        self._over = threading.Event()
        self.closed = 0
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Stalled:
        self._keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._keeper.join(TIMEOUT_S)
        for each in self._sockets:
            each.close()

    def _open(self, number: int) -> socket.socket:
        parts = urlsplit(self._address)
        opened = socket.socket()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        opened.settimeout(TIMEOUT_S)
        opened.connect((parts.hostname, parts.port))
        headers = [f"{name}: {value}" for name, value in reader_headers(number).items()]
        lines = ("GET /api/events/stream?lastEventId=0 HTTP/1.1", f"Host: {parts.netloc}", *headers)
        opened.sendall("\r\n".join((*lines, "", "")).encode())
        if not opened.recv(12).endswith(b"200"):
            raise RunnerError("A stream was refused; the measurement means nothing.")
        return opened

    def _keep(self) -> None:
        """A reader that was cut off is told so by a reset; it comes back as before."""
        while not self._over.wait(KEPT_EVERY_S):
            for number, each in enumerate(self._sockets):
                if each.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or _is_closed(each):
                    each.close()
                    self.closed += 1
                    self._sockets[number] = self._open(number)


class Visitor:
    """Hears a few events, goes, and comes back with its cursor."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._over = threading.Event()
        self._cursor: str | None = None
        self.heard: list[int] = []
        self.visits = 0

    @contextmanager
    def visiting(self) -> Iterator[None]:
        self._over.clear()
        thread = threading.Thread(target=self._visit, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(2 * TIMEOUT_S)

    def log(self) -> list[int]:
        """The log from its beginning to the last event that was heard, read in one piece."""
        found = []
        for each in _ids(self._address, "0", threading.Event()):
            found.append(each)
            if not self.heard or each >= self.heard[-1]:
                break
        return found

    def _visit(self) -> None:
        while not self._over.is_set():
            self.visits += 1
            for heard in _ids(self._address, self._cursor or "0", self._over):
                self._cursor = str(heard)
                self.heard.append(heard)
                if len(self.heard) % EVENTS_A_VISIT == 0:
                    break


def _is_closed(opened: socket.socket) -> bool:
    """Whether the other side has ended it: known by its state, as reading would be taking."""
    info = opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return info[0] != 1  # TCP_ESTABLISHED


def _ids(address: str, cursor: str, over: threading.Event) -> Iterator[int]:
    """Ids of events after the cursor, until there is none for a while or it is over."""
    line = connect(address)
    line.request("GET", f"/api/events/stream?lastEventId={cursor}", headers=reader_headers(USERS - 1))
    answer = line.getresponse()
    try:
        opened = False
        while not over.is_set():
            text = answer.readline()
            if not text:
                return
            if text.startswith(b"id: "):
                if opened:
                    yield int(text[4:])
                opened = True
    except TimeoutError:
        return
    finally:
        line.close()
