"""The order of a recording: turns, effects and commands as they begin, handed on to the writer.

Whoever does something appends it here, which takes a microsecond and no lock; JSON and disk are the writer's. What
is still under way keeps its place and is written when it is done. Beyond `MAX_WAITING` entries, or when the writer
fails, the recording ends with its reason and the process goes on without.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from actors.recording.failures import Failure, failure_of
from core.clock import Clock
from schema.witness import witness

MAX_WAITING = 200_000
"""Entries the writer may be behind."""
ORDER_WAIT_S = 0.25
COMMAND_WAIT_S = 2.0
"""How long an actor's store call, and a command, waits for the one before it, so that their order is certain.

Then it goes ahead, and both are marked.
"""


class Call:
    """A call over the edge; result and error are set when it returns."""

    __slots__ = ("arguments", "error", "name", "news", "result")

    def __init__(self, name: str, arguments: object) -> None:
        self.name = name
        self.arguments = arguments
        self.result: object = None
        self.news: list[object] = []
        self.error: Failure | None = None


class Turn:
    __slots__ = ("actor", "at", "calls", "done", "error", "life", "message", "readings")

    def __init__(self, actor: str, life: int, message: object, at: datetime) -> None:
        self.actor = actor
        self.life = life
        self.message = message
        self.at = at
        self.readings: list[float] = []
        self.calls: list[Call] = []
        self.error: str | None = None
        self.done = False


class Deed:
    """Work on the store, or a coroutine's outcome; `id` empty: a command from outside."""

    __slots__ = (
        *("at", "calls", "done", "error", "id", "late"),
        *("process_s", "process_until_s", "result", "times", "until"),
    )

    def __init__(self, id_: str, at: datetime, process_s: float) -> None:
        self.id = id_
        self.at = self.until = at
        self.process_s = self.process_until_s = process_s
        self.times: list[datetime] = []
        self.calls: list[Call] = []
        self.result: object = None
        self.error: Failure | None = None
        self.late = False
        self.done = False


class Outside:
    __slots__ = ("actor", "message")
    done = True

    def __init__(self, actor: str, message: object) -> None:
        self.actor = actor
        self.message = message


class Stopping:
    __slots__ = ("mode",)
    done = True

    def __init__(self, mode: str) -> None:
        self.mode = mode


Item = Turn | Deed | Outside | Stopping


class _Here(threading.local):
    """What this thread is in the middle of."""

    turn: Turn | None = None
    deed: Deed | None = None
    beyond = False


class Tape:
    def __init__(
        self, clock: Clock, on_end: Callable[[str], None], *, beside: frozenset[str] = frozenset()
    ) -> None:
        """`on_end` is told, from any thread, why the recording ended early.

        `beside`: actors of which nothing is recorded but their supervision. They keep market time, which is recorded
        as it was read, or what no tick looks at: keys, notices, alerts, settings.
        """
        self.beside = beside
        self.waiting: deque[Item] = deque()
        self.before: dict[str, Callable[[], list[object]]] = {}
        """Per actor: hands over, at the beginning of a turn, what came from outside since the last one."""
        self.problem: str | None = None
        self._clock = clock
        self._on_end = on_end
        self._here = _Here()
        self._order = threading.Lock()
        self._first = Deed("", clock.now(), 0.0)  # whose turn at the store it is
        self.on = True

    def append(self, item: Item) -> None:
        if not self.on:
            return
        if len(self.waiting) >= MAX_WAITING:
            self.give_up(f"the writer was {MAX_WAITING} entries behind")
            return
        self.waiting.append(item)

    def give_up(self, why: str) -> None:
        """End the recording here; what is already on the tape is still written."""
        if self.on:
            self.on = False
            self.problem = why
            self._on_end(why)

    # -- turns ----------------------------------------------------------------------------------

    @property
    def turn(self) -> Turn | None:
        """The turn this thread is in."""
        return self._here.turn

    def begin(self, actor: str, life: int, message: object) -> Turn:
        turn = Turn(actor, life, message, self._clock.now())
        before = self.before.get(actor)
        if before is not None:
            news = before()
            if news:
                told = Call("news", [])
                told.news = news
                turn.calls.append(told)
        self._here.turn = turn
        self.append(turn)
        return turn

    def end(self, turn: Turn, error: BaseException | None) -> None:
        self._here.turn = None
        if error is not None:
            turn.error = type(error).__name__
        turn.done = True

    @contextmanager
    def beyond(self) -> Iterator[Turn | None]:
        """On the other side of the edge: what happens there is no part of the turn."""
        here = self._here
        turn, here.turn, here.beyond = here.turn, None, True
        try:
            yield turn
        finally:
            here.turn, here.beyond = turn, False

    @property
    def calling(self) -> bool:
        """Whether this thread is beyond the edge, in a call of one of its turns."""
        return self._here.beyond

    # -- the store ------------------------------------------------------------------------------

    @property
    def deed(self) -> Deed | None:
        return self._here.deed

    @contextmanager
    def doing(self, id_: str) -> Iterator[Deed]:
        """One piece of work on the store, apart from all others, so that their order is the one on the tape."""
        first = self._order.acquire(timeout=ORDER_WAIT_S if id_ else COMMAND_WAIT_S)
        deed = Deed(id_, self._clock.now(), self._clock.monotonic())
        if first:
            self._first = deed
        else:
            deed.late = self._first.late = True
        self._here.deed, witness.times = deed, deed.times
        self.append(deed)
        try:
            yield deed
        except BaseException as error:
            deed.error = failure_of(error)
            raise
        finally:
            self._here.deed = witness.times = None
            deed.until, deed.process_until_s = self._clock.now(), self._clock.monotonic()
            deed.done = True
            if first:
                self._order.release()

    def came_back(self, id_: str, result: object, error: BaseException | None) -> None:
        """The outcome of a coroutine, or of work that never began."""
        deed = Deed(id_, self._clock.now(), self._clock.monotonic())
        deed.result = result
        deed.error = None if error is None else failure_of(error)
        deed.done = True
        self.append(deed)
