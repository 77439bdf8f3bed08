"""The account on Binance: whose fills are whose, commissions in USDT, settings set once, rights of a key."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from core.ids import protection_id
from core.order import Leg
from exchanges.base import MarginMode, PositionMode
from exchanges.binance.fills import PRICE_KEPT_S
from exchanges.credentials import KeyRights
from exchanges.errors import Refusal, Rejected, Unreachable
from exchanges.wire import NoAnswer
from tests.exchanges.binance.kit import ORDER, SYMBOL, TRADES, Kit, later
from tests.exchanges.binance.test_codes import answer
from tests.exchanges.conformance.venue import START

DAY = 86_400.0


@pytest.fixture
def kit() -> Kit:
    return Kit()


def configure(
    kit: Kit, leverage: int = 5, *, hedge: bool = False, margin: MarginMode = MarginMode.ISOLATED
) -> None:
    mode = PositionMode.HEDGE if hedge else PositionMode.ONE_WAY
    kit.run(kit.exchange.configure(SYMBOL, leverage=leverage, margin_mode=margin, position_mode=mode))


def test_executions_name_our_order_or_what_the_venue_or_somebody_did(kit: Kit) -> None:
    report = kit.place()
    stop = protection_id("stop_loss", START, 1)
    for client_id in (stop, "autoclose-17", "adl_autoclose", "settlement_autoclose-1", "web_x7"):
        kit.venue.foreign(client_id, "SELL", Decimal("0.01"))
    fresh = Kit()
    fresh.exchange._line._send = kit.venue
    for exchange in (kit.exchange, fresh.exchange):
        told = kit.run(exchange.executions(SYMBOL, START))
        assert [one.client_order_id for one in told] == [report.client_order_id, *[None] * 5]
        assert [one.venue_leg for one in told] == [
            None, Leg.STOP_LOSS, Leg.LIQUIDATION, Leg.ADL, Leg.SETTLEMENT, Leg.MANUAL,
        ]  # fmt: skip


def test_a_stop_that_fired_under_another_id_is_known_by_the_order_it_became(kit: Kit) -> None:
    fired = kit.venue.foreign("venue-made-id", "SELL", Decimal("0.01"))
    kit.venue.algos.append(
        {
            "symbol": SYMBOL, "algoId": 1, "clientAlgoId": protection_id("take_profit", START, 1),
            "algoStatus": "FINISHED", "side": "SELL", "actualOrderId": str(fired["orderId"]),
        }
    )  # fmt: skip
    (told,) = kit.run(kit.exchange.executions(SYMBOL, START))
    assert told.venue_leg is Leg.TAKE_PROFIT


def test_whose_an_order_is_is_asked_once(kit: Kit) -> None:
    kit.venue.foreign("web_1", "BUY", Decimal("0.01"))
    for _ in range(3):
        kit.run(kit.exchange.executions(SYMBOL, START))
    assert kit.asked("GET", ORDER) == 1


def test_executions_are_listed_from_a_time_on_across_windows_of_a_week(kit: Kit) -> None:
    for attempt in range(1, 4):
        kit.run(kit.exchange.connect())
        kit.place(attempt=attempt)
        later(kit, 9 * DAY)
    everything = kit.run(kit.exchange.executions(SYMBOL, START))
    assert [one.fill.executed_at for one in everything] == [START + timedelta(days=9 * n) for n in range(3)]
    assert kit.run(kit.exchange.executions(SYMBOL, START + timedelta(days=1))) == everything[1:]


def test_more_executions_than_a_page_are_listed_once_each(kit: Kit) -> None:
    resting = kit.venue._order({"side": "BUY", "type": "LIMIT", "quantity": "9"}, "web_1")
    for _ in range(2_500):
        kit.venue.trade(resting["orderId"], Decimal("0.001"))
    told = kit.run(kit.exchange.executions(SYMBOL, START))
    assert len({one.trade_id for one in told}) == len(told) == 2_500


def test_a_commission_in_another_asset_is_converted_at_a_price_kept_for_a_minute(kit: Kit) -> None:
    kit.venue.commission = ("BNB", Decimal("0.0001"))
    ticker = ("GET", "/fapi/v2/ticker/price")
    for attempt in (1, 2):
        (told,) = kit.place(attempt=attempt).executions
        assert told.fill.commission == Decimal("0.06")
    assert kit.asked(*ticker) == 1
    kit.venue.prices["BNBUSDT"] = "700"
    later(kit, PRICE_KEPT_S)
    (told,) = kit.place(attempt=3).executions
    assert told.fill.commission == Decimal("0.07")


def test_executions_whose_commission_nobody_can_price_are_not_told_wrongly(kit: Kit) -> None:
    kit.venue.commission = ("BNB", Decimal("0.0001"))
    kit.venue.foreign("web_1", "BUY", Decimal("0.01"))
    kit.venue.fail("GET", "/fapi/v2/ticker/price", answer(502, ""))
    with pytest.raises(Unreachable):
        kit.run(kit.exchange.executions(SYMBOL, START))
    del kit.venue.prices["BNBUSDT"]
    with pytest.raises(Unreachable, match="commission in BNB"):
        kit.run(kit.exchange.executions(SYMBOL, START))


def test_funding_is_told_oldest_first_and_in_usdt(kit: Kit) -> None:
    at = kit.venue.now_ms()
    kit.venue.income = [
        {
            "symbol": SYMBOL,
            "incomeType": "FUNDING_FEE",
            "income": income,
            "asset": asset,
            "time": at + n,
            "tranId": n,
        }
        for n, (income, asset) in enumerate((("-0.5", "USDT"), ("0.001", "BNB")))
    ]
    told = kit.run(kit.exchange.funding(START))
    assert [(one.symbol, one.amount) for one in told] == [(SYMBOL, Decimal("-0.5")), (SYMBOL, Decimal("0.6"))]
    assert len({one.funding_id for one in told}) == 2
    assert kit.venue.asked("GET", "/fapi/v1/income")[0]["incomeType"] == "FUNDING_FEE"


def test_funding_is_asked_for_again_once_a_settlement_is_due(kit: Kit) -> None:
    def asked() -> int:
        kit.run(kit.exchange.funding(START - timedelta(hours=1)))
        return kit.asked("GET", "/fapi/v1/income")

    assert (asked(), asked()) == (1, 2)  # on the hour: a payment may still appear
    later(kit, 300.0)
    assert (asked(), asked()) == (3, 3)
    at = kit.venue.now_ms()
    kit.venue.income = [
        {
            "symbol": SYMBOL,
            "incomeType": "FUNDING_FEE",
            "income": "-1",
            "asset": "USDT",
            "time": at,
            "tranId": 1,
        }
    ]
    later(kit, 3_299.0)
    assert asked() == 3
    later(kit, 1.0)
    assert asked() == 4
    assert len(kit.run(kit.exchange.funding(START - timedelta(hours=2)))) == 1
    later(kit, 300.0)
    before = asked()
    assert len(kit.run(kit.exchange.funding(START))) == 1
    assert kit.run(kit.exchange.funding(kit.clock.at)) == []
    assert kit.asked("GET", "/fapi/v1/income") == before


def test_settings_are_set_where_they_differ_and_cost_nothing_the_second_time(kit: Kit) -> None:
    configure(kit)
    assert (kit.venue.leverage[SYMBOL], kit.venue.margin[SYMBOL], kit.venue.hedge) == (5, "ISOLATED", False)
    assert kit.asked("POST", "/fapi/v1/positionSide/dual") == 0
    before = len(kit.venue.requests)
    configure(kit)
    assert len(kit.venue.requests) == before
    configure(kit, 7)
    assert kit.asked("POST", "/fapi/v1/marginType") == 1
    assert kit.venue.leverage[SYMBOL] == 7
    configure(kit, 7, hedge=True)
    assert kit.venue.hedge


def test_after_connecting_anew_settings_are_read_again(kit: Kit) -> None:
    configure(kit)
    kit.venue.leverage[SYMBOL] = 20
    kit.run(kit.exchange.connect())
    configure(kit)
    assert kit.venue.leverage[SYMBOL] == 5


def test_settings_already_so_are_no_error(kit: Kit) -> None:
    for path, code in (("/fapi/v1/positionSide/dual", -4059), ("/fapi/v1/marginType", -4046)):
        kit.venue.fail("POST", path, answer(400, {"code": code, "msg": "No need to change."}))
    configure(kit, hedge=True)
    assert kit.venue.leverage[SYMBOL] == 5


def test_settings_that_cannot_change_now_are_refused_and_not_remembered(kit: Kit) -> None:
    kit.venue.position = Decimal(1)
    for _ in range(2):
        with pytest.raises(Rejected) as raised:
            configure(kit)
        assert raised.value.refusal is Refusal.MODE
    with pytest.raises(Rejected) as raised:
        configure(kit, 126, margin=MarginMode.CROSS)
    assert raised.value.refusal is Refusal.LEVERAGE


def test_a_setting_of_unknown_outcome_may_simply_be_asked_for_again(kit: Kit) -> None:
    lost = NoAnswer("read timed out", timed_out=True, sent=True)
    kit.venue.fail("POST", "/fapi/v1/leverage", lost, after_acting=True)
    with pytest.raises(Unreachable):
        configure(kit)
    configure(kit)
    assert kit.asked("POST", "/fapi/v1/leverage") == 1


def test_positions_tell_leverage_and_what_protects_them(kit: Kit) -> None:
    assert kit.run(kit.exchange.positions()) == []
    kit.place()
    (held,) = kit.run(kit.exchange.positions())
    assert (held.symbol, held.quantity, held.entry_price) == (SYMBOL, Decimal("0.1"), Decimal(1000))
    assert (held.leverage, held.liquidation_price, held.stop_loss) == (20, None, None)
    balance = kit.run(kit.exchange.balance())
    assert (balance.balance, balance.available) == (Decimal("9000.5"), Decimal(8000))


def test_i19_the_rights_of_a_key_are_the_venues_and_silence_is_the_worse(kit: Kit) -> None:
    """I19."""
    may = KeyRights(may_read=True, may_trade=True, may_withdraw=False, ip_bound=True)
    assert kit.run(kit.exchange.key_rights()) == may
    kit.venue.restrictions["enableWithdrawals"] = True
    assert kit.run(kit.exchange.key_rights()).may_withdraw
    kit.venue.restrictions = {}
    unsaid = KeyRights(may_read=False, may_trade=False, may_withdraw=True, ip_bound=None)
    assert kit.run(kit.exchange.key_rights()) == unsaid


def test_where_no_endpoint_tells_a_keys_rights_the_accounts_stand_for_them() -> None:
    kit = Kit(rights=False)
    rights = KeyRights(may_read=True, may_trade=True, may_withdraw=False, ip_bound=None)
    assert kit.run(kit.exchange.key_rights()) == rights
    assert kit.asked("GET", "/sapi/v1/account/apiRestrictions") == 0


def test_the_venues_clock_is_read_half_way_between_question_and_answer(kit: Kit) -> None:
    kit.venue.skew_ms = -7_250
    kit.run(kit.exchange.connect())
    assert kit.exchange.venue_now() - kit.clock.at == timedelta(milliseconds=-7_250)
    assert kit.asked("GET", TRADES) == 0
