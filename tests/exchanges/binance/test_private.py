"""Every recorded message of the user stream tells what it says, and nothing else."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import RunnerError
from core.ids import OrderKey, RunId, client_order_id, protection_id
from core.order import Leg, OrderStatus
from core.position import Fill, OrderSide
from exchanges.base import OrderNews, ProtectionMoved
from exchanges.binance.parse import MANUAL, Origin
from exchanges.binance.private import (
    FundingSettled,
    Heard,
    KeyExpired,
    SettingsChanged,
    Traded,
    TriggerFired,
    Untold,
    hear,
)
from tests.exchanges.fixtures import entries

MESSAGES = entries("binance", "ws_user")
AT = datetime(2019, 9, 19, 7, 51, 5, 651000, tzinfo=UTC)
OURS = client_order_id(
    OrderKey(run_id=RunId(UUID(int=7)), slot=AT.replace(microsecond=0), leg="entry", attempt=1)
)


def traded(
    order_id: int,
    origin: Origin,
    trade_id: str,
    side: OrderSide,
    quantity: str,
    price: str,
    commission: str,
    *,
    maker: bool = False,
) -> Traded:
    fill = Fill(
        trade_id=trade_id,
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        commission=Decimal(commission),
        executed_at=AT,
        maker=maker,
    )
    return Traded(symbol="BTCUSDT", order_id=order_id, origin=origin, fill=fill, commission_asset="USDT")


_BUY, _SELL = OrderSide.BUY, OrderSide.SELL
_LIQUIDATED = Origin(venue_leg=Leg.LIQUIDATION)
_MANUAL_TRADE = traded(8886774, MANUAL, "12345678", _BUY, "0.001", "7100.5", "0.01", maker=True)
TELLS: dict[str, list[Heard]] = {
    "account_update_order": [],
    "account_update_bnfcr": [],
    "order_update_new": [],
    "order_update_trade": [_MANUAL_TRADE],
    "order_update_trade_partial": [_MANUAL_TRADE],
    "order_update_adl": [
        traded(8887001, Origin(venue_leg=Leg.ADL), "12346001", _BUY, "0.005", "42000", "0.105")
    ],
    "order_update_calculated": [
        traded(8886999, _LIQUIDATED, "12345999", _SELL, "0.014", "9910.12", "0.06937084")
    ],
    "algo_update_new": [],
    "algo_update_canceled": [],
    "trade_lite": [],
    "algo_update_triggering": [],
    "algo_update_triggered": [],
    "listen_key_expired": [KeyExpired()],
    "account_config_update_leverage": [SettingsChanged(symbol="BTCUSDT")],
    "margin_call": [],
}


def changed(name: str, **fields: Any) -> bytes:
    payload = json.loads(json.dumps(MESSAGES[name]["payload"]))
    event = payload.get("data", payload)
    event["o"].update(fields)
    return json.dumps(payload).encode()


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_recorded_message_tells(name: str) -> None:
    assert hear(json.dumps(MESSAGES[name]["payload"]).encode()) == TELLS[name]


def test_an_order_of_ours_tells_its_execution_before_itself() -> None:
    first, second = hear(changed("order_update_trade", c=OURS))
    assert isinstance(first, Traded)
    assert first.origin == Origin(client_order_id=OURS)
    assert second == OrderNews(
        symbol="BTCUSDT", client_order_id=OURS, venue_order_id="8886774", status=OrderStatus.PARTIAL
    )


@pytest.mark.parametrize(
    ("venue", "status", "reason"),
    [
        ("NEW", OrderStatus.SUBMITTED, None),
        ("CANCELED", OrderStatus.CANCELED, "canceled"),
        ("EXPIRED", OrderStatus.EXPIRED, "expired"),
        ("EXPIRED_IN_MATCH", OrderStatus.EXPIRED, "expired_in_match"),
        ("REJECTED", OrderStatus.REJECTED, "rejected"),
    ],
)
def test_an_order_of_ours_that_moves_is_news(venue: str, status: OrderStatus, reason: str | None) -> None:
    told = hear(changed("order_update_new", c=OURS, X=venue, x=venue))
    assert told == [
        OrderNews(
            symbol="BTCUSDT", client_order_id=OURS, venue_order_id="8886774", status=status, reason=reason
        )
    ]


def test_a_stop_of_ours_that_fires_names_the_order_it_became() -> None:
    stop = protection_id("stop_loss", AT, 3)
    fired = [TriggerFired(symbol="DOGEUSDT", order_id=88937381063, leg=Leg.STOP_LOSS)]
    assert hear(changed("algo_update_triggered", caid=stop)) == fired
    assert hear(changed("algo_update_triggering", caid=stop)) == []
    (told,) = hear(changed("order_update_calculated", c=stop, x="TRADE"))
    assert isinstance(told, Traded)
    assert told.origin.venue_leg is Leg.STOP_LOSS


@pytest.mark.parametrize("status", ["CANCELED", "EXPIRED", "REJECTED"])
def test_a_stop_of_ours_that_ended_without_firing_is_told_and_anybody_elses_is_not(status: str) -> None:
    stop = protection_id("stop_loss", AT, 3)
    gone = [ProtectionMoved(symbol="BNBUSDT", leg=Leg.STOP_LOSS, price=None)]
    assert hear(changed("algo_update_canceled", caid=stop, X=status)) == gone
    assert hear(changed("algo_update_canceled", X=status)) == []
    assert hear(changed("algo_update_new", caid=stop)) == []


def test_funding_is_announced_without_its_id() -> None:
    event = {"e": "ACCOUNT_UPDATE", "T": 1568879465651, "E": 1, "a": {"m": "FUNDING_FEE", "B": []}}
    assert hear(json.dumps(event).encode()) == [FundingSettled(at=AT)]


def test_a_commission_in_another_asset_keeps_its_name_and_null_means_none() -> None:
    (told,) = hear(changed("order_update_trade", N="BNB", n="0.00002"))
    assert isinstance(told, Traded)
    assert (told.commission_asset, told.fill.commission) == ("BNB", Decimal("0.00002"))
    news = told.execution(commission=Decimal("0.012"), origin=MANUAL)
    assert (news.fill.commission, news.venue_leg) == (Decimal("0.012"), Leg.MANUAL)
    (free,) = hear(changed("order_update_trade", N=None, n=None))
    assert isinstance(free, Traded)
    assert free.fill.commission == 0


def test_an_execution_without_a_trade_id_is_to_be_asked_for() -> None:
    assert hear(changed("order_update_calculated", t=0)) == [Untold(at=AT)]


@pytest.mark.parametrize(
    "fields", [{"L": "0"}, {"l": "-1"}, {"L": "NaN"}, {"S": "HOLD"}, {"T": -1}, {"n": "Infinity"}]
)
def test_an_execution_that_cannot_be_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RunnerError):
        hear(changed("order_update_trade", **fields))


@pytest.mark.parametrize("message", [b"{}", b'{"result":null,"id":1}', b'{"e":"NEW_THING"}', b'{"data":"x"}'])
def test_what_is_not_known_tells_nothing(message: bytes) -> None:
    assert hear(message) == []


@given(
    name=st.sampled_from(sorted(MESSAGES)),
    at=st.integers(0, 2000),
    put=st.binary(max_size=4) | st.sampled_from([b"NaN", b"-", b"9" * 30, b"null", b'""', b"[", b"\xff"]),
    cut=st.integers(0, 6),
)
def test_a_mutated_message_raises_nothing_but_our_errors(name: str, at: int, put: bytes, cut: int) -> None:
    whole = json.dumps(MESSAGES[name]["payload"]).encode()
    at %= len(whole)
    with contextlib.suppress(RunnerError):
        hear(whole[:at] + put + whole[at + cut :])
