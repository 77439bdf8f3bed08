"""`bench streams`: does a service tick as fast beside stalled readers of its event stream, does a cursor lose nothing.

In every round three stretches of the same length: without readers, with them, without them once more. Each stalled
reader asks for the whole log, takes the first bytes and no more; whoever is cut off is replaced. Then, beside as many
of them, one reader goes away every few events and comes back with its cursor; what it heard is compared with the log,
read in one piece.
"""

from __future__ import annotations

import http.client
import json
import math
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from actors.demo import demo_of
from actors.demo_source import demo_source
from bin.drill.node import Node, settings_of
from bin.drill.world import make_world
from core.errors import RunnerError
from core.risk import RiskLimits
from facade.settings_file import load_settings
from facade.tokens import issue
from schema.embedded import EmbeddedPostgres
from schema.migrate import migrate
from schema.pg import PgStore

SECRET: Final = "a-secret-of-this-measurement-alone-0123456789"  # noqa: S105 (of a service that ends with it)
USERS: Final = 10
STARTED_WITHIN_S: Final = 90.0
STOPPED_WITHIN_S: Final = 40.0
TIMEOUT_S: Final = 20.0
SPEED: Final = 60.0
"""A slot a second: what comes between one close and the next is not measured."""
LEASE_S: Final = 120.0
BEFORE_MIDNIGHT: Final = timedelta(hours=20)
FILLED_WITHIN_S: Final = 2.0
"""Until each stalled reader has been sent all that its connection takes."""
SMALL_BUFFER: Final = 4_096
EVENTS_A_VISIT: Final = 25


def measure(*, readers: int, seconds: float, rounds: int, runs: int) -> dict[str, Any]:
    """Raises RunnerError where the service does not start or tells nothing."""
    with ExitStack() as stack:
        address = stack.enter_context(_service(runs))
        _stretch(address, seconds)  # whatever a process does but once
        alone: list[float] = []
        again: list[float] = []
        beside: list[float] = []
        closed = 0
        visitor = Visitor(address)
        for number in range(1, rounds + 1):
            _say(f"Round {number} of {rounds} …")
            alone += _stretch(address, seconds)
            with Stalled(address, readers) as stalled:
                time.sleep(FILLED_WITHIN_S)
                beside += _stretch(address, seconds)
                closed += stalled.closed
            again += _stretch(address, seconds)
        _say("A reader that comes and goes …")
        with Stalled(address, readers), visitor.visiting():
            time.sleep(seconds)
        heard, logged = visitor.heard, _log_up_to(address, visitor.heard)
        if not heard:
            raise RunnerError("The service told no event while it was measured; give it more --seconds.")
    quiet_ms = _p99(alone + again)
    return {
        "readers": readers,
        "runs": runs,
        "alone": _figures(alone),
        "again": _figures(again),
        "besideStalled": _figures(beside),
        "p99Ratio": round(_p99(beside) / quiet_ms, 3),
        "spread": round(abs(_p99(alone) - _p99(again)) / quiet_ms, 3),
        "cutAndReplaced": closed,
        "visits": visitor.visits,
        "eventsHeard": len(heard),
        "eventsLost": len(set(logged) - set(heard)),
        "eventsRepeated": len(heard) - len(set(heard)),
        "inOrder": heard == sorted(heard),
    }


@contextmanager
def _service(runs: int) -> Iterator[str]:
    """Address of one process with so many one-minute runs."""
    with tempfile.TemporaryDirectory(prefix="bench-streams-") as made:
        folder = Path(made)
        folder.chmod(0o755)  # the database server may run as another user
        with EmbeddedPostgres(folder / "postgres") as server:
            migrate(server.owner_dsn)
            settings = settings_of(server.service_dsn, folder, LEASE_S) | {
                "JWT_SECRET": SECRET,
                "RUNNER_RATE_LIMIT_USER": "0",
                "RUNNER_RATE_LIMIT_ADDRESS": "0",
            }
            _say(f"Creating {runs:,} runs …")
            store = PgStore(server.service_dsn, default_limits=RiskLimits(), worker="bench")
            try:
                demo = demo_of(demo_source(None, folder, load_settings(environ=settings)).candles)
                make_world(store, demo, runs=runs, speed=SPEED, before_midnight=BEFORE_MIDNIGHT)
            finally:
                store.close()
            node = Node(1, folder, settings, SPEED)
            node.start(renamed=False)
            try:
                yield _address(node)
            finally:
                node.stop(STOPPED_WITHIN_S)


