"""ConfigKeeper: brings what an administrator changed, on whichever process, to this one."""

from __future__ import annotations

from typing import Final

import msgspec

from actors.messages import Message
from actors.runtime.behaviour import Behaviour, Context
from core.live_settings import LiveSettings
from schema.pg_config import PgConfig

NAME: Final = "config"
PASS_S: Final = 15.0
"""How often the rows are read again, for hints that were lost."""


class ConfigChanged(Message, frozen=True, kw_only=True):
    """To the ConfigKeeper: an administrator has changed something (a hint)."""


class OverridesRead(msgspec.Struct, frozen=True):
    """None: the database did not answer; what was in force stays."""

    overrides: dict[str, str] | None


class ConfigKeeper(Behaviour):
    __slots__ = ("_live", "_rows")

    def __init__(self, ctx: Context, *, rows: PgConfig, live: LiveSettings) -> None:
        super().__init__(ctx)
        self._rows = rows
        self._live = live

    def started(self) -> None:
        self.ctx.after(0.0, ConfigChanged())
        self.ctx.after(PASS_S, ConfigChanged(), every=PASS_S)

    def receive(self, message: object) -> None:
        match message:
            case ConfigChanged():
                self.ctx.call(self._rows.overrides, OverridesRead, lambda _: OverridesRead(None))
            case OverridesRead():
                if message.overrides is not None:
                    self._live.put(message.overrides)
            case _:
                raise TypeError(f"{NAME} cannot handle {type(message).__name__}")
