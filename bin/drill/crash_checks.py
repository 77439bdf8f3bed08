"""What may not be after a blow, told from the venues' journals and ledgers and from our rows. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from bin.drill.books import OurBooks, compare
from bin.drill.traders import Trader
from core.connection import Venue
from core.ids import ClientOrderId, parse_client_order_id
from core.order import TERMINAL, Leg, OrderStatus
from schema.evidence import OrderRow

ORDER_PATHS: Final = frozenset({("POST", "/fapi/v1/order"), ("POST", "/v5/order/create")})
"""Requests that make an order of a leg; stops and targets go elsewhere."""

ONCE: Final = "I3: no client id made two orders at a venue, and no leg was filled by two attempts"
RE_SENT: Final = "I4: no order was sent a second time"
LOST: Final = "no order and no trade at a venue is missing in the rows, and none is only there"
UNSETTLED: Final = "I4: no order is left without an outcome"
STOPS: Final = "what is open has one stop at the venue, of its size, and what is flat has none"


class Venues(msgspec.Struct, frozen=True, kw_only=True):
    """What the venues say: accounts by name (`exchanges/simulator/ledger.py`), journals."""

    accounts: Mapping[Venue, Mapping[str, Any]]
    created: Mapping[Venue, Mapping[str, int]]
    sent: Mapping[Venue, Iterable[Mapping[str, Any]]]
    """Entries of the journals."""


def found(
    venues: Venues,
    orders: Iterable[OrderRow],
    books: Mapping[Any, OurBooks],
    traders: Iterable[Trader],
) -> dict[str, list[str]]:
    """By statement, what breaks it."""
    rows = {row.client_order_id: row for row in orders}
    told: dict[str, list[str]] = {text: [] for text in (ONCE, RE_SENT, LOST, UNSETTLED, STOPS)}
    for venue, created in venues.created.items():
        told[ONCE] += [f"{venue}: {one} made {times}" for one, times in _ours(created) if times > 1]
        told[RE_SENT] += [f"{venue}: {text}" for text in _re_sent(venues.sent[venue])]
    for trader in traders:
        account = venues.accounts[trader.venue][trader.name]
        place = f"{trader.name} at {trader.venue}"
        told[ONCE] += [f"{place}: {text}" for text in _filled_twice(account)]
        told[LOST] += [f"{place}: {text}" for text in _lost(trader, account["orders"], rows)]
        told[LOST] += compare(trader, account, books[trader.account_id]).differences
        told[STOPS] += [f"{place}: {text}" for text in _unprotected(account)]
    for row in rows.values():
        if OrderStatus(row.status) not in TERMINAL:
            told[UNSETTLED].append(f"{row.client_order_id} is {row.status}")
    return {text: rows for text, rows in told.items() if rows}


def _ours(created: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    yield from ((one, times) for one, times in created.items() if _is_ours(one))


def _is_ours(client_id: str) -> bool:
    return parse_client_order_id(ClientOrderId(client_id)) is not None


def _re_sent(sent: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    times = Counter(
        entry["client_id"]
        for entry in sent
        if (entry["method"], entry["path"]) in ORDER_PATHS and _is_ours(entry.get("client_id", ""))
    )
    yield from (f"{one} was sent {number} times" for one, number in times.items() if number > 1)


def _filled_twice(account: Mapping[str, Any]) -> Iterator[str]:
    """An exit whose attempt was filled in part is tried again for the rest; nothing else is."""
    filled: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for order in account["orders"]:
        key = parse_client_order_id(ClientOrderId(order["client_id"]))
        if key is not None and Decimal(order["filled"]):
            filled[key.run_id, key.slot, key.leg].append(order)
    for (_, _, leg), attempts in filled.items():
        whole = [order for order in attempts if leg == Leg.ENTRY or order["filled"] == order["quantity"]]
        if len(attempts) > 1 and whole != attempts[-1:]:
            yield " and ".join(
                f"{each['client_id']} ({each['filled']} of {each['quantity']})" for each in attempts
            )
    stops = Counter(each["client_id"] for each in account["conditionals"])
    yield from (f"{one} made {times} conditional orders" for one, times in stops.items() if times > 1)


def _lost(trader: Trader, orders: Iterable[Mapping[str, Any]], rows: Mapping[str, OrderRow]) -> Iterator[str]:
    seen = set()
    for order in orders:
        if order["origin"] != "client" or order["conditional_id"] is not None:
            continue
        one = order["client_id"]
        seen.add(one)
        row = rows.get(one)
        if row is None:
            yield f"order {one} is not in the rows"
        elif row.filled != Decimal(order["filled"]):
            yield f"order {one}: {order['filled']} filled at the venue, {row.filled} in the rows"
    for row in rows.values():
        if row.account_id == trader.account_id and row.filled and row.client_order_id not in seen:
            yield f"order {row.client_order_id} is filled in the rows alone"


def _unprotected(account: Mapping[str, Any]) -> Iterator[str]:
    stops: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for conditional in account["conditionals"]:
        if conditional["status"] == "new" and conditional["kind"] == "stop":
            stops[conditional["symbol"]].append(conditional)
    for position in account["positions"]:
        symbol, size = position["symbol"], abs(Decimal(position["quantity"]))
        standing = stops.pop(symbol, [])
        if len(standing) != 1:
            yield f"{symbol}: {len(standing)} stops for a position of {size}"
        elif not _covers(standing[0], size):
            yield f"{symbol}: a stop of {standing[0]['quantity']} for a position of {size}"
    yield from (f"{symbol}: {len(orphans)} stops and no position" for symbol, orphans in stops.items())


def _covers(stop: Mapping[str, Any], size: Decimal) -> bool:
    whole = stop["close_position"] or stop["of_position"]
    return bool(whole) or Decimal(stop["quantity"]) == size
