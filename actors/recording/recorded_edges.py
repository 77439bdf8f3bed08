"""Store, feed and venues as they are while recording: the same calls, noted with what came back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar, cast

from actors.feed import Feed
from actors.live.venue import LiveVenue
from actors.recording.failures import failure_of
from actors.recording.tape import Call, Tape
from actors.venue_calls import MakeVenue, NewsHeard, PaperVenue, VenueState
from core.candles import Candle
from core.ids import ClientOrderId
from core.market import Market, Series
from core.order import Order
from core.quiet import Quiet
from core.timeframe import Timeframe
from exchanges.base import FundingPaid, LiveExchange, News
from exchanges.feeds.base import FundingRate
from exchanges.paper.prices import PriceSource
from exchanges.wire import Leave
from schema.store import Store

T = TypeVar("T")

COMMANDS = frozenset(
    {
        "set_kill_switch",
        "create_strategy",
        "create_account",
        "create_run",
        "create_together",
        "arrange",
        "set_limits",
        "command",
        "receive_signal",
        "settle",
    }
)
"""What somebody outside may have the store change; the clock's settings are seen in the readings of time."""


class RecordedStore:
    """The store of a recorded process: whatever an actor's effect asks it, and every command from outside."""

    def __init__(self, inner: Store, tape: Tape) -> None:
        self._inner = inner
        self._tape = tape

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if not callable(method):
            return method
        tape = self._tape

        def called(*args: Any, **kwargs: Any) -> Any:
            if not tape.on or (tape.deed is None and name not in COMMANDS):
                return method(*args, **kwargs)
            if tape.deed is not None:
                return noted(
                    tape, tape.deed.calls, Call(name, [args, kwargs]), lambda: method(*args, **kwargs)
                )
            with tape.doing("") as deed:
                return noted(tape, deed.calls, Call(name, [args, kwargs]), lambda: method(*args, **kwargs))

        return called


def recorded_store(inner: Store, tape: Tape) -> Store:
    return cast(Store, RecordedStore(inner, tape))


def noted(tape: Tape, calls: list[Call], call: Call, do: Callable[[], T]) -> T:
    """`do()`, with what came of it put down in `call`."""
    calls.append(call)
    try:
        result = do()
    except Exception as error:
        call.error = failure_of(error)
        raise
    call.result = result
    return result


class RecordedFeed:
    """What is asked of the feed is noted; what it answers is the outcome of the effect that asked."""

    def __init__(self, inner: Feed, tape: Tape) -> None:
        self._inner = inner
        self._tape = tape
        self.origin = inner.origin
        self.venues = inner.venues
        self.holds_future = inner.holds_future
        self.trades = inner.trades
        self.marks = inner.marks

    def symbols(self) -> tuple[str, ...]:
        return self._inner.symbols()

    def market(self, symbol: str) -> Market:
        return self._inner.market(symbol)

    def finest(self, symbol: str) -> Timeframe:
        return self._inner.finest(symbol)

    def funding(self, symbol: str) -> tuple[FundingRate, ...]:
        return self._inner.funding(symbol)

    def candles(self, series: Series, start: datetime, end: datetime) -> Any:
        turn = self._tape.turn
        if turn is not None:
            turn.calls.append(Call("candles", [series, start, end]))
        return self._inner.candles(series, start, end)

    def prices(self, venue: str) -> PriceSource:
        return self._inner.prices(venue)

    def price(self, venue: str, symbol: str, at: datetime) -> Any:
        turn = self._tape.turn
        if turn is not None:
            turn.calls.append(Call("price", [venue, symbol, at]))
        return self._inner.price(venue, symbol, at)

    async def follow(self) -> None:
        await self._inner.follow()


