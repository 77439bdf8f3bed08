"""ClockKeeper: keeps this process's market clock in step with the database's settings, and leads a demo's time.

In a demo, market time stands at every minute until the ticks due then are durable, or `MAX_HOLD_S` have passed
(decision 2). Several processes may lead at once: whoever finds the ceiling lifted already adopts it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from actors.market_clock import MarketClock
from actors.messages import Message
from actors.runtime.behaviour import Behaviour, Context
from actors.runtime.reply import Reply
from core.timeframe import Timeframe
from exchanges.stand_in import StandIns
from schema.records import ClockSettings
from schema.store import Store

RESAMPLE_S = 30.0
"""How often the offset between this process's clock and the database's is measured anew."""

MAX_HOLD_S = 2.0
HOLD_POLL_S = 0.02
RETRY_S = 0.5
TELL_TIMEOUT_S = 5.0
STEP = Timeframe.M1


class ClockChanged(Message, frozen=True, kw_only=True):
    """To the ClockKeeper: somebody changed the settings (a hint)."""


class SetDemoClock(Message, frozen=True, kw_only=True):
    """To the ClockKeeper, asked: change a demo's speed (market seconds per second); 0 stands still."""

    rate: float


class Read(msgspec.Struct, frozen=True):
    settings: ClockSettings
    reply: Reply | None = None


class Failed(msgspec.Struct, frozen=True):
    again: object
    error: Exception
    reply: Reply | None = None


class CeilingReached(msgspec.Struct, frozen=True):
    """Market time stands at this slot."""

    slot: datetime


class HeldAt(msgspec.Struct, frozen=True):
    """How many runs are still undecided at the slot; `end`: the data ends here."""

    slot: datetime
    pending: int


class LookAgain(msgspec.Struct, frozen=True):
    slot: datetime


class Told(msgspec.Struct, frozen=True):
    """The stand-ins know the time, or will be told the next time."""


class ClockKeeper(Behaviour):
    __slots__ = (
        "_awaited",
        "_clock",
        "_data_end",
        "_held_at",
        "_hint",
        "_on_data_end",
        "_since_s",
        "_stand_ins",
        "_store",
    )

    def __init__(
        self,
        ctx: Context,
        *,
        store: Store,
        clock: MarketClock,
        hint: Callable[[], None],
        data_end: datetime | None = None,
        on_data_end: Callable[[], None] | None = None,
        stand_ins: StandIns | None = None,
    ) -> None:
        """`hint` tells other processes that the settings changed. At `data_end` a demo's time stops for good.

        `stand_ins`: simulated venues whose time is a demo's.
        """
        super().__init__(ctx)
        self._stand_ins = stand_ins
        self._store = store
        self._clock = clock
        self._hint = hint
        self._data_end = data_end
        self._on_data_end = on_data_end
        self._awaited: datetime | None = None  # the ceiling a timer is set for
        self._held_at: datetime | None = None  # the slot time stands at until its ticks are durable
        self._since_s = 0.0

    def started(self) -> None:
        self.ctx.after(RESAMPLE_S, ClockChanged(), every=RESAMPLE_S)
        self._read()

    def receive(self, message: object) -> None:
        match message:
            case ClockChanged():
                self._read()
            case Read():
                self._adopt(message)
            case SetDemoClock():
                self._set_rate(message.rate, self.ctx.reply_later())
            case CeilingReached():
                self._ceiling_reached(message.slot)
            case LookAgain():
                self._look(message.slot)
            case Told():
                pass
            case HeldAt():
                self._held(message)
            case Failed():
                if message.reply is not None:
                    message.reply.fail(message.error)
                else:
                    self.ctx.after(RETRY_S, message.again)
            case _:
                raise TypeError(f"clock cannot handle {type(message).__name__}")

    def _read(self) -> None:
        self.ctx.call(self._store.clock, Read, lambda error: Failed(ClockChanged(), error))

    def _adopt(self, read: Read) -> None:
        self._clock.update(read.settings)
        self.ctx.system.timers.wake()
        if read.reply is not None:
            read.reply.set(read.settings)
        if not read.settings.demo:
            return
        self._tell_stand_ins(read.settings)
        if read.settings.ceiling is None:
            self._lift(STEP.floor(self._clock.now()))
        elif read.settings.ceiling not in (self._awaited, self._held_at):
            self._awaited = read.settings.ceiling
            self.ctx.at(read.settings.ceiling, CeilingReached(read.settings.ceiling))

    def _tell_stand_ins(self, settings: ClockSettings) -> None:
        if self._stand_ins is not None:
            self.ctx.run(
                self._stand_ins.set_clock(at=self._clock.now(), rate=settings.rate, ceiling=settings.ceiling),
                lambda _: Told(),
                lambda _: Told(),
                timeout_s=TELL_TIMEOUT_S,
            )

    def _ceiling_reached(self, slot: datetime) -> None:
        if slot == self._awaited:
            self._awaited = None
        if slot == self._clock.settings.ceiling and slot != self._held_at:
            self._held_at = slot
            self._since_s = self.ctx.clock.monotonic()
            self._look(slot)

    def _look(self, slot: datetime) -> None:
        self.ctx.call(
            lambda: self._store.pending(STEP.floor(slot)),
            lambda pending: HeldAt(slot, pending),
            lambda error: Failed(LookAgain(slot), error),
        )

    def _held(self, held: HeldAt) -> None:
        if held.slot != self._held_at:
            return
        if held.slot != self._clock.settings.ceiling:
            self._held_at = None  # another process lifted it
            return
        waited_s = self.ctx.clock.monotonic() - self._since_s
        if held.pending and waited_s < MAX_HOLD_S:
            self.ctx.after(HOLD_POLL_S, LookAgain(held.slot))
        elif self._data_end is not None and held.slot >= self._data_end:
            if self._on_data_end is not None:
                self._on_data_end()
        else:
            # Forgotten at once: should the lift be undone, by a change of speed at the same moment or a lift
            # that another process was late with, the ceiling is a new one to wait for.
            self._held_at = None
            self._lift(held.slot)

    def _lift(self, slot: datetime) -> None:
        """Let time run to the next minute, unless somebody has already.

        `slot` is between two minutes where time was past the ceiling it was given: at the first of all.
        """
        store, hint, ceiling = self._store, self._hint, STEP.floor(slot) + STEP.delta

        def lift() -> ClockSettings:
            settings = store.clock()
            if settings.ceiling is None or settings.ceiling <= slot:
                settings = store.set_clock(ceiling=ceiling)
                hint()
            return settings

        self.ctx.call(lift, Read, lambda error: Failed(ClockChanged(), error))

    def _set_rate(self, rate: float, reply: Reply) -> None:
        store, hint = self._store, self._hint

        def change() -> ClockSettings:
            settings = store.set_clock(rate=rate, ceiling=store.clock().ceiling)
            hint()
            return settings

        self.ctx.call(
            change, lambda settings: Read(settings, reply), lambda error: Failed(None, error, reply)
        )
