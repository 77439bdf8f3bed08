"""One account's way to the venue: the venue's time, the keys, and what each answer or silence leads to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from core.clock import Clock
from core.errors import ImpossibleVenueData, RunnerError
from core.timeframe import to_ms
from exchanges.binance.codes import Doing, Verdict, classify, failure
from exchanges.binance.public import get_server_time
from exchanges.binance.signing import Access, Call, keyed_request, public_request, signed_request
from exchanges.binance.wire import ServerTime, Unreadable, read, time_of
from exchanges.credentials import Unseal
from exchanges.error_class import ErrorClass
from exchanges.errors import (
    AuthFailed,
    ClockSkew,
    ErrorKind,
    ExchangeError,
    NotPlaced,
    OutcomeUnknown,
    Unreachable,
)
from exchanges.wire import Answer, NoAnswer, Request, Send

T = TypeVar("T")

READ_TIMEOUT_S: Final = 4.0
ORDER_TIMEOUT_S: Final = 6.0
"""Longer than the receive window: what the venue has not taken up by then it never will."""
NOTHING: Final[frozenset[ErrorClass]] = frozenset()
NOT_FOUND: Final = frozenset({ErrorClass.ORDER_NOT_FOUND})


class VenueTime:
    """The process clock plus the offset last read from the venue."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = timedelta(0)

    def now(self) -> datetime:
        return self._clock.now() + self._offset

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def of(self, process_time: datetime) -> datetime:
        return process_time + self._offset

    def learn(self, venue_time: datetime, *, asked_at: datetime) -> None:
        """`venue_time` was true half-way between `asked_at` and now."""
        answered_at = self._clock.now()
        self._offset = venue_time - (asked_at + (answered_at - asked_at) / 2)

    def process_now(self) -> datetime:
        return self._clock.now()


def form(wire: type[T]) -> Callable[[bytes], T]:
    """Reads a body as `wire`."""
    return partial(read, form=wire)


class Line:
    """Asks and reads. Keys are opened for one request at a time (I13)."""

    def __init__(self, *, send: Send, unseal: Unseal, time: VenueTime) -> None:
        self._send = send
        self._unseal = unseal
        self._time = time

    async def sync(self) -> None:
        """Reads the venue's clock anew; raises ExchangeError."""
        asked_at = self._time.process_now()
        body = await self.ask(get_server_time(), form(ServerTime), "its time")
        self._time.learn(time_of(body.server_time), asked_at=asked_at)

    async def ask(
        self,
        call: Call,
        reader: Callable[[bytes], T],
        what: str,
        *,
        doing: Doing = Doing.READING,
        sign_at: datetime | None = None,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> T:
        """What the venue answers; `what` names it in errors. Raises ExchangeError, a read also ImpossibleVenueData."""
        answer = await self.attempt(call, reader, what, doing=doing, sign_at=sign_at, timeout_s=timeout_s)
        assert not isinstance(answer, Verdict)
        return answer

    async def attempt(
        self,
        call: Call,
        reader: Callable[[bytes], T],
        what: str,
        *,
        doing: Doing = Doing.READING,
        allowed: frozenset[ErrorClass] = NOTHING,
        sign_at: datetime | None = None,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> T | Verdict:
        """As `ask`; a refusal of a class that is `allowed` is an answer.

        A refused time stamp is answered by reading the clock and one repetition, unless `sign_at` is given: then it is
        the caller's to make a new attempt.
        """
        for again in (False, True):
            answer = await self._sent(call, what, doing, sign_at, timeout_s)
            if 200 <= answer.status < 300:
                return _read(answer.body, reader, doing, what)
            verdict = classify(answer, reads=doing is Doing.READING)
            if verdict.error_class in allowed:
                return verdict
            error = failure(verdict, doing, what, now=self._time.now())
            if not isinstance(error, ClockSkew):
                raise error
            resynced = await self._resynced()
            if again or sign_at is not None or not resynced:
                skew = ClockSkew(str(error), resynced=resynced)
                skew.alert = again
                raise skew
        raise AssertionError("two rounds end in an answer or an error")

    async def _resynced(self) -> bool:
        try:
            await self.sync()
        except ExchangeError:
            return False
        return True

    async def _sent(
        self, call: Call, what: str, doing: Doing, sign_at: datetime | None, timeout_s: float
    ) -> Answer:
        try:
            request = self._request(call, sign_at)
        except RunnerError as error:
            why = type(error).__name__
            raise AuthFailed(f"The keys for {what} at Binance cannot be opened ({why}).") from None
        try:
            return await self._send(request, timeout_s=timeout_s)
        except NoAnswer as lost:
            raise silence(lost, doing, what) from None

    def _request(self, call: Call, sign_at: datetime | None) -> Request:
        if call.access is Access.PUBLIC:
            return public_request(call)
        if call.access is Access.KEY:
            return keyed_request(call, self._unseal())
        return signed_request(call, self._unseal(), timestamp_ms=to_ms(sign_at or self._time.now()))


def silence(lost: NoAnswer, doing: Doing, what: str) -> ExchangeError:
    """What no answer means: nothing left the process, or nobody knows (invariants §4)."""
    kind = ErrorKind.TIMEOUT if lost.timed_out else ErrorKind.CONNECTION
    sentence = f"Binance gave no answer to {what}: {lost}"
    if doing is Doing.READING:
        return Unreachable(kind, sentence)
    return OutcomeUnknown(kind, sentence) if lost.sent else NotPlaced(ErrorKind.CONNECTION, sentence)


def _read(body: bytes, reader: Callable[[bytes], T], doing: Doing, what: str) -> T:
    try:
        return reader(body)
    except (Unreadable, ImpossibleVenueData) as error:
        sentence = f"Binance answered {what} unreadably: {error}"
        if doing is not Doing.READING:
            raise OutcomeUnknown(ErrorKind.UNPARSABLE, sentence) from None
        if isinstance(error, ImpossibleVenueData):
            raise
        raise Unreachable(ErrorKind.UNPARSABLE, sentence) from None