class Stalled:
    """Readers that take nothing, kept at their number."""

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
        lines = ("GET /api/events/stream?lastEventId=0 HTTP/1.1", f"Host: {parts.netloc}", *_headers(number))
        opened.sendall("\r\n".join((*lines, "", "")).encode())
        if not opened.recv(12).endswith(b"200"):
            raise RunnerError("A stream was refused; the measurement means nothing.")
        return opened

    def _keep(self) -> None:
        """A reader that was cut off is told so by a reset; it comes back as before."""
        while not self._over.wait(1.0):
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
    line = _connect(address)
    line.request("GET", f"/api/events/stream?lastEventId={cursor}", headers=dict(_pairs(USERS - 1)))
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


def _log_up_to(address: str, heard: list[int]) -> list[int]:
    """The log from its beginning to the last event that was heard, in one piece."""
    found = []
    for each in _ids(address, "0", threading.Event()):
        found.append(each)
        if not heard or each >= heard[-1]:
            break
    return found


def _stretch(address: str, seconds: float) -> list[float]:
    """Milliseconds from the candle to the row, of each tick in a stretch of time."""
    began = _market_time(address)
    time.sleep(seconds)
    took = list(_latencies(address, began))
    if not took:
        raise RunnerError("No run ticked while it was measured; give it more --seconds.")
    return took


def _p99(took: list[float]) -> float:
    return sorted(took)[math.ceil(len(took) * 0.99) - 1]


def _figures(took: list[float]) -> dict[str, Any]:
    p50 = sorted(took)[len(took) // 2]
    return {"ticks": len(took), "p50Ms": round(p50, 3), "p99Ms": round(_p99(took), 3)}


def _market_time(address: str) -> str:
    return str(_get(address, "/api/runner/status")["marketTime"])


def _latencies(address: str, since: str) -> Iterator[float]:
    cursor = ""
    while True:
        after = f"&cursor={cursor}" if cursor else ""
        page = _get(address, f"/api/runner/tick-runs?limit=200&since={since}{after}")
        yield from (tick["latencyMs"] for tick in page["ticks"] if tick["status"] in ("ok", "blocked"))
        cursor = page["nextCursor"] or ""
        if not cursor:
            return


def _get(address: str, path: str) -> dict[str, Any]:
    line = _connect(address)
    try:
        line.request("GET", path, headers=dict(_pairs(0)))
        answer = line.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RunnerError(f"{path} answered {answer.status}: {body[:200]!r}")
        found: dict[str, Any] = json.loads(body)
        return found
    finally:
        line.close()


def _connect(address: str) -> http.client.HTTPConnection:
    parts = urlsplit(address)
    return http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=TIMEOUT_S)


def _headers(number: int) -> list[str]:
    return [f"{name}: {value}" for name, value in _pairs(number)]


def _pairs(number: int) -> list[tuple[str, str]]:
    """Administrators, so that each stream holds everything; several, as one may have so many streams."""
    token = issue(
        secret=SECRET,
        user_id=f"reader-{number % USERS}",
        admin=True,
        now=datetime.now(UTC),
        ttl=timedelta(hours=1),
    )
    return [("Authorization", f"Bearer {token}")]


def _address(node: Node) -> str:
    patience_until = time.monotonic() + STARTED_WITHIN_S
    while time.monotonic() < patience_until:
        if node.ended is not None:
            break
        if node.address is not None:
            return node.address
        time.sleep(0.2)
    raise RunnerError(f"The demo did not start: {node.log.read_text()[-500:]}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
