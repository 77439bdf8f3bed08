"""SignalPublisher: tells one receiver the signals, in order and behind the event log; no tick knows of it.

What is told is kept in PostgreSQL until the receiver has it (`schema/pg_published.py`), so neither its absence nor a
restart here loses any within the bounds there. One process at a time tells a receiver, by a lease.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from actors.publishers.leased_publisher import TELL_S, LeasedPublisher
from actors.publishers.webhook import why_not
from actors.runtime.behaviour import Context
from core.ids import UserId
from core.published_signal import PublishedSignal
from core.signal_policy import SignalLimits
from schema.pg_published import GATHERED_AT_ONCE, PgPublished, Progress, Receiver

FORGET_EVERY: Final = 7_200
"""Passes from one look at old signals to the next: an hour."""


class Timed(msgspec.Struct, frozen=True, kw_only=True):
    """`until_s`: process time after which nobody may be told of it."""

    id: int
    content: PublishedSignal
    until_s: float


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """How far a receiver came through what it was told, in order. `error`: why no further."""

    settled: int
    expired: int = 0
    refused: int = 0
    error: str | None = None


class SignalReceiver(Protocol):
    """Whom signals are told."""

    @property
    def name(self) -> Receiver: ...

    async def tell(self, signals: Sequence[Timed], monotonic: Callable[[], float]) -> Delivered:
        """Each at most once, none after its time; raises nothing for a receiver that is away."""
        ...

    async def probe(self) -> None:
        """Raises NotDelivered where it is away."""
        ...


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """None: another process tells this receiver, or the database is away."""

    signals: tuple[Timed, ...] | None
    more: bool = False


class Ended(msgspec.Struct, frozen=True):
    """A pass at the receiver is over."""

    signals: tuple[Timed, ...]
    delivered: Delivered


class SignalPublisher(LeasedPublisher):
    __slots__ = (
        "_contact_s",
        "_entered",
        "_limits",
        "_owner",
        "_passes",
        "_probe_every_s",
        "_receiver",
        "_rows",
        "_users",
    )

    def __init__(
        self,
        ctx: Context,
        *,
        rows: PgPublished,
        receiver: SignalReceiver,
        limits: SignalLimits,
        users: Sequence[UserId],
        owner: str,
        probe_every_s: float,
    ) -> None:
        """`probe_every_s`: how often the receiver is asked whether it is there while there is nothing to tell."""
        super().__init__(ctx, leave=lambda: rows.leave(receiver.name, owner))
        self._probe_every_s = probe_every_s
        self._rows = rows
        self._receiver = receiver
        self._limits = limits
        self._users = users
        self._owner = owner
        self._entered = False
        self._passes = 0
        self._contact_s = float("-inf")

    def goes_on(self, message: object) -> None:
        match message:
            case Taken():
                self._taken(message)
            case Ended():
                self._ended(message)
            case _:
                raise TypeError(f"{self.ctx.name} cannot handle {type(message).__name__}")

    def look(self) -> None:
        now_s = self.ctx.clock.monotonic()
        self._passes += 1
        rows, name, owner, limits, users = (
            self._rows,
            self._receiver.name,
            self._owner,
            self._limits,
            self._users,
        )
        enter, forget = not self._entered, self._passes % FORGET_EVERY == 1

        def look() -> Taken:
            if enter:
                rows.enter(name)
            if forget:
                rows.forget_old()
            more = rows.gather(limits, users) == GATHERED_AT_ONCE
            found = rows.take(name, owner)
            if found is None:
                return Taken(signals=None, more=more)
            # From before the rows were read: rather too early over than too late.
            signals = tuple(
                Timed(id=each.id, content=each.content, until_s=now_s + each.left_s) for each in found
            )
            return Taken(signals=signals, more=more)

        self.ctx.call(look, lambda taken: taken, lambda _: Taken(signals=None))

    def _taken(self, taken: Taken) -> None:
        self._entered |= taken.signals is not None
        signals, now_s = taken.signals, self.ctx.clock.monotonic()
        if signals is None or (not signals and (taken.more or now_s - self._contact_s < self._probe_every_s)):
            self.over(more=taken.more)
            return
        receiver, monotonic = self._receiver, self.ctx.clock.monotonic

        async def tell() -> Delivered:
            if signals:
                return await receiver.tell(signals, monotonic)
            await receiver.probe()
            return Delivered(settled=0)

        self.ctx.run(
            tell(),
            lambda delivered: Ended(signals, delivered),
            lambda error: Ended(signals, Delivered(settled=0, error=why_not(error))),
            timeout_s=TELL_S,
        )

    def _ended(self, ended: Ended) -> None:
        delivered = ended.delivered
        self.told(delivered.error)
        if delivered.error is None:
            self._contact_s = self.ctx.clock.monotonic()
        rows, name, owner = self._rows, self._receiver.name, self._owner
        settled = ended.signals[: delivered.settled]
        sent = delivered.settled - delivered.expired - delivered.refused
        progress = Progress(
            last_id=settled[-1].id if settled else 0,
            sent=sent,
            expired=delivered.expired,
            refused=delivered.refused,
        )

        def write() -> bool:
            rows.told(name, owner, progress)
            if delivered.error is not None:
                rows.failed(name, owner, delivered.error)
            return delivered.error is None and bool(ended.signals)

        self.note(write)
