"""Store, feed and venues in a replay. What actors send is held against the recording; what they hear is from it.

The store is a real one, in memory: it carries every operation out and its answers are compared, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol, TypeVar, cast, get_type_hints

import msgspec
from msgspec.structs import replace

from actors.feed import Feed
from actors.live.venue import LiveVenue
from actors.recording.canonical import same, text
from actors.recording.entries import CallEntry, Header
from actors.recording.failures import error_of, failure_of
from actors.recording.moment import Moment
from actors.recording.replayed_runtime import ReplayedClock
from actors.venue_calls import PaperVenue, VenueState
from core.candles import Candle
from core.ids import ClientOrderId, RunId
from core.market import Market, Series
from core.order import Order
from core.quiet import Quiet
from core.timeframe import Timeframe
from exchanges.base import FundingPaid, LiveExchange, News
from exchanges.feeds.base import FundingRate
from exchanges.wire import Leave
from schema.memory import MemoryStore
from schema.records import AccountKind, Claim, Node, RunsRead, RunStart, RunState, TickRow
from schema.store import Store


class Differs(Protocol):
    def __call__(self, what: str, recorded: bytes, replayed: bytes) -> None:
        """Note the first difference; later ones follow from it."""
        ...


T = TypeVar("T")
NOTHING = CallEntry(name="")


class Calls:
    """The calls of a turn or of a piece of work, expected one after the other."""

    def __init__(self, differs: Differs) -> None:
        self._differs = differs
        self._expected: deque[CallEntry] = deque()

    def expect(self, calls: Sequence[CallEntry]) -> None:
        self._expected = deque(calls)

    def made(self, name: str, arguments: object) -> CallEntry | None:
        """The recorded call this is; None where it is another, or none was made."""
        entry = self._expected.popleft() if self._expected else None
        given = text(arguments)
        if entry is None:
            self._differs(f"{name} was not called", b"null", given)
        elif entry.name != name:
            self._differs(f"{name} was called instead of {entry.name}", bytes(entry.arguments), given)
        elif not same(bytes(entry.arguments), given):
            self._differs(f"{name} was called with something else", bytes(entry.arguments), given)
        else:
            return entry
        return None

    def finish(self) -> None:
        for entry in self._expected:
            self._differs(f"{entry.name} was called, and now is not", bytes(entry.arguments), b"null")
        self._expected.clear()


class CheckedStore:
    """`store` as the actors of a replay see it."""

    def __init__(self, store: MemoryStore, clock: ReplayedClock, calls: Calls, differs: Differs) -> None:
        self._store = store
        self._moment = Moment(store, clock)
        self._calls = calls
        self._differs = differs

    def __getattr__(self, name: str) -> Any:
        def called(*args: Any, **kwargs: Any) -> Any:
            entry = self._calls.made(name, [args, kwargs])
            return self.carry_out(entry or NOTHING, name, args, kwargs, check=entry is not None)

        return called

    def done_by(self, until: datetime, process_until_s: float) -> None:
        """The work that now begins was done by then."""
        self._moment.done_by(until, process_until_s)

    def carry_out(
        self, entry: CallEntry, name: str, args: Sequence[Any], kwargs: dict[str, Any], *, check: bool = True
    ) -> Any:
        if entry.error is not None and not entry.error.refusal:
            raise error_of(entry.error)  # the database was away: nobody knows more
        try:
            mine = self._moment.ask(
                name, bytes(entry.result), lambda: getattr(self._store, name)(*args, **kwargs)
            )
        except Exception as error:
            if check and (entry.error is None or entry.error.type != type(error).__name__):
                self._differs(
                    f"{name} was refused", text(entry.error or entry.result), text(failure_of(error))
                )
            raise
        if not check:
            return mine
        if entry.error is not None:
            self._differs(f"{name} was refused, and now is not", text(entry.error), text(mine))
            return mine
        recorded = bytes(entry.result)
        mine = self._adopted(name, recorded, mine, args)
        if not same(recorded, text(mine)):
            self._differs(f"{name} answered something else", recorded, text(mine))
        return mine

    def _adopted(self, name: str, recorded: bytes, mine: Any, args: Sequence[Any]) -> Any:
        """`mine` under the recorded fences, in the recorded order: the database's own choice."""
        match name:
            case "beat":
                return msgspec.json.decode(recorded, type=list[Node])
            case "claim":
                return self._claims(msgspec.json.decode(recorded, type=list[Claim]), mine)
            case "acquire":
                fence = msgspec.json.decode(recorded, type=int | None)
                if fence is not None and mine is not None:
                    self._store.tables.fence = fence
                    for row in self._store.tables.runs.values():
                        if row.fence == mine:
                            row.fence = fence
                    return fence
            case "run_state":
                state = msgspec.json.decode(recorded, type=RunState | None)
                return replace(mine, fence=state.fence) if state is not None and mine is not None else mine
            case "run_starts":
                states = [start.state for start in msgspec.json.decode(recorded, type=list[RunStart])]
                return _starts({state.run.id: state.fence for state in states}, mine)
            case "close_interrupted":
                ended = {
                    (row.run_id, row.slot): row.finished_at
                    for row in msgspec.json.decode(recorded, type=list[TickRow])
                }
                same_time = [
                    replace(row, finished_at=ended.get((row.run_id, row.slot), row.finished_at))
                    for row in mine
                ]
                return _in_order(recorded, same_time)
            case "runs_since":
                return self._runs_since(msgspec.json.decode(recorded, type=RunsRead), mine, args)
            case "runs" | "open_positions" | "open_orders" | "expired_pauses":
                return _in_order(recorded, mine)
        return mine

    def _runs_since(self, recorded: RunsRead, mine: RunsRead, args: Sequence[Any]) -> RunsRead:
        """Marks are the database's own, and so is which rows it tells of twice; what is in them is not."""
        ids = {run.id for run in recorded.runs}
        if args[0] is None:
            ids |= {run.id for run in mine.runs}
        found = [run for run_id in ids if (run := self._store.run(run_id)) is not None]
        return RunsRead(runs=_in_order(text(recorded.runs), found), mark=recorded.mark)

    def _claims(self, recorded: list[Claim], mine: list[Claim]) -> list[Claim]:
        drawn = {claim.run_id: (claim.fence, claim.previous_fence) for claim in recorded}
        adopted = []
        for claim in mine:
            fence, previous = drawn.get(claim.run_id, (claim.fence, claim.previous_fence))
            self._store.tables.runs[claim.run_id].fence = fence
            adopted.append(replace(claim, fence=fence, previous_fence=previous))
        places = {run_id: place for place, run_id in enumerate(drawn)}
        return sorted(adopted, key=lambda claim: places.get(claim.run_id, len(places)))

    def from_outside(self, entry: CallEntry) -> None:
        """What somebody outside had the store do. Its name is no method of a store, or actors would call it."""
        args, kwargs = _arguments(entry)
        if entry.name == "create_run":  # of a strategy nothing ran on when the recording began
            [run] = [*args, *kwargs.values()]
            self._store.tables.strategies.setdefault(run.strategy.id, run.strategy)
        try:
            self.carry_out(entry, entry.name, args, kwargs)
        except Exception as error:
            if entry.error is None:
                self._differs(f"{entry.name} failed", bytes(entry.result), text(failure_of(error)))


