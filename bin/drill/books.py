"""Two books of the same accounts, the venue's own and ours, line by line and to the last cent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from bin.drill.traders import Trader
from core.ids import AccountId

CENT: Final = Decimal("0.01")
ZERO: Final = Decimal(0)


class OurBooks(msgspec.Struct, frozen=True, kw_only=True):
    """What the database says of one account. `fills` by trade id: (client id, side, quantity, price, commission)."""

    fills: Mapping[str, tuple[str | None, str, Decimal, Decimal, Decimal]]
    realised: Mapping[date, Decimal]
    """Of fills and funding, by UTC day."""
    risk: Mapping[date, Decimal]
    """As `strategy_risk_state` has it; of the user, who has this account alone."""
    funding: Decimal
    quantity: Decimal


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """`differences`: sentences, none where the books agree."""

    fills: int
    funding: int
    differences: tuple[str, ...]


def compare(trader: Trader, theirs: Mapping[str, Any], ours: OurBooks) -> Compared:
    """`theirs`: the account in the simulator's ledger."""
    differences = [*_fills(theirs["trades"], ours), *_money(theirs, ours)]
    held = sum((_signed(position) for position in theirs["positions"]), ZERO)
    if held != ours.quantity:
        differences.append(f"the venue holds {held}, the rows {ours.quantity}")
    funding = sum(1 for each in theirs["income"] if each["kind"] == "funding")
    told = tuple(f"{trader.name} at {trader.venue}: {difference}" for difference in differences)
    return Compared(fills=len(theirs["trades"]), funding=funding, differences=told)


def _fills(trades: Iterable[Mapping[str, Any]], ours: OurBooks) -> Iterable[str]:
    seen = set()
    for trade in trades:
        trade_id = str(trade["trade_id"])
        seen.add(trade_id)
        booked = ours.fills.get(trade_id)
        if booked is None:
            yield f"fill {trade_id} of order {trade['client_id']} is not in the rows"
            continue
        there = (trade["side"], Decimal(trade["quantity"]), Decimal(trade["price"]), Decimal(trade["fee"]))
        if there != booked[1:]:
            yield f"fill {trade_id}: {there} at the venue, {booked[1:]} in the rows"
    for trade_id in sorted(ours.fills.keys() - seen):
        yield f"fill {trade_id} is in the rows alone"


def _money(theirs: Mapping[str, Any], ours: OurBooks) -> Iterable[str]:
    by_day: dict[date, Decimal] = {}
    for income in theirs["income"]:
        if income["kind"] in ("realised", "commission", "funding"):
            day = datetime.fromtimestamp(income["at_ms"] / 1000, UTC).date()
            by_day[day] = by_day.get(day, ZERO) + Decimal(income["amount"])
    for day in sorted({*by_day, *ours.realised, *ours.risk}):
        there, here, risk = (book.get(day, ZERO) for book in (by_day, ours.realised, ours.risk))
        if abs(there - here) >= CENT or abs(here - risk) >= CENT:
            yield f"on {day} the venue made {there}, the fills {here}, the risk day {risk}"
    paid = sum((Decimal(i["amount"]) for i in theirs["income"] if i["kind"] == "funding"), ZERO)
    if abs(paid - ours.funding) >= CENT:
        yield f"the venue settled {paid} of funding, the rows {ours.funding}"


def _signed(position: Mapping[str, Any]) -> Decimal:
    quantity = Decimal(position["quantity"])
    return -quantity if position["side"] == "short" and quantity > 0 else quantity


def by_account(
    rows: Mapping[str, Iterable[tuple[Any, ...]]], traders: Iterable[Trader]
) -> dict[AccountId, OurBooks]:
    """From `schema.evidence.books`."""
    traders = list(traders)
    fills: dict[AccountId, dict[str, Any]] = {trader.account_id: {} for trader in traders}
    realised: dict[AccountId, dict[date, Decimal]] = {account_id: {} for account_id in fills}
    funding = dict.fromkeys(fills, ZERO)
    for account_id, trade_id, client_id, side, quantity, price, commission, made, day in rows["fills"]:
        if account_id not in fills:
            continue
        days = realised[account_id]
        days[day] = days.get(day, ZERO) + made
        if trade_id.startswith("funding:"):
            funding[account_id] += made
        else:
            fills[account_id][trade_id] = (client_id, side, quantity, price, commission)
    held: dict[AccountId, Decimal] = dict(rows["positions"])
    risk: dict[str, dict[date, Decimal]] = {}
    for user_id, day, made in rows["risk"]:
        risk.setdefault(user_id, {})[day] = made
    return {
        trader.account_id: OurBooks(
            fills=fills[trader.account_id],
            realised=realised[trader.account_id],
            risk=risk.get(trader.user_id, {}),
            funding=funding[trader.account_id],
            quantity=held.get(trader.account_id, ZERO),
        )
        for trader in traders
    }
