"""KeyKeeper: keeps this process's sealed keys in step with their rows, and asks venues within a day what keys may do.

Several processes share the questions: a row is claimed by one of them. A key that may withdraw by then stops its runs.
"""

from __future__ import annotations

from typing import Final

import msgspec

from actors.key_ring import KeyRing
from actors.keys import PROBE_TIMEOUT_S, Keys, Tested
from actors.messages import Message
from actors.runtime.behaviour import Behaviour, Context
from core.errors import RunnerError
from core.ids import AccountId
from schema.connections import Connection

PASS_S: Final = 60.0
"""How often rows are read again, for hints that were lost, and rights that are due."""
RIGHTS_EVERY_S: Final = 82_800.0
"""23 hours, so that with every delay a right that appears is found within 24."""
RETRY_S: Final = 900.0
CHECKS_A_PASS: Final = 16
_TEST_S: Final = PROBE_TIMEOUT_S + 5.0


class KeysChanged(Message, frozen=True, kw_only=True):
    """To the KeyKeeper: a connection's keys are others by now (a hint); None: hints may be missing."""

    account_id: AccountId | None


class Pass(msgspec.Struct, frozen=True):
    """Read rows again, and see which rights are due."""


class Due(msgspec.Struct, frozen=True):
    """Claimed by this process."""

    connections: tuple[Connection, ...]


class Answered(msgspec.Struct, frozen=True):
    connection: Connection
    tested: Tested


class Done(msgspec.Struct, frozen=True):
    """Nothing further follows."""


class Failed(msgspec.Struct, frozen=True):
    error: Exception


class KeyKeeper(Behaviour):
    __slots__ = ("_keys", "_ring")

    def __init__(self, ctx: Context, *, keys: Keys, ring: KeyRing) -> None:
        super().__init__(ctx)
        self._keys = keys
        self._ring = ring

    def started(self) -> None:
        self.ctx.after(0.0, Pass())
        self.ctx.after(PASS_S, Pass(), every=PASS_S)

    def receive(self, message: object) -> None:
        match message:
            case KeysChanged():
                self._refresh(message.account_id)
            case Pass():
                self._refresh(None)
                self.ctx.call(self._claimed, Due, Failed)
            case Due():
                for connection in message.connections:
                    self._test(connection)
            case Answered():
                settle = lambda: self._keys.settle(message.connection, message.tested)  # noqa: E731
                self.ctx.call(settle, lambda _: Done(), Failed)
            case Failed():
                if not isinstance(message.error, RunnerError | TimeoutError):
                    raise message.error
                # The database or a venue is away: the next pass asks again.
            case Done():
                pass
            case _:
                raise TypeError(f"keys cannot handle {type(message).__name__}")

    def _refresh(self, account_id: AccountId | None) -> None:
        self.ctx.call(lambda: self._ring.refresh(account_id), lambda _: Done(), Failed)

    def _claimed(self) -> tuple[Connection, ...]:
        connections = self._keys.connections
        claimed = connections.claim_checks(every_s=RIGHTS_EVERY_S, retry_s=RETRY_S, limit=CHECKS_A_PASS)
        found = (connections.get(account_id) for account_id in claimed)
        return tuple(each for each in found if each is not None)

    def _test(self, connection: Connection) -> None:
        asking = self._keys.test(connection)
        self.ctx.run(asking, lambda tested: Answered(connection, tested), Failed, _TEST_S)
