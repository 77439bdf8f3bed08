"""The store and the paper venue as the tests watch them: every call in order, and failures on demand."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from actors.venue_calls import PaperVenue, VenueState
from core.candles import Candle
from core.ids import ClientOrderId
from core.order import Order
from core.timeframe import Timeframe, from_ms
from exchanges.base import News, OrderReport
from exchanges.errors import ErrorKind, NotPlaced, OutcomeUnknown, RateLimited, Refusal, Rejected
from exchanges.wire import Leave, unconditional
from schema.memory import MemoryStore
from schema.store import StoreUnavailable

Call = tuple[str, Any]


class WatchedStore:
    """A memory store; `down` names the methods that cannot be reached, `before` is called ahead of each call."""

    def __init__(self, store: MemoryStore, calls: list[Call]) -> None:
        self.inner = store
        self.calls = calls
        self.down: set[str] = set()
        self.lost_answers: deque[str] = deque()
        """Methods whose next call is carried out, but whose answer is lost on the way back."""
        self.before: dict[str, Callable[[], object]] = {}

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)
        if not callable(method):
            return method

        def called(*args: Any, **kwargs: Any) -> Any:
            ahead = self.before.pop(name, None)
            if ahead is not None:
                ahead()
            if name in self.down:
                raise StoreUnavailable(f"{name}: the store is down")
            answer = method(*args, **kwargs)
            self.calls.append((f"store.{name}", (args, kwargs, answer)))
            if self.lost_answers and self.lost_answers[0] == name:
                self.lost_answers.popleft()
                raise StoreUnavailable(f"{name}: the answer was lost")
            return answer

        return called


class WatchedVenue:
    """A paper venue; the next orders meet the outcomes in `script`, then everything goes well.

    `ok`, `refused` (never reached the venue), `limited`, `rejected`, `lost` (nobody knows; it was not executed),
    `lost_reply` (executed, but the answer was lost).
    """

    def __init__(self, venue: Any, calls: list[Call], script: deque[str], sleep: Sleep) -> None:
        self._venue = venue
        self._calls = calls
        self._script = script
        self._sleep = sleep

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    async def place(self, order: Order, leave: Leave) -> OrderReport:
        await leave()
        outcome = self._script.popleft() if self._script else "ok"
        self._calls.append(("venue.place", order))
        sentence = f"order {order.client_order_id}"
        match outcome:
            case "refused":
                raise NotPlaced(ErrorKind.CONNECTION, sentence)
            case "limited":
                raise RateLimited(sentence, retry_after_s=1.0)
            case "rejected":
                raise Rejected(Refusal.OTHER, sentence)
            case "lost":
                raise OutcomeUnknown(ErrorKind.TIMEOUT, sentence)
            case "slow":
                await self._sleep(5.0)
        report: OrderReport = await self._venue.place(order, unconditional)
        if outcome == "lost_reply":
            raise OutcomeUnknown(ErrorKind.TIMEOUT, sentence)
        return report

    def apply_candle(self, symbol: str, candle: Candle, timeframe: Timeframe) -> None:
        self._calls.append(("venue.apply_candle", from_ms(candle.open_time_ms + timeframe.ms)))
        self._venue.apply_candle(symbol, candle, timeframe)

    async def find(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport | None:
        self._calls.append(("venue.find", client_order_id))
        found: OrderReport | None = await self._venue.find(symbol, client_order_id)
        return found


Sleep = Callable[[float], Awaitable[None]]
MakePaperVenue = Callable[[VenueState, Callable[[News], None]], PaperVenue]