def _starts(fences: dict[RunId, int], mine: list[RunStart]) -> list[RunStart]:
    states = [start.state for start in mine]
    adopted = [replace(state, fence=fences.get(state.run.id, state.fence)) for state in states]
    return [replace(start, state=state) for start, state in zip(mine, adopted, strict=True)]


def _in_order(recorded: bytes, mine: list[Any]) -> list[Any]:
    """Rows a database lists in an order of its own, in that order."""
    places = {
        msgspec.json.encode(each): place for place, each in enumerate(_names(msgspec.json.decode(recorded)))
    }
    names = [msgspec.json.encode(each) for each in _names(msgspec.json.decode(text(mine)))]
    order = sorted(range(len(mine)), key=lambda index: places.get(names[index], len(places)))
    return [mine[index] for index in order]


def _names(rows: list[Any]) -> list[Any]:
    keys = ("client_order_id", "run_id", "id")
    return [
        next((row[key] for key in keys if key in row), None) if isinstance(row, dict) else row for row in rows
    ]


def _arguments(entry: CallEntry) -> tuple[list[Any], dict[str, Any]]:
    """Typed by the method's signature."""
    hints = get_type_hints(getattr(Store, entry.name))
    hints.pop("return", None)
    args, kwargs = msgspec.json.decode(bytes(entry.arguments))
    typed = [msgspec.convert(each, type=hint) for each, hint in zip(args, hints.values(), strict=False)]
    return typed, {name: msgspec.convert(each, type=hints[name]) for name, each in kwargs.items()}


