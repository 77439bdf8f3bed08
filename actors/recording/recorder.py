"""A recording of one live process, from before its actors start until they have stopped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from actors.feed import Feed
from actors.recording.code_runners import JUDGE, JUDGE_AGAIN, recorded_code
from actors.recording.entries import FORMAT, Header
from actors.recording.outcome import outcome_of
from actors.recording.recorded_edges import RecordedFeed, recorded_store, recorded_venues
from actors.recording.recorded_runtime import RecordedClock, RecordedEffects, RecordedShell
from actors.recording.tape import Outside, Stopping, Tape
from actors.recording.writer import Writer, make_room
from actors.runtime.dead_letters import Reports, Sink
from actors.runtime.system import ActorSystem
from actors.system import Parts
from core.clock import Clock
from core.errors import RunnerError
from core.risk import RiskLimits
from core.timeframe import Timeframe
from exchanges.feeds.base import NoCandles
from schema.records import Node
from schema.snapshot import Snapshot, read_snapshot
from schema.store import Store, StoreUnavailable


class Recorder:
    """Given to a service, which calls `begin` once, then the others as things happen."""

    def __init__(self, directory: Path, *, limits: RiskLimits, sink: Sink) -> None:
        """`limits`: of users who have none of their own."""
        self._directory = directory
        self._limits = limits
        self._sink = sink
        self._shared_with: dict[str, None] = {}
        self._tape: Tape
        self._writer: Writer
        self._header: Header
        self._store: Store

    def begin(self, system: ActorSystem, parts: Parts, clock: Clock, beside: Sequence[str]) -> Parts:
        """The parts to start the actors with. Raises RunnerError where nothing can be recorded.

        `beside`: the actors that start after those of `actors.system`, in order.
        """
        self._store = parts.store
        self._tape = Tape(clock, self._ended_early, beside=frozenset(beside))
        snapshot = read_snapshot(parts.store, self._limits, clock.monotonic)
        self._header = _header(parts, clock.now(), snapshot, beside)
        folder = self._directory / f"{clock.now():%Y%m%dT%H%M%S}-{parts.options.worker}"
        try:
            make_room(self._directory)
            self._writer = Writer(_unused(folder), self._header, self._tape, clock)
        except OSError as error:
            raise RunnerError(f"Nothing can be recorded in {self._directory}: {error.strerror}.") from error
        system.make_shell = partial(RecordedShell, self._tape)
        system.effects = RecordedEffects(system.effects, self._tape)
        system.clock = RecordedClock(clock, self._tape)
        system.reports = Reports(self._sink, clock.monotonic)  # its readings are no part of any turn
        shadows = parts.shadows
        return replace(
            parts,
            store=recorded_store(parts.store, self._tape),
            feed=RecordedFeed(parts.feed, self._tape),
            code=None if parts.code is None else recorded_code(JUDGE, parts.code, self._tape),
            shadows=None
            if shadows is None
            else replace(shadows, again=recorded_code(JUDGE_AGAIN, shadows.again, self._tape)),
            venues=lambda make: recorded_venues(parts.venues(make), self._tape, partial(self.tell, system)),
            on_nodes=partial(self._saw, parts),
        )

    def outside(self, actor: str, message: object) -> None:
        """`message` is about to be told to `actor` by somebody who is none."""
        if actor not in self._tape.beside:
            self._tape.append(Outside(actor, message))

    def tell(self, system: ActorSystem, actor: str, message: object) -> None:
        """From outside, where the actor may be gone."""
        self.outside(actor, message)
        try:
            system.ref(actor).tell(message)
        except LookupError:
            return  # gone meanwhile, and with it whoever listened

    def stopping(self, mode: str) -> None:
        self._tape.append(Stopping(mode))

    def finish(self) -> None:
        """After the actors: what they left behind, and the end of the recording."""
        outcome = None
        if self._tape.on:
            try:
                snapshot = self._header.snapshot
                outcome = outcome_of(self._store, snapshot, self._header.at, snapshot.last_event)
            except StoreUnavailable as error:
                self._tape.give_up(str(error))
        if not self._writer.close(outcome, tuple(self._shared_with)):
            self._sink("recording_not_ended", {"directory": str(self._directory)})

    def _saw(self, parts: Parts, nodes: Sequence[Node]) -> None:
        parts.on_nodes(nodes)
        self._shared_with.update({node.id: None for node in nodes if node.id != parts.options.node})

    def _ended_early(self, why: str) -> None:
        self._sink("recording_ended_early", {"directory": str(self._directory), "why": why})


def _header(parts: Parts, at: datetime, snapshot: Snapshot, beside: Sequence[str]) -> Header:
    feed: Feed = parts.feed
    symbols = feed.symbols()
    return Header(
        format=FORMAT,
        at=at,
        options=parts.options,
        origin=feed.origin,
        venues=feed.venues,
        holds_future=feed.holds_future,
        markets={symbol: feed.market(symbol) for symbol in symbols},
        finest={symbol: timeframe for symbol in symbols if (timeframe := _finest(feed, symbol)) is not None},
        funding={symbol: feed.funding(symbol) for symbol in symbols},
        rules=parts.rules,
        snapshot=snapshot,
        beside=tuple(beside),
        runs_code=parts.code is not None,
        shadow_pct=None if parts.shadows is None else parts.shadows.share_pct,
    )


def _finest(feed: Feed, symbol: str) -> Timeframe | None:
    """None: nothing covers the whole span, so nobody will ask."""
    try:
        return feed.finest(symbol)
    except NoCandles:
        return None


def _unused(folder: Path) -> Path:
    """Market time may stand still: a second process, or a second start, gets a name of its own."""
    number, free = 1, folder
    while free.exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free
