"""AlertWatch: looks at what is wrong, over and over; of several processes one at a time does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from actors.runtime.behaviour import Behaviour, Context
from core.alerts import Changes, Thresholds
from schema.pg_alerts import PgAlerts

NAME: Final = "alerts"
LOOK_EVERY_S: Final = 15.0


class LookDue(msgspec.Struct, frozen=True):
    """Time to look."""


class Looked(msgspec.Struct, frozen=True):
    """None: another process is at it, or the database did not answer, which is somebody else's to tell."""

    changes: Changes | None


class AlertWatch(Behaviour):
    __slots__ = ("_looking", "_rows", "_thresholds")

    def __init__(self, ctx: Context, *, rows: PgAlerts, thresholds: Callable[[], Thresholds]) -> None:
        """`thresholds`: as they are when they are asked for."""
        super().__init__(ctx)
        self._rows = rows
        self._thresholds = thresholds
        self._looking = False

    def started(self) -> None:
        self.ctx.after(LOOK_EVERY_S, LookDue(), every=LOOK_EVERY_S)

    def receive(self, message: object) -> None:
        match message:
            case LookDue():
                self._look()
            case Looked():
                self._looking = False
                for alert in () if message.changes is None else message.changes.raised:
                    said = f"{alert.subject}: {alert.detail}" if alert.subject else alert.detail
                    self.ctx.system.reports.alert(self.ctx.name, alert.kind.value, said)
            case _:
                raise TypeError(f"{NAME} cannot handle {type(message).__name__}")

    def _look(self) -> None:
        if not self._looking:
            self._looking = True
            self.ctx.call(lambda: self._rows.look(self._thresholds()), Looked, lambda _: Looked(None))
