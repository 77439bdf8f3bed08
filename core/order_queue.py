"""The places of one account's orders, with some kept for those that close: never all taken by entries.

An order holds its place from being asked for until the venue has answered, or will not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from core.ids import ClientOrderId
from core.order import Leg, Order

PLACES: Final = 1_000
RESERVED: Final = 200
"""Of them, for exits, flattens and repairs alone; an account has one of these a symbol under way."""


class OrderQueue:
    """Orders that were admitted, in the order they came."""

    __slots__ = ("_entries", "_held", "_places", "_reserved")

    def __init__(self, places: int = PLACES, reserved: int = RESERVED) -> None:
        if not 0 <= reserved <= places:
            raise ValueError(f"{reserved} of {places} places cannot be reserved")
        self._places = places
        self._reserved = reserved
        self._held: dict[ClientOrderId, Order] = {}
        self._entries = 0  # of those held

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, client_order_id: ClientOrderId) -> bool:
        return client_order_id in self._held

    def __iter__(self) -> Iterator[Order]:
        return iter(self._held.values())

    def admit(self, order: Order) -> bool:
        """Whether there was a place for it, which it has now."""
        if order.client_order_id in self._held:
            raise ValueError(f"order {order.client_order_id} has its place")
        if len(self._held) >= self._places:
            return False
        if not closes(order):
            if self._entries >= self._places - self._reserved:
                return False
            self._entries += 1
        self._held[order.client_order_id] = order
        return True

    def leave(self, client_order_id: ClientOrderId) -> None:
        """The venue has answered, or will not: its place is free. Nothing happens where it had none."""
        order = self._held.pop(client_order_id, None)
        if order is not None and not closes(order):
            self._entries -= 1


def closes(order: Order) -> bool:
    """Whether it can only make a position smaller."""
    return order.leg is not Leg.ENTRY
