"""The account behind the Bybit adapter: executions, funding, positions, settings, protection, the rights of a key."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from core.errors import ImpossibleVenueData
from core.order import Leg
from core.position import OrderSide
from core.protection import Protection
from exchanges.base import Balance, MarginMode, PositionMode
from exchanges.errors import (
    Refusal,
    Rejected,
    Unreachable,
)
from exchanges.wire import unconditional
from tests.exchanges.bybit.account import Account, open_position, order, run, sent
from tests.fakes.bybit import SYMBOL, refuses, says
from tests.fakes.loop_clock import START

D = Decimal
CREATE = "/v5/order/create"


def test_executions_come_oldest_first_with_whose_they_are() -> None:
    account = Account()
    run(account.exchange.place(order(), unconditional))
    account.clock.move(60)
    row = {"symbol": SYMBOL, "orderId": "x", "orderLinkId": "", "qty": "0.1", "side": "Sell"}
    account.fake.execute(row, D("0.03"), execType="BustTrade")
    account.fake.execute(row, D("0.02"))
    account.fake.execute(row, D("0"), execType="Funding")
    told = run(account.exchange.executions(SYMBOL, START))
    assert [execution.venue_leg for execution in told] == [None, Leg.LIQUIDATION, Leg.MANUAL]
    later = run(account.exchange.executions(SYMBOL, START + timedelta(seconds=60)))
    assert [execution.trade_id for execution in later] == ["exec-2", "exec-3"]


def test_a_long_time_is_asked_for_in_weeks() -> None:
    account = Account()
    run(account.exchange.executions(SYMBOL, START - timedelta(days=20)))
    asked = sent(account, "/v5/execution/list")
    assert len(asked) == 3
    spans = [(int(one["startTime"]), int(one["endTime"])) for one in asked]
    assert all(end == start for (_, end), (start, _) in pairwise(spans))


def test_a_commission_in_another_asset_is_converted_at_a_price_asked_once_a_minute() -> None:
    account = Account()
    account.fake.fee_currency = "MNT"
    report = run(account.exchange.place(order(), unconditional))
    assert report.executions[0].fill.commission == D("7.50")
    run(account.exchange.executions(SYMBOL, START))
    assert account.fake.paths().count("/v5/market/tickers") == 1
    account.clock.move(61)
    run(account.exchange.executions(SYMBOL, START))
    assert account.fake.paths().count("/v5/market/tickers") == 2


def test_an_execution_from_the_future_cannot_be() -> None:
    account = Account()
    open_position(account)
    account.fake.executions[0]["execTime"] = str(account.fake.now_ms() + 2 * 3_600_000)
    with pytest.raises(ImpossibleVenueData):
        run(account.exchange.find(SYMBOL, order().client_order_id))


def test_funding_is_told_oldest_first() -> None:
    account = Account()
    row = {"symbol": SYMBOL, "orderId": "x", "orderLinkId": "", "qty": "0", "side": "Sell"}
    account.fake.execute(row, D("0"), execType="Funding", execFee="0.5")
    account.clock.move(8 * 3600)
    account.fake.execute(row, D("0"), execType="Funding", execFee="-0.2")
    account.fake.execute(row, D("0.1"))
    paid = run(account.exchange.funding(START))
    assert [(one.amount, one.symbol) for one in paid] == [(D("-0.5"), SYMBOL), (D("0.2"), SYMBOL)]


def test_positions_and_balance_are_as_the_venue_has_them() -> None:
    account = Account()
    assert run(account.exchange.positions()) == []
    open_position(account, side=OrderSide.SELL, stop_loss=D(61_000))
    (held,) = run(account.exchange.positions())
    assert (held.quantity, held.entry_price, held.leverage) == (D("-0.1"), D(60_000), 10)
    assert (held.stop_loss, held.take_profit) == (D(61_000), None)
    assert run(account.exchange.balance()) == Balance(balance=D(1000), available=D(899))


def test_an_answer_without_an_account_is_not_an_empty_one() -> None:
    account = Account()
    account.fake.faults["/v5/account/wallet-balance"] = [says(200, b'{"retCode":0,"result":{"list":[]}}')]
    with pytest.raises(Unreachable):
        run(account.exchange.balance())


WANTED = {"margin_mode": MarginMode.ISOLATED, "position_mode": PositionMode.ONE_WAY}


def test_settings_already_so_are_no_error_and_cost_nothing_twice() -> None:
    account = Account()
    run(account.exchange.connect())
    account.fake.asked.clear()
    for _ in range(2):
        run(account.exchange.configure(SYMBOL, leverage=5, **WANTED))
    assert account.fake.paths() == ["/v5/position/switch-mode", "/v5/position/set-leverage"]
    run(account.exchange.configure(SYMBOL, leverage=7, **WANTED))
    assert account.fake.asked[-1][1]["buyLeverage"] == "7"
    assert len(account.fake.asked) == 3


@pytest.mark.parametrize(("held_as", "exit_as"), [(0, 0), (1, 1)])
def test_after_a_restart_an_exit_names_the_position_as_it_is_held(held_as: int, exit_as: int) -> None:
    account = Account()
    open_position(account)
    account.fake.position_idx = held_as
    run(account.exchange.connect())
    run(account.exchange.place(order(Leg.EXIT), unconditional))
    assert [one["positionIdx"] for one in sent(account, CREATE)] == [exit_as]


def test_a_key_that_may_not_read_positions_still_connects() -> None:
    account = Account()
    account.fake.faults["/v5/position/list"] = [refuses(10005)]
    run(account.exchange.connect())
    assert not account.fake.faults["/v5/position/list"]


def test_settings_are_made_again_after_connecting_anew() -> None:
    account = Account()
    for _ in range(2):
        run(account.exchange.connect())
        run(account.exchange.configure(SYMBOL, leverage=5, **WANTED))
    assert account.fake.paths().count("/v5/position/set-leverage") == 2


def test_another_margin_mode_is_set_for_the_account() -> None:
    account = Account()
    run(account.exchange.connect())
    mode = {**WANTED, "margin_mode": MarginMode.CROSS}
    run(account.exchange.configure(SYMBOL, leverage=5, **mode))
    assert sent(account, "/v5/account/set-margin-mode") == [{"setMarginMode": "REGULAR_MARGIN"}]


def test_a_setting_that_cannot_change_now_is_refused_and_tried_again_next_time() -> None:
    account = Account()
    account.fake.faults["/v5/position/switch-mode"] = [refuses(110024)]
    with pytest.raises(Rejected) as failed:
        run(account.exchange.configure(SYMBOL, leverage=5, **WANTED))
    assert failed.value.refusal is Refusal.MODE
    run(account.exchange.configure(SYMBOL, leverage=5, **WANTED))
    assert account.fake.paths().count("/v5/position/switch-mode") == 2


def test_in_hedge_mode_an_order_names_the_position_it_is_for() -> None:
    account = Account()
    mode = {**WANTED, "position_mode": PositionMode.HEDGE}
    run(account.exchange.configure(SYMBOL, leverage=5, **mode))
    open_position(account)
    run(account.exchange.place(order(Leg.EXIT), unconditional))
    assert [one["positionIdx"] for one in sent(account, CREATE)] == [1]


def test_protection_is_set_stop_first_and_then_left() -> None:
    account = Account()
    open_position(account)
    wanted = Protection(stop_loss=D("59000.01"), take_profit=D("61000.09"))
    stands = run(account.exchange.protect(SYMBOL, wanted))
    assert stands == Protection(stop_loss=D("59000.10"), take_profit=D("61000.00"))
    set_ = sent(account, "/v5/position/trading-stop")
    assert [sorted({"stopLoss", "takeProfit"} & one.keys()) for one in set_] == [["stopLoss"], ["takeProfit"]]
    account.fake.asked.clear()
    assert run(account.exchange.protect(SYMBOL, wanted)) == stands
    assert sent(account, "/v5/position/trading-stop") == []


def test_protection_no_longer_wanted_is_cleared() -> None:
    account = Account()
    open_position(account, stop_loss=D(59_000), take_profit=D(61_000))
    assert run(account.exchange.protect(SYMBOL, Protection(stop_loss=D(59_000)))) == Protection(
        stop_loss=D(59_000)
    )
    assert [one.get("takeProfit") for one in sent(account, "/v5/position/trading-stop")] == ["0"]


def test_a_flat_symbol_needs_no_protection() -> None:
    account = Account()
    assert run(account.exchange.protect(SYMBOL, Protection(stop_loss=D(1)))) == Protection()
    assert sent(account, "/v5/position/trading-stop") == []


def test_a_stop_the_market_has_passed_is_refused_by_that_name() -> None:
    account = Account()
    open_position(account)
    account.fake.price = D(58_000)
    with pytest.raises(Rejected) as failed:
        run(account.exchange.protect(SYMBOL, Protection(stop_loss=D(59_000), take_profit=D(61_000))))
    assert failed.value.refusal is Refusal.WOULD_TRIGGER
    assert account.fake.stops == {"stopLoss": "", "takeProfit": ""}


def test_a_position_that_ends_while_it_is_protected_needs_nothing() -> None:
    account = Account()
    open_position(account)

    def closes(fake: Any, request: Any) -> Any:
        fake.size = D(0)
        return fake.answer(request)

    account.fake.faults["/v5/position/trading-stop"] = [closes]
    assert run(account.exchange.protect(SYMBOL, Protection(stop_loss=D(59_000)))) == Protection()


def test_i19_the_rights_of_a_key_are_the_venues_own_words() -> None:
    rights = run(Account().exchange.key_rights())
    assert (rights.may_withdraw, rights.may_trade, rights.ip_bound) == (True, False, False)
