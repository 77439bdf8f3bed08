"""Each way in which a venue's books and our rows may tell of a duplicate, a loss or a bare position is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from bin.drill.books import OurBooks
from bin.drill.crash_checks import LOST, ONCE, RE_SENT, STOPS, UNSETTLED, Venues, found
from bin.drill.traders import Trader
from core.connection import Venue
from core.ids import AccountId, OrderKey, RunId, UserId, client_order_id
from schema.evidence import OrderRow

RUN, ACCOUNT = RunId(UUID(int=1)), AccountId(UUID(int=2))
SLOT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
TRADER = Trader(name="ann", venue=Venue.BINANCE, user_id=UserId("ann"), account_id=ACCOUNT, run_id=RUN)


def one(leg: str, attempt: int = 1) -> str:
    return client_order_id(OrderKey(run_id=RUN, slot=SLOT, leg=leg, attempt=attempt))


def order(client_id: str, filled: str = "2", quantity: str = "2", **more: Any) -> dict[str, Any]:
    told = {"client_id": client_id, "filled": filled, "quantity": quantity, "origin": "client"}
    return told | {"conditional_id": None} | more


def stop(quantity: str | None = "2", **more: Any) -> dict[str, Any]:
    told = {"client_id": "p-s1", "status": "new", "kind": "stop", "symbol": "BTCUSDT", "quantity": quantity}
    return told | {"close_position": False, "of_position": False} | more


class Told:
    """One entry of 2, filled, held and protected."""

    def __init__(self) -> None:
        self.orders = [order(one("entry"))]
        self.conditionals = [stop()]
        self.positions = [{"symbol": "BTCUSDT", "side": "both", "quantity": "2"}]
        self.created = {one("entry"): 1, "p-s1": 1, "somebody-else": 2}
        self.sent = [self.request(one("entry"))]
        self.rows = [self.row(one("entry"))]
        self.ours = Decimal(2)

    @staticmethod
    def request(client_id: str) -> dict[str, Any]:
        return {"method": "POST", "path": "/fapi/v1/order", "client_id": client_id}

    @staticmethod
    def row(client_id: str, status: str = "filled", filled: str = "2") -> OrderRow:
        return OrderRow(client_id, ACCOUNT, RUN, "entry", status, Decimal(filled))

    def found(self) -> Mapping[str, list[str]]:
        account = {"orders": self.orders, "conditionals": self.conditionals, "positions": self.positions}
        venues = Venues(
            accounts={Venue.BINANCE: {"ann": {**account, "trades": [], "income": []}}},
            created={Venue.BINANCE: self.created},
            sent={Venue.BINANCE: self.sent},
        )
        books = OurBooks(fills={}, realised={}, risk={}, funding=Decimal(0), quantity=self.ours)
        return found(venues, self.rows, {ACCOUNT: books}, [TRADER])


def test_what_was_done_once_and_is_known_is_passed() -> None:
    assert Told().found() == {}


@pytest.mark.parametrize(
    "more",
    [
        [order(one("exit"), "1.5"), order(one("exit", 2), "0.5", "0.5")],
        [order("web-1", origin="liquidation"), order("p-s1", conditional_id=7)],
    ],
    ids=["an exit filled in part is tried again", "the venue's own orders need no row"],
)
def test_what_may_be_is_passed(more: list[dict[str, Any]]) -> None:
    told = Told()
    told.orders += more
    ours = [each for each in more if each["origin"] == "client" and each["conditional_id"] is None]
    told.rows += [Told.row(each["client_id"], filled=each["filled"]) for each in ours]
    assert told.found() == {}


def _twice(told: Told) -> None:
    told.created[one("entry")] = 2


def _second_attempt_filled(told: Told) -> None:
    told.orders.append(order(one("entry", 2)))
    told.rows.append(Told.row(one("entry", 2)))


def _exit_filled_twice(told: Told) -> None:
    told.orders += [order(one("exit")), order(one("exit", 2))]
    told.rows += [Told.row(one("exit")), Told.row(one("exit", 2))]


def _re_sent(told: Told) -> None:
    told.sent.append(Told.request(one("entry")))


def _missing_row(told: Told) -> None:
    told.rows.clear()


def _less_in_the_rows(told: Told) -> None:
    told.rows[0] = Told.row(one("entry"), filled="1")


def _only_in_the_rows(told: Told) -> None:
    told.rows.append(Told.row(one("exit")))


def _another_position(told: Told) -> None:
    told.ours = Decimal(1)


def _unknown(told: Told) -> None:
    told.rows[0] = Told.row(one("entry"), status="unknown")


def _no_stop(told: Told) -> None:
    told.conditionals[0]["status"] = "canceled"


def _two_stops(told: Told) -> None:
    told.conditionals.append(stop(client_id="p-s2"))


def _small_stop(told: Told) -> None:
    told.conditionals[0]["quantity"] = "1"


def _orphan(told: Told) -> None:
    told.positions.clear()
    told.ours = Decimal(0)


@pytest.mark.parametrize(
    ("breaks", "statement"),
    [
        (_twice, ONCE),
        (_second_attempt_filled, ONCE),
        (_exit_filled_twice, ONCE),
        (_re_sent, RE_SENT),
        (_missing_row, LOST),
        (_less_in_the_rows, LOST),
        (_only_in_the_rows, LOST),
        (_another_position, LOST),
        (_unknown, UNSETTLED),
        (_no_stop, STOPS),
        (_two_stops, STOPS),
        (_small_stop, STOPS),
        (_orphan, STOPS),
    ],
)
def test_what_may_not_be_is_found_and_named(breaks: Callable[[Told], None], statement: str) -> None:
    told = Told()
    breaks(told)
    assert list(told.found()) == [statement]