async def _recorded_elsewhere() -> Any:
    """Stands for a call whose outcome comes from the recording."""


class ReplayedFeed:
    def __init__(self, header: Header, calls: Calls) -> None:
        self._header = header
        self._calls = calls
        self.origin = header.origin
        self.venues = header.venues
        self.holds_future = header.holds_future
        self.trades = None
        self.marks = None

    def symbols(self) -> tuple[str, ...]:
        return tuple(self._header.markets)

    def market(self, symbol: str) -> Market:
        return self._header.markets[symbol]

    def finest(self, symbol: str) -> Timeframe:
        return self._header.finest[symbol]

    def funding(self, symbol: str) -> tuple[FundingRate, ...]:
        return self._header.funding.get(symbol, ())

    def candles(self, series: Series, start: datetime, end: datetime) -> Any:
        self._calls.made("candles", [series, start, end])
        return _recorded_elsewhere()

    def price(self, venue: str, symbol: str, at: datetime) -> Any:
        self._calls.made("price", [venue, symbol, at])
        return _recorded_elsewhere()

    def follow(self) -> Any:
        return _recorded_elsewhere()


def replayed_feed(header: Header, calls: Calls) -> Feed:
    return cast(Feed, ReplayedFeed(header, calls))


class ReplayedVenue:
    """Says what the venue said."""

    def __init__(self, calls: Calls, on_news: Callable[[News], None]) -> None:
        self._calls = calls
        self.on_news = on_news

    def place(self, order: Order, leave: Leave) -> Any:
        self._calls.made("place", [order])
        return _recorded_elsewhere()

    def find(self, symbol: str, client_order_id: ClientOrderId) -> Any:
        self._calls.made("find", [symbol, client_order_id])
        return _recorded_elsewhere()

    def executions(self, symbol: str, since: datetime) -> Any:
        self._calls.made("executions", [symbol, since])
        return _recorded_elsewhere()

    def apply_candle(self, symbol: str, candle: Candle, timeframe: Timeframe) -> None:
        self._answer(self._calls.made("apply_candle", [symbol, candle, timeframe]))

    def apply_funding(self, symbol: str, at: datetime, *, rate: Decimal, mark: Decimal) -> FundingPaid | None:
        entry = self._answer(self._calls.made("apply_funding", [symbol, at, rate, mark]))
        return msgspec.json.decode(bytes(entry.result), type=FundingPaid | None)

    def following(self) -> dict[str, Quiet | None]:
        entry = self._answer(self._calls.made("following", []))
        return msgspec.json.decode(bytes(entry.result), type=dict[str, Quiet | None] | None) or {}

    def _answer(self, entry: CallEntry | None) -> CallEntry:
        if entry is None:
            return NOTHING
        self.told(entry)
        if entry.error is not None:
            raise error_of(entry.error)
        return entry

    def told(self, entry: CallEntry) -> None:
        for news in msgspec.json.decode(bytes(entry.news), type=list[News] | None) or ():
            self.on_news(news)


class ReplayedExchange:
    """A venue beyond the process, in a replay."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def venue_now(self) -> datetime:
        return self._read("venue_now", datetime)

    @property
    def is_streaming(self) -> bool:
        return self._read("is_streaming", bool)

    def place(self, order: Order, leave: Leave) -> Any:
        self._calls.made("place", [order])
        return _recorded_elsewhere()

    def __getattr__(self, name: str) -> Any:
        def send(*args: Any, **kwargs: Any) -> Any:
            self._calls.made(name, [*args, *kwargs.values()])
            return _recorded_elsewhere()

        return send

    def _read(self, name: str, type_: type[T]) -> T:
        entry = self._calls.made(name, []) or NOTHING
        return msgspec.json.decode(bytes(entry.result), type=type_)


class ReplayedVenues:
    """One venue for each account, made when its connection starts."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.of: dict[str, ReplayedVenue] = {}
        self.actor = ""
        """Whose turn it is."""

    def make(self, state: VenueState, on_news: Callable[[News], None]) -> PaperVenue:
        venue = self.of[self.actor] = ReplayedVenue(self._calls, on_news)
        if state.account.kind is AccountKind.CONNECTION:
            return LiveVenue(cast(LiveExchange, ReplayedExchange(self._calls)))
        return cast(PaperVenue, venue)
