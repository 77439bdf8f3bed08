"""The leave of one order's first byte: switch, lease and the order itself, re-read just before it (I5, I8)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import Any, Final, Protocol

from core.clock import Clock
from core.errors import Reason
from core.order import Order
from exchanges.errors import Withheld
from schema.store import Store, StoreUnavailable

FRESH_S: Final = 0.1
"""What was read longer ago is read again: the order has waited for its turn or a connection meanwhile."""
SILENCE_S: Final = 1.0
"""How old the re-read of switch, lease and order may be when the first byte leaves (I8)."""
OUTDATED: Final = "permission_outdated"


class Permits(Protocol):
    def ask(self, order: Order) -> Awaitable[Reason | None]:
        """Why the order must not leave, as its rows are from now on; None: it may.

        STORE_UNAVAILABLE where they could not be read. Whoever asks need not wait for the answer.
        """
        ...


class Later:
    """What a coroutine answers, begun only when it is awaited."""

    __slots__ = ("_ask",)

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, Reason | None]]) -> None:
        self._ask = ask

    def __await__(self) -> Generator[Any, None, Reason | None]:
        return self._ask().__await__()


class StorePermits:
    """Of a store that answers without being waited for, as one in memory does."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def ask(self, order: Order) -> Awaitable[Reason | None]:
        return Later(partial(self._asked, order))

    async def _asked(self, order: Order) -> Reason | None:
        try:
            [refusal] = self._store.may_send([(order.client_order_id, order.fence)])
        except StoreUnavailable:
            return Reason.STORE_UNAVAILABLE
        return refusal


class Permit:
    """Asked for when it is made, so that the answer comes while the request is written; called where the first byte
    leaves. Raises Withheld where it may not.

    A process that was stopped after the re-read, and then goes on, may have lost its lease meanwhile, or the switch may
    have been set: what it read counts for SILENCE_S of process time.
    """

    __slots__ = ("_asked_at_s", "_clock", "_order", "_permits", "_said")

    def __init__(self, order: Order, permits: Permits, clock: Clock) -> None:
        self._order = order
        self._permits = permits
        self._clock = clock
        self._ask()

    async def __call__(self) -> None:
        refusal = await self._said
        if refusal is None and self._age_s() > FRESH_S:
            self._ask()
            refusal = await self._said
        if refusal is not None:
            raise Withheld(refusal)
        if self._age_s() > SILENCE_S:
            raise Withheld(OUTDATED)

    def _ask(self) -> None:
        self._asked_at_s = self._clock.monotonic()
        self._said = self._permits.ask(self._order)

    def _age_s(self) -> float:
        return self._clock.monotonic() - self._asked_at_s
