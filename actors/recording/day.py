"""A recorded day fed back through the same actors, entry by entry, up to the first difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast

import msgspec

from actors import messages, venue_calls
from actors.live.news import Connected, RulesRead, Swept, VenueLook
from actors.recording.canonical import same, text
from actors.recording.code_runners import JUDGE, JUDGE_AGAIN, replayed_code
from actors.recording.difference import Difference, first_leaf, named_in
from actors.recording.entries import (
    CommandEntry,
    EffectEntry,
    Entry,
    KeptCandles,
    Outcome,
    OutsideEntry,
    StopEntry,
    TurnEntry,
)
from actors.recording.failures import error_of
from actors.recording.outcome import hashes, outcome_of
from actors.recording.recording import Recording
from actors.recording.replayed_edges import Calls, CheckedStore, ReplayedVenues, replayed_feed
from actors.recording.replayed_runtime import (
    ReplayedClock,
    ReplayedEffects,
    ReplayedShell,
    ReplayedTimers,
    find,
    replayed_system,
)
from actors.recording.tick_inputs import TickInputs
from actors.runtime.behaviour import Behaviour
from actors.runtime.letter import Signal, Stop
from actors.runtime.ref import ShellRef
from actors.runtime.spec import ChildSpec, Intensity, StopMode, Supervision
from actors.runtime.system import ActorSystem
from actors.sandbox.judge import Verdict as CodeVerdict
from actors.strategy_watch import Shadows
from actors.system import BACKOFF, Parts, specs
from core.protection import Protection
from exchanges.base import Execution, OrderReport
from exchanges.paper.book import Opening
from schema.memory import MemoryStore
from schema.snapshot import load_snapshot
from schema.store import Store

Progress = Callable[[int, int], None]
"""Called with (entries done, entries in all)."""
PROGRESS_EVERY = 2_000


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`hashes` per kind of row, recorded and replayed; None where the replay did not go to the end."""

    recording: str
    began: datetime
    ended: datetime
    entries: int
    ticks: int
    identical: bool
    recorded_hashes: Mapping[str, str] | None = None
    replayed_hashes: Mapping[str, str] | None = None
    shared_with: tuple[str, ...] = ()
    """Other processes on the same database, whose doings are not in the recording."""
    problem: str | None = None
    """Why the recording ended before its process did."""
    difference: Difference | None = None


class StandIn(Behaviour):
    """In place of an actor of which nothing is recorded: market time is read from the recording, keys are nobody's."""

    def receive(self, message: object) -> None:
        """Nobody tells it anything."""


_OUTCOMES: dict[str, type] = {
    each.__name__: each
    for each in (OrderReport, Connected, RulesRead, Swept, VenueLook, Protection, CodeVerdict, Opening)
}
"""What coroutines answer, by the name it was recorded under."""