class RecordedVenue:
    """A venue whose news reach the connection at certain places: with the call that caused them, or else
    before its next message, not in the middle of one.
    """

    def __init__(self, tape: Tape, on_news: Callable[[News], None], wake: Callable[[], None]) -> None:
        """`wake`: have the connection take a turn, for news that come by themselves."""
        self._tape = tape
        self._on_news = on_news
        self._wake = wake
        self._held: deque[News] = deque()
        self._call: Call | None = None  # a call of the connection's own turn, which is where its news belong
        self.inner: PaperVenue

    def heard(self, news: News) -> None:
        """On the event loop, or within one of our calls."""
        call = self._call if self._tape.calling else None
        if call is None:
            self._held.append(news)
            self._wake()
        else:
            call.news.append(news)
            self._on_news(news)

    def hand_over(self) -> list[object]:
        """Before a turn of the connection."""
        handed: list[object] = []
        while self._held:
            news = self._held.popleft()
            handed.append(news)
            self._on_news(news)
        return handed

    def place(self, order: Order, leave: Leave) -> Any:
        return self._sent("place", [order], lambda: self.inner.place(order, leave))

    def find(self, symbol: str, client_order_id: ClientOrderId) -> Any:
        return self._sent("find", [symbol, client_order_id], lambda: self.inner.find(symbol, client_order_id))

    def executions(self, symbol: str, since: datetime) -> Any:
        return self._sent("executions", [symbol, since], lambda: self.inner.executions(symbol, since))

    def apply_candle(self, symbol: str, candle: Candle, timeframe: Timeframe) -> None:
        asked = [symbol, candle, timeframe]
        self._asked("apply_candle", asked, lambda: self.inner.apply_candle(symbol, candle, timeframe))

    def apply_funding(self, symbol: str, at: datetime, *, rate: Decimal, mark: Decimal) -> FundingPaid | None:
        asked = [symbol, at, rate, mark]
        return self._asked(
            "apply_funding", asked, lambda: self.inner.apply_funding(symbol, at, rate=rate, mark=mark)
        )

    def following(self) -> Mapping[str, Quiet | None]:
        return self._asked("following", [], lambda: self.inner.following())

    def _sent(self, name: str, arguments: list[object], send: Callable[[], T]) -> T:
        """Only what is sent: the answer is the outcome of the effect that carries it."""
        turn = self._tape.turn
        if turn is not None:
            turn.calls.append(Call(name, arguments))
        return send()

    def _asked(self, name: str, arguments: list[object], ask: Callable[[], T]) -> T:
        turn = self._tape.turn
        if turn is None:
            return ask()
        call = self._call = Call(name, arguments)
        try:
            with self._tape.beyond():
                return noted(self._tape, turn.calls, call, ask)
        finally:
            self._call = None


class RecordedExchange:
    """A venue beyond the process. What a turn sends it or reads of it is noted; what coroutines ask is not."""

    def __init__(self, inner: LiveExchange, tape: Tape) -> None:
        self._inner = inner
        self._tape = tape

    def venue_now(self) -> datetime:
        return self._read("venue_now", self._inner.venue_now)

    @property
    def is_streaming(self) -> bool:
        return self._read("is_streaming", lambda: self._inner.is_streaming)

    def place(self, order: Order, leave: Leave) -> Any:
        turn = self._tape.turn
        if turn is not None:
            turn.calls.append(Call("place", [order]))
        return self._inner.place(order, leave)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        def send(*args: Any, **kwargs: Any) -> Any:
            turn = self._tape.turn
            if turn is not None:
                turn.calls.append(Call(name, [*args, *kwargs.values()]))
            return method(*args, **kwargs)

        return send

    def _read(self, name: str, read: Callable[[], T]) -> T:
        turn = self._tape.turn
        return read() if turn is None else noted(self._tape, turn.calls, Call(name, []), read)


def recorded_venues(make: MakeVenue, tape: Tape, tell: Callable[[str, object], None]) -> MakeVenue:
    """`tell`: a message to the actor of that name, from outside."""

    def recorded(state: VenueState, on_news: Callable[[News], None]) -> PaperVenue:
        turn = tape.turn
        if turn is None:  # the recording has ended
            return make(state, on_news)
        actor = turn.actor
        venue = RecordedVenue(tape, on_news, lambda: tell(actor, NewsHeard()))
        with tape.beyond():
            made = make(state, venue.heard)
        tape.before[actor] = venue.hand_over
        if isinstance(made, LiveVenue):
            return LiveVenue(cast(LiveExchange, RecordedExchange(made.exchange, tape)))
        venue.inner = made
        return cast(PaperVenue, venue)

    return recorded
