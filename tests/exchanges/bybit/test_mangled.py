"""Whatever becomes of an answer on its way, calls end in a value or an error that says what may be concluded."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.errors import RunnerError
from core.protection import Protection
from exchanges.base import MarginMode, PositionMode
from exchanges.bybit.adapter import BybitExchange
from exchanges.errors import NotPlaced, OutcomeUnknown, Rejected
from exchanges.wire import Answer, Request, unconditional
from tests.exchanges.bybit.account import Account, order, run
from tests.fakes.bybit import SYMBOL
from tests.fakes.loop_clock import START

ID = order().client_order_id
WANTED = Protection(stop_loss=Decimal(59_000), take_profit=Decimal(61_000))
MODES: Any = {"margin_mode": MarginMode.CROSS, "position_mode": PositionMode.ONE_WAY}
CALLS: dict[str, Callable[[BybitExchange], Any]] = {
    "connect": lambda it: it.connect(),
    "find": lambda it: it.find(SYMBOL, ID),
    "cancel": lambda it: it.cancel(SYMBOL, ID),
    "open_orders": lambda it: it.open_orders(SYMBOL),
    "executions": lambda it: it.executions(SYMBOL, START),
    "positions": lambda it: it.positions(),
    "balance": lambda it: it.balance(),
    "configure": lambda it: it.configure(SYMBOL, leverage=3, **MODES),
    "rules": lambda it: it.rules(SYMBOL),
    "protect": lambda it: it.protect(SYMBOL, WANTED),
    "funding": lambda it: it.funding(START),
    "key_rights": lambda it: it.key_rights(),
    "leverage_tiers": lambda it: it.leverage_tiers(SYMBOL),
}
VALUES = st.sampled_from(
    [None, "", "0", "-1", "NaN", "1e999999999", "?", 0, -1, 10**20, 1.5, True, [], {}, [None], "9" * 500]
)


def damaged(data: st.DataObject, *, spared: str = "") -> Account:
    """An account with a position, the answers to which are damaged from here on, but for those of one path."""
    account = Account()
    run(account.exchange.place(order(), unconditional))

    def damage(request: Request, answer: Answer) -> Answer:
        if request.path == spared or not data.draw(st.booleans(), label="damaged"):
            return answer
        body = answer.body
        if data.draw(st.integers(0, 3), label="cut") == 0:
            body = body[: data.draw(st.integers(0, len(body) - 1), label="at")]
        else:
            body = mangled(json.loads(body), data)
        return Answer(status=answer.status, headers=answer.headers, body=body)

    account.fake.damage = damage
    return account


def mangled(message: Any, data: st.DataObject) -> bytes:
    """The message with one value, somewhere in it, replaced."""
    where = message
    while where:
        keys = list(where) if isinstance(where, dict) else list(range(len(where)))
        key = data.draw(st.sampled_from(keys), label="key")
        inner = where[key]
        if isinstance(inner, dict | list) and inner and data.draw(st.integers(0, 4), label="deeper"):
            where = inner
            continue
        where[key] = data.draw(VALUES, label="value")
        break
    return json.dumps(message).encode()


@given(call=st.sampled_from(list(CALLS)), data=st.data())
def test_a_call_raises_errors_of_ours_alone(call: str, data: st.DataObject) -> None:
    account = damaged(data)
    with suppress(RunnerError):
        run(CALLS[call](account.exchange))


@given(st.data())
def test_i3_a_placement_with_damaged_answers_happens_once_and_concludes_no_more_than_it_may(
    data: st.DataObject,
) -> None:
    account = damaged(data)
    asked = order(attempt=2)
    try:
        report = run(account.exchange.place(asked, unconditional))
        assert report.client_order_id == asked.client_order_id
    except (NotPlaced, Rejected, OutcomeUnknown):
        pass
    assert [path for path in account.fake.paths() if path == "/v5/order/create"] == ["/v5/order/create"] * 2


@given(st.data())
def test_i3_damaged_look_ups_take_nothing_back_from_an_acknowledged_order(data: st.DataObject) -> None:
    account = damaged(data, spared="/v5/order/create")
    asked = order(attempt=2)
    assert run(account.exchange.place(asked, unconditional)).client_order_id == asked.client_order_id