class Day:
    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        header = recording.header
        self._clock = ReplayedClock(header.at)
        self.memory = MemoryStore(self._clock, header.snapshot.default_limits)
        load_snapshot(self.memory, header.snapshot)
        self._calls = Calls(self._differs)
        self._store = CheckedStore(self.memory, self._clock, self._calls, self._differs)
        self._venues = ReplayedVenues(self._calls)
        self._effects = ReplayedEffects()
        self._timers = ReplayedTimers()
        self._inputs = TickInputs(self.memory)
        self._difference: Difference | None = None
        self._entry: Entry | None = None
        self._done = 0
        self._ticks = 0
        self._system = self._wire()

    def play(self, until: datetime | None = None, progress: Progress | None = None) -> Verdict:
        """Once: up to market time `until`, or the end, where what is left behind is compared as well."""
        try:
            return self._play(until, progress)
        finally:
            self._system.vanish()

    def _play(self, until: datetime | None, progress: Progress | None) -> Verdict:
        for entry in self._recording.entries():
            at = None if isinstance(entry, OutsideEntry | StopEntry) else entry.at
            if until is not None and at is not None and at > until:
                return self._verdict(None, None)
            self._entry = entry
            self._step(entry)
            if self._difference is not None:
                return self._verdict(None, None)
            self._done += 1
            if progress is not None and self._done % PROGRESS_EVERY == 0:
                progress(self._done, self._recording.count)
        if progress is not None:
            progress(self._done, self._recording.count)
        return self._compare_outcomes()

    # -- wiring ---------------------------------------------------------------------------------

    def _wire(self) -> ActorSystem:
        header = self._recording.header
        system = replayed_system(self._clock, self._effects, self._timers)
        code, again = replayed_code(JUDGE, self._calls), replayed_code(JUDGE_AGAIN, self._calls)
        parts = Parts(
            store=cast(Store, self._store),
            feed=replayed_feed(header, self._calls),
            rules=header.rules,
            options=header.options,
            venues=lambda _: self._venues.make,
            code=code if header.runs_code else None,
            shadows=None if header.shadow_pct is None else Shadows(again=again, share_pct=header.shadow_pct),
        )
        beside = [ChildSpec(id=name, factory=StandIn, backoff=BACKOFF) for name in header.beside]
        supervision = Supervision(intensity=Intensity(max_restarts=5, window_s=60.0))
        self._root = system.begin([*specs(system, parts), *beside], supervision)
        return system

    # -- entries --------------------------------------------------------------------------------

    def _step(self, entry: Entry) -> None:
        match entry:
            case TurnEntry():
                self._turn(entry)
            case EffectEntry():
                self._effect(entry)
            case CommandEntry():
                self._clock.deed(entry.at, entry.process_s, entry.times)
                self._store.from_outside(entry.call)
            case OutsideEntry():
                ref = self._ref(entry.actor)
                if ref is not None:
                    ref.tell(_message(entry))
            case StopEntry():
                self._root.signal(Stop(StopMode(entry.mode)))

    def _turn(self, entry: TurnEntry) -> None:
        ref = self._ref(entry.actor)
        if ref is None:
            return self._differs(f"there is no {entry.actor}", bytes(entry.message), b"null")
        shell = cast(ReplayedShell, ref.actor_inbox.owner)
        recorded = bytes(entry.message)
        self._inputs.note(entry)  # first: a difference in the message itself is shown with what it says
        item = self._item(shell, entry, recorded)
        if item is None:
            return None
        self._clock.turn(entry.at, entry.readings)
        self._venues.actor = entry.actor
        calls = entry.calls
        if calls and calls[0].name == "news":
            self._venues.of[entry.actor].told(calls[0])
            calls = calls[1:]
        self._calls.expect(calls)
        failed = shell.handle(item)
        self._calls.finish()
        if entry.error != (None if failed is None else type(failed).__name__):
            self._differs(
                f"{entry.actor} failed" if failed is not None else f"{entry.actor} failed, and now does not",
                text(entry.error),
                text(None if failed is None else f"{type(failed).__name__}: {failed}"),
            )
        return None

    def _item(self, shell: ReplayedShell, entry: TurnEntry, recorded: bytes) -> object | None:
        def is_it(replayed: bytes) -> bool:
            return same(recorded, replayed)

        item, other = find(shell.waiting(), entry.type, is_it)
        if item is None:
            item, late = find(self._timers.waiting(entry.actor), entry.type, is_it)
            other = other or late
        if item is None:
            what = "was told something else" if other else "was not told this"
            self._differs(f"{entry.actor} {what} ({entry.type})", recorded, other or b"null")
        elif shell.actor_inbox.held and not isinstance(item, Signal):
            self._differs(f"{entry.actor} takes no messages here ({entry.type})", recorded, b"null")
            return None
        return item

    def _effect(self, entry: EffectEntry) -> None:
        pending = self._effects.pending.pop(entry.id, None)
        if pending is None:
            calls = text([[call.name, call.arguments] for call in entry.calls])
            return self._differs(f"{entry.id.split('/')[0]} did not ask for this", calls, b"null")
        self._clock.deed(entry.at, entry.process_s, entry.times)
        self._store.done_by(entry.until, entry.process_until_s)
        if pending.fn is None:
            if entry.error is not None:
                pending.delivery.fail(error_of(entry.error))
            else:
                pending.delivery.succeed(self._result(entry))
            return None
        if entry.error is not None and not entry.calls:
            pending.delivery.fail(error_of(entry.error))
            return None
        self._calls.expect(entry.calls)
        self._ticks += sum(_ticks(call.arguments) for call in entry.calls if call.name == "report")
        try:
            answer = pending.fn()
        except Exception as error:
            pending.delivery.fail(error)
        else:
            pending.delivery.succeed(answer)
        self._calls.finish()
        return None

    def _result(self, entry: EffectEntry) -> object:
        match entry.type:
            case None:
                return None
            case kind if kind in _OUTCOMES:
                return msgspec.json.decode(bytes(entry.result), type=_OUTCOMES[kind])
            case "list":
                return msgspec.json.decode(bytes(entry.result), type=list[Execution])
            case "CandleColumns":
                return self._recording.candles(msgspec.json.decode(bytes(entry.result), type=KeptCandles))
        raise TypeError(f"a recorded outcome cannot be a {entry.type}")

    def _ref(self, name: str) -> ShellRef | None:
        try:
            return self._system.ref(name)
        except LookupError:
            return None

    # -- the end --------------------------------------------------------------------------------

    def _compare_outcomes(self) -> Verdict:
        header = self._recording.header
        replayed = outcome_of(self.memory, header.snapshot, header.at, 0)
        end = self._recording.end
        recorded = None if end is None else end.outcome
        if recorded is None:
            return self._verdict(None, hashes(replayed))
        for name in Outcome.__struct_fields__:
            one, other = getattr(recorded, name), getattr(replayed, name)
            if one != other:
                self._differs(f"the {name} left behind are others", text(one), text(other))
        return self._verdict(hashes(recorded), hashes(replayed))

    def _verdict(self, recorded: dict[str, str] | None, replayed: dict[str, str] | None) -> Verdict:
        end = self._recording.end
        return Verdict(
            recording=str(self._recording.folder),
            began=self._recording.header.at,
            ended=self._clock.at,
            entries=self._done,
            ticks=self._ticks,
            identical=self._difference is None,
            recorded_hashes=recorded,
            replayed_hashes=replayed,
            shared_with=() if end is None else end.shared_with,
            problem=None if end is None else end.problem,
            difference=self._difference,
        )

    def _differs(self, what: str, recorded: bytes, replayed: bytes) -> None:
        if self._difference is not None:
            return
        leaf = first_leaf(recorded, replayed)
        entry = self._entry
        actor = entry.actor if isinstance(entry, TurnEntry | OutsideEntry) else None
        if isinstance(entry, EffectEntry):
            actor = entry.id.split("/")[0]
        run_id = named_in(leaf.around, "run_id")
        if run_id is None and actor is not None and actor.startswith("run:"):
            run_id = actor.removeprefix("run:")
        about = self._inputs.of(run_id)
        self._difference = Difference(
            what=what,
            at=self._clock.at,
            entry=self._done + 1,
            actor=actor,
            where=leaf.where,
            recorded=leaf.recorded,
            replayed=leaf.replayed,
            slot=named_in(leaf.around, "slot") or about.slot,
            run_id=run_id,
            user_id=named_in(leaf.around, "user_id") or about.user_id,
            strategy=about.strategy,
            inputs=about.inputs,
            late=bool(getattr(entry, "late", False)),
        )


def _message(entry: OutsideEntry) -> object:
    kind: Any = getattr(messages, entry.type, None) or getattr(venue_calls, entry.type)
    return msgspec.json.decode(bytes(entry.message), type=kind)


def _ticks(arguments: msgspec.Raw) -> int:
    [report], _ = msgspec.json.decode(bytes(arguments))
    return len(report["ticks"])
