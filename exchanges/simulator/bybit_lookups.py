"""Look-ups of the Bybit face: open orders, order history, executions, changes of the wallet.

The newest first, with cursors and windows. What was acknowledged is shown `ACK_S` later, the venue being asynchronous.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import islice
from typing import Any

from exchanges.simulator.account import Account
from exchanges.simulator.bybit_books import Books, Executed
from exchanges.simulator.bybit_call import Call
from exchanges.simulator.bybit_codes import VenueError, wrong
from exchanges.simulator.bybit_routes import Routes, reading
from exchanges.simulator.bybit_words import (
    CATEGORY,
    FUNDING,
    conditional_row,
    cursor,
    cursor_number,
    number_of,
    order_row,
    order_uid,
    text,
)
from exchanges.simulator.engine import Engine
from exchanges.simulator.model import ZERO, Conditional, Order, TriggerStatus

ACK_S = 0.01
DAY_MS = 24 * 3600 * 1000
WEEK_MS = 7 * DAY_MS
CLOSED_SHOWN = 500
_ORDERS_MAX, _EXECUTIONS_MAX = 50, 100
_KEY_SPAN = 10**18
Found = Order | Conditional
Keyed = tuple[int, Any]


def routes(engine: Engine, books: Books) -> Routes:
    lookups = BybitLookups(engine, books)
    return {
        ("GET", "/v5/order/realtime"): reading(lookups.realtime, "realtime"),
        ("GET", "/v5/order/history"): reading(lookups.history, "history"),
        ("GET", "/v5/execution/list"): reading(lookups.executions, "execution"),
        ("GET", "/v5/account/transaction-log"): reading(lookups.transactions, "transaction-log"),
    }


def find(call: Call, books: Books) -> Found | None:
    """By venue id, else by client id, seen or not yet; a conditional order that fired as what it became."""
    account = call.account
    order_id, link = call.optional("orderId"), call.optional("orderLinkId")
    if order_id is not None:
        number = number_of(order_id)
        if number is None:
            return None
        plain = account.by_id.get(number)
        if plain is not None:
            return plain
        conditional = books.conditionals.get(number)
    elif link is not None:
        known = account.by_client_id.get(link)
        if known is not None:
            return known
        conditional = books.conditional_by_link(account.name, link)
    else:
        raise wrong("orderId or orderLinkId")
    if conditional is None or conditional.account != account.name:
        return None
    return _became(account, conditional) or conditional


def page(found: Iterable[Keyed], call: Call, limit: int, row: Callable[[Any], Any]) -> dict[str, Any]:
    """Rows with the greatest keys first, from the cursor on."""
    since = cursor_number(call.optional("cursor"))
    ordered = sorted((each for each in found if since is None or each[0] < since), key=lambda each: -each[0])
    shown = ordered[:limit]
    more = cursor(shown[-1][0]) if len(ordered) > limit else ""
    return {"category": CATEGORY, "list": [row(thing) for _, thing in shown], "nextPageCursor": more}


def window(call: Call, now_ms: int) -> tuple[int, int]:
    """A week at most, the last one by default. Raises VenueError."""
    since, until = call.number("startTime"), call.number("endTime")
    if since is None:
        since = (now_ms if until is None else until) - WEEK_MS
    if until is None:
        until = since + WEEK_MS
    if until < since or until - since > WEEK_MS:
        raise VenueError(10001, "The time range between startTime and endTime cannot exceed 7 days")
    return since, until


def transaction_row(executed: Executed) -> dict[str, Any]:
    row, is_funding = executed.row, executed.exec_type == FUNDING
    fee = Decimal(row["execFee"])
    earned = -fee if is_funding else Decimal(row["execPnl"])
    return {
        "id": row["execId"],
        "type": "SETTLEMENT" if is_funding else "TRADE",
        "transSubType": "",
        "category": CATEGORY,
        "symbol": executed.symbol,
        "side": row["side"],
        "orderId": row["orderId"],
        "orderLinkId": row["orderLinkId"],
        "tradeId": row["execId"],
        "tradePrice": row["execPrice"],
        "qty": row["execQty"],
        "currency": row["feeCurrency"],
        "funding": text(earned) if is_funding else "",
        "fee": "0" if is_funding else row["execFee"],
        "feeRate": row["feeRate"],
        "cashFlow": "0" if is_funding else text(earned),
        "change": text(earned if is_funding else earned - fee),
        "cashBalance": text(executed.cash),
        "transactionTime": row["execTime"],
        "bonusChange": "",
        "extraFees": "",
    }


class BybitLookups:
    def __init__(self, engine: Engine, books: Books) -> None:
        self._engine = engine
        self._books = books

    def realtime(self, call: Call) -> dict[str, Any]:
        """Open orders; by id those that ended lately as well, as with openOnly=1."""
        _check_category(call)
        if "orderId" in call.params or "orderLinkId" in call.params:
            return self._one(call, lambda found: _is_open(found) or self._is_recent(call.account, found))
        if call.number("openOnly") == 1:
            found: Iterable[Found] = self._recent(call.account)
        else:
            if not any(call.optional(name) for name in ("symbol", "settleCoin", "baseCoin")):
                raise wrong("symbol")
            account = call.account
            waiting = (c for c in account.conditionals.values() if c.status is TriggerStatus.NEW)
            found = [*account.orders.values(), *waiting]
        return self._listed(call, found)

    def history(self, call: Call) -> dict[str, Any]:
        """Orders that ended; without a fill for a day. The window holds for one asked for by its id as well."""
        _check_category(call)
        since, until = window(call, self._engine.now_ms)
        if "orderId" in call.params or "orderLinkId" in call.params:
            return self._one(call, lambda found: since <= found.created_ms <= until and self._is_kept(found))
        every: list[Found] = [*call.account.ended, *_never_orders(call.account)]
        ended = [each for each in every if since <= each.created_ms <= until and self._is_kept(each)]
        return self._listed(call, ended)

    def executions(self, call: Call) -> dict[str, Any]:
        """Trades, liquidations and funding, of one order as well: within the window."""
        _check_category(call)
        found = [
            (each.serial, each)
            for each in self._candidates(call)
            if self._matches(call, each) and self._is_shown(each.created_s)
        ]
        return page(found, call, call.limit(50, _EXECUTIONS_MAX), lambda each: each.row)

    def transactions(self, call: Call) -> dict[str, Any]:
        """Changes of the wallet: trades and, as settlements, funding."""
        kind, (since, until) = call.optional("type"), window(call, self._engine.now_ms)
        found = [
            (each.serial, each)
            for each in self._books.executions[call.account.name]
            if since <= each.at_ms <= until
            and self._is_shown(each.created_s)
            and kind in (None, "SETTLEMENT" if each.exec_type == FUNDING else "TRADE")
        ]
        return page(found, call, call.limit(20, _ORDERS_MAX), transaction_row)

    # -- orders

    def row(self, found: Found) -> dict[str, Any]:
        if isinstance(found, Order):
            return order_row(found, self._books.conditional_of(found))
        request = found.request
        quantity = request.quantity
        if quantity is None:
            account = self._engine.account(found.account)
            quantity = account.closable(request.symbol, request.position_side, request.side)
        return conditional_row(found, quantity)

    def _one(self, call: Call, is_told: Callable[[Found], bool]) -> dict[str, Any]:
        found = find(call, self._books)
        if found is not None and not is_told(found):
            found = None
        return self._listed(call, [] if found is None else [found])

    def _listed(self, call: Call, found: Iterable[Found]) -> dict[str, Any]:
        symbol, kinds = call.optional("symbol"), call.optional("orderFilter")
        keyed = [
            (each.created_ms * _KEY_SPAN + _number(each), each)
            for each in found
            if (symbol is None or each.request.symbol == symbol)
            and self._is_shown(each.created_s)
            and (kinds is None or (kinds == "StopOrder") == _is_stop(each))
        ]
        return page(keyed, call, call.limit(20, _ORDERS_MAX), self.row)

    def _recent(self, account: Account) -> list[Found]:
        orders = islice(reversed(account.ended), CLOSED_SHOWN)
        conditionals = islice(reversed(account.conditionals_ended), CLOSED_SHOWN)
        return [*orders, *(c for c in conditionals if c.order_id is None)]

    def _is_recent(self, account: Account, found: Found) -> bool:
        ended = account.ended if isinstance(found, Order) else account.conditionals_ended
        return any(each is found for each in islice(reversed(ended), CLOSED_SHOWN))

    def _is_kept(self, found: Found) -> bool:
        if _is_open(found):
            return False
        is_filled = isinstance(found, Order) and found.filled > ZERO
        return is_filled or self._engine.now_ms - found.updated_ms <= DAY_MS

    def _is_shown(self, created_s: float) -> bool:
        engine = self._engine
        return engine.is_visible(created_s) and engine.clock.process_s() - created_s >= ACK_S

    # -- executions

    def _candidates(self, call: Call) -> Iterable[Executed]:
        """Of an order, or of the account from the newest until the window's start."""
        account, (since, until) = call.account, window(call, self._engine.now_ms)
        if call.optional("orderId") is not None or call.optional("orderLinkId") is not None:
            found = find(call, self._books)
            named = order_uid(found) if isinstance(found, Order) else call.optional("orderId") or ""
            own = self._books.of_order(account.name, named)
            return [each for each in own if since <= each.at_ms <= until]
        told = []
        for each in reversed(self._books.executions[account.name]):
            if each.at_ms < since:
                break
            if each.at_ms <= until:
                told.append(each)
        return told

    def _matches(self, call: Call, executed: Executed) -> bool:
        symbol, kind = call.optional("symbol"), call.optional("execType")
        return symbol in (None, executed.symbol) and kind in (None, executed.exec_type)


def _check_category(call: Call) -> None:
    if call.text("category") != CATEGORY:
        raise wrong("category")


def _never_orders(account: Account) -> Iterable[Conditional]:
    """Conditional orders that ended without becoming an order."""
    return (c for c in account.conditionals_ended if c.order_id is None)


def _became(account: Account, conditional: Conditional) -> Order | None:
    if conditional.order_id is not None:
        return account.by_id.get(conditional.order_id)
    if conditional.status is not TriggerStatus.TRIGGERED:
        return None
    number = conditional.conditional_id
    return next((order for order in account.orders.values() if order.conditional_id == number), None)


def _is_open(found: Found) -> bool:
    if isinstance(found, Order):
        return found.is_open
    return found.status in (TriggerStatus.NEW, TriggerStatus.TRIGGERED)


def _is_stop(found: Found) -> bool:
    return isinstance(found, Conditional) or found.conditional_id is not None


def _number(found: Found) -> int:
    return found.order_id if isinstance(found, Order) else found.conditional_id
