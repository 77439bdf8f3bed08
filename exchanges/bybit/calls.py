"""One signed call to Bybit, and what its failure lets the caller conclude.

Three kinds of calls fail differently. Placing an order: no answer after a byte left, or one that cannot be read, is
OutcomeUnknown, and nothing is ever repeated here. Reads, and changes that bring about a state and may be repeated
(cancel, leverage, stops): no answer is Unreachable, and one clock error is repaired by asking for the time again.
No sentence holds a key, a signature, or a text in which the venue may have echoed one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, TypeVar

import msgspec

from core.clock import Clock
from core.redact import MASK, without_secrets
from core.timeframe import to_ms
from exchanges.bybit.codes import Verdict, verdict
from exchanges.bybit.public import server_time
from exchanges.bybit.signing import signed
from exchanges.bybit.usage import banned_until, retry_after_s
from exchanges.bybit.wire import Envelope, Page, ServerTime, Unreadable, read
from exchanges.credentials import Unseal
from exchanges.error_class import ErrorClass
from exchanges.errors import (
    AuthFailed,
    Banned,
    ClockSkew,
    ErrorKind,
    ExchangeError,
    NotPlaced,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unreachable,
)
from exchanges.wire import Answer, NoAnswer, Request, Send

T = TypeVar("T")

ORDER_TIMEOUT_S: Final = 6.0
"""With the look-ups that follow it, a placement ends within 15 s."""
READ_TIMEOUT_S: Final = 4.0
MAX_PAGES: Final = 200
MAX_SAID: Final = 200
_ENVELOPE: Final = msgspec.json.Decoder(Envelope)
_TIME: Final = msgspec.json.Decoder(ServerTime)
_RESULT: Final = msgspec.json.Decoder(msgspec.Raw)


class Mode(Enum):
    PLACE = "place"
    CHANGE = "change"
    READ = "read"


_TIMEOUTS_S: Final = {
    Mode.PLACE: ORDER_TIMEOUT_S,
    Mode.CHANGE: READ_TIMEOUT_S,
    Mode.READ: READ_TIMEOUT_S,
}


class Gone(ExchangeError):
    """The order is not open, or not known: an answer to a cancel, not a failure."""


class Calls:
    """Calls on one account. Knows the venue's clock once `sync` has read it."""

    def __init__(self, *, send: Send, unseal: Unseal, clock: Clock) -> None:
        self._send = send
        self._unseal = unseal
        self._clock = clock
        self._offset = timedelta(0)

    def venue_now(self) -> datetime:
        return self._clock.now() + self._offset

    async def sync(self) -> None:
        """Reads the venue's clock; the answer is taken to be from the middle of the call."""
        before = self._clock.now()
        answer = await self._answer(server_time(), Mode.READ)
        after = self._clock.now()
        try:
            at_ms = read(self._result(answer, Mode.READ, secret=""), _TIME).time_ms
        except Unreadable as error:
            raise Unreachable(ErrorKind.UNPARSABLE, f"{error}") from None
        middle = before + (after - before) / 2
        self._offset = timedelta(milliseconds=at_ms - to_ms(middle))

    async def place(self, request: Request, at: datetime) -> msgspec.Raw:
        """The result of a call that may happen at most once; `at` is the time stamp to sign."""
        return await self._signed(request, Mode.PLACE, to_ms(at))

    async def ask(self, request: Request, decoder: msgspec.json.Decoder[T]) -> T:
        """The result of a signed read."""
        return self._decoded(await self._repeatable(request, Mode.READ), decoder)

    async def look(self, request: Request, decoder: msgspec.json.Decoder[T]) -> T:
        """The result of a public read."""
        answer = await self._answer(request, Mode.READ)
        return self._decoded(self._result(answer, Mode.READ, secret=""), decoder)

    async def pages(
        self,
        request: Callable[..., Request],
        decoder: msgspec.json.Decoder[Page[T]],
        *,
        enough: Callable[[list[T]], bool] = lambda rows: False,
    ) -> list[T]:
        """All rows of a signed read that takes a `cursor`, or as many pages as are `enough`."""
        rows: list[T] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self.ask(request(cursor=cursor), decoder)
            rows += page.rows
            if not page.rows or not page.cursor or page.cursor == cursor or enough(rows):
                return rows
            cursor = page.cursor
        raise Unreachable(ErrorKind.SERVER, f"Bybit's answer goes on beyond {MAX_PAGES} pages.")

    async def change(self, request: Request) -> None:
        """Brings about a state; that it is so already is a success."""
        await self._repeatable(request, Mode.CHANGE)

    async def _repeatable(self, request: Request, mode: Mode) -> msgspec.Raw:
        try:
            return await self._signed(request, mode, to_ms(self.venue_now()))
        except ClockSkew as error:
            if not error.resynced:
                raise
        return await self._signed(request, mode, to_ms(self.venue_now()))

    async def _signed(self, request: Request, mode: Mode, at_ms: int) -> msgspec.Raw:
        credentials = self._unseal()
        key = credentials.key.reveal()
        outgoing = signed(request, credentials, at_ms)
        del credentials
        answer = await self._answer(outgoing, mode)
        try:
            return self._result(answer, mode, secret=key)
        except ClockSkew:
            resynced = await self._resynced()
        raise ClockSkew("Bybit found the time stamp outside its window.", resynced=resynced)

    async def _resynced(self) -> bool:
        try:
            await self.sync()
        except ExchangeError:
            return False
        return True

    async def _answer(self, request: Request, mode: Mode) -> Answer:
        try:
            return await self._send(request, timeout_s=_TIMEOUTS_S[mode])
        except NoAnswer as error:
            kind = ErrorKind.TIMEOUT if error.timed_out else ErrorKind.CONNECTION
            what = f"Bybit gave no answer to {request.method} {request.path}"
            if mode is not Mode.PLACE:
                raise Unreachable(kind, f"{what}.") from error
            if error.sent:
                raise OutcomeUnknown(kind, f"{what} after it was sent.") from error
            raise NotPlaced(ErrorKind.CONNECTION, f"{what}; nothing of it was sent.") from error

    def _result(self, answer: Answer, mode: Mode, *, secret: str) -> msgspec.Raw:
        code, text, result = _opened(answer)
        found = verdict(answer.status, code, text)
        if found is None or (found.class_ is ErrorClass.OK_ALREADY and mode is Mode.CHANGE):
            return result
        if code is None and answer.status < 400:
            raise _unknown(mode, ErrorKind.UNPARSABLE, "Bybit's answer cannot be read.")
        if secret:
            found = msgspec.structs.replace(found, text=found.text.replace(secret, MASK))
        raise self._failure(found, mode, answer)

    def _failure(self, found: Verdict, mode: Mode, answer: Answer) -> ExchangeError:
        match found.class_:
            case ErrorClass.RATE_LIMIT:
                wait_s = retry_after_s(answer.headers, self.venue_now())
                return RateLimited("Bybit's request budget of this account is used up.", retry_after_s=wait_s)
            case ErrorClass.IP_BAN:
                until = banned_until(found.text, self.venue_now()) - self._offset
                return Banned("Bybit blocks this address.", until=until)
            case ErrorClass.CLOCK_SKEW:
                return ClockSkew("Bybit found the time stamp outside its window.", resynced=False)
            case ErrorClass.AUTH_PERMANENT:
                return AuthFailed(f"Bybit refuses the key, its signature, address or rights ({found.code}).")
        error = _concluded(found, mode, f"Bybit answered {_said(found, answer.status)}")
        error.alert = found.alert
        return error

    def _decoded(self, result: msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T:
        try:
            return read(result, decoder)
        except Unreadable as error:
            raise Unreachable(ErrorKind.UNPARSABLE, f"{error}") from None


def _concluded(found: Verdict, mode: Mode, sentence: str) -> ExchangeError:
    match found.class_:
        case ErrorClass.RETRY_BACKOFF:
            if mode is Mode.PLACE:
                return NotPlaced(ErrorKind.BUSY, sentence)
            return Unreachable(ErrorKind.BUSY, sentence)
        case ErrorClass.UNKNOWN_STATUS:
            return _unknown(mode, ErrorKind.SERVER, sentence)
        case ErrorClass.DUPLICATE_CLIENT_ID:
            return _unknown(mode, ErrorKind.DUPLICATE_ID, sentence)
        case ErrorClass.ORDER_NOT_FOUND if mode is not Mode.PLACE:
            return Gone(ErrorKind.REJECTED, sentence)
        case _:
            return Rejected(found.refusal, sentence)


def _unknown(mode: Mode, kind: ErrorKind, sentence: str) -> ExchangeError:
    return OutcomeUnknown(kind, sentence) if mode is Mode.PLACE else Unreachable(kind, sentence)


def _opened(answer: Answer) -> tuple[int | None, str, msgspec.Raw]:
    """Code, text and result of an answer; no code where it is not an answer of Bybit's, whole and in its form."""
    nothing = msgspec.Raw(b"null")
    try:
        envelope = read(answer.body, _ENVELOPE)
        code = int(envelope.ret_code)
        if code == 0:
            read(envelope.result, _RESULT)
    except (Unreadable, ValueError):
        return None, answer.body[:MAX_SAID].decode(errors="replace"), nothing
    return code, envelope.ret_msg or "", envelope.result


def _said(found: Verdict, status: int) -> str:
    """The venue's own words, shortened, without anything that could be a signature."""
    text = without_secrets(" ".join(found.text.split()))[:MAX_SAID]
    return f"{status if found.code is None else found.code}: {text or 'no reason given'}"
