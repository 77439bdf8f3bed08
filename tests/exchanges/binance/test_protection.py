"""Exactly the wanted stop and target stand: stop first, the new one before the old one goes, nothing left behind."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.order import Leg
from core.position import OrderSide
from core.protection import Protection
from exchanges.errors import ExchangeError, OutcomeUnknown, Refusal, Rejected
from exchanges.wire import Answer, NoAnswer
from tests.exchanges.binance.kit import ALGO, SYMBOL, Kit
from tests.exchanges.binance.test_codes import answer

LISTED = "/fapi/v1/openAlgoOrders"
NOT_FOUND = answer(400, {"code": -2013, "msg": "Order does not exist."})
LOST = NoAnswer("read timed out", timed_out=True, sent=True)
BOTH = Protection(stop_loss=Decimal(900), take_profit=Decimal(1100))


@pytest.fixture
def kit() -> Kit:
    held = Kit()
    held.place()
    return held


def protect(kit: Kit, wanted: Protection = BOTH) -> Protection:
    return kit.run(kit.exchange.protect(SYMBOL, wanted))


def standing(kit: Kit) -> list[tuple[str, str, str]]:
    return [
        (row["orderType"], row["quantity"], row["triggerPrice"])
        for row in kit.venue.algos
        if row["algoStatus"] == "NEW"
    ]


def steps(kit: Kit) -> list[str]:
    """What was changed, in order."""
    return [
        params.get("type", "cancel")
        for method, path, params in kit.venue.requests
        if path == ALGO and method in ("POST", "DELETE")
    ]


def test_stop_and_target_stand_the_stop_first_and_are_what_positions_tell(kit: Kit) -> None:
    assert protect(kit) == BOTH
    assert steps(kit) == ["STOP_MARKET", "TAKE_PROFIT_MARKET"]
    assert standing(kit) == [("STOP_MARKET", "0.1", "900"), ("TAKE_PROFIT_MARKET", "0.1", "1100")]
    assert all(row["reduceOnly"] and not row["closePosition"] for row in kit.venue.algos)
    (held,) = kit.run(kit.exchange.positions())
    assert (held.stop_loss, held.take_profit) == (Decimal(900), Decimal(1100))


def test_i17_what_stands_is_left(kit: Kit) -> None:
    """I17."""
    protect(kit)
    before = steps(kit)
    for _ in range(2):
        assert protect(kit) == BOTH
    assert steps(kit) == before


def test_what_differs_is_replaced_the_new_one_first(kit: Kit) -> None:
    protect(kit)
    done = len(steps(kit))
    moved = Protection(stop_loss=Decimal(950), take_profit=Decimal(1100))
    assert protect(kit, moved) == moved
    assert steps(kit)[done:] == ["STOP_MARKET", "cancel"]
    assert standing(kit) == [("TAKE_PROFIT_MARKET", "0.1", "1100"), ("STOP_MARKET", "0.1", "950")]


def test_protection_follows_the_size_of_the_position(kit: Kit) -> None:
    protect(kit)
    kit.place(leg=Leg.EXIT, side=OrderSide.SELL, quantity=Decimal("0.04"))
    protect(kit)
    assert {quantity for _, quantity, _ in standing(kit)} == {"0.06"}


def test_what_is_too_much_is_cancelled_and_of_two_alike_one_is_kept(kit: Kit) -> None:
    protect(kit)
    kit.venue.algos.append(
        {**kit.venue.algos[0], "clientAlgoId": kit.venue.algos[0]["clientAlgoId"][:-1] + "z"}
    )
    protect(kit, Protection(stop_loss=Decimal(900)))
    assert standing(kit) == [("STOP_MARKET", "0.1", "900")]


@pytest.mark.parametrize("flat", [True, False])
def test_nothing_open_or_nothing_wanted_leaves_nothing_of_ours_and_all_of_others(
    kit: Kit, flat: bool
) -> None:
    protect(kit)
    kit.venue.algos.append({**kit.venue.algos[0], "clientAlgoId": "web_stop"})
    if flat:
        kit.venue.position = Decimal(0)
    assert protect(kit, BOTH if flat else Protection()) == Protection()
    assert [row["clientAlgoId"] for row in kit.venue.algos if row["algoStatus"] == "NEW"] == ["web_stop"]


@pytest.mark.parametrize(
    ("side", "stop", "target"),
    [(OrderSide.BUY, "900.1", "1100.0"), (OrderSide.SELL, "1100.0", "900.1")],
)
def test_a_stop_goes_to_the_grid_toward_the_entry_and_a_target_never_past_what_was_wanted(
    side: OrderSide, stop: str, target: str
) -> None:
    kit = Kit()
    kit.place(side=side)
    low, high = Decimal("900.01"), Decimal("1100.09")
    long = side is OrderSide.BUY
    wanted = Protection(stop_loss=low if long else high, take_profit=high if long else low)
    assert protect(kit, wanted) == Protection(stop_loss=Decimal(stop), take_profit=Decimal(target))
    assert {row["side"] for row in kit.venue.algos} == {"SELL" if long else "BUY"}


def test_a_stop_the_market_has_passed_is_refused_by_name_and_the_old_one_stays(kit: Kit) -> None:
    protect(kit)
    kit.venue.price = Decimal(940)
    with pytest.raises(Rejected) as raised:
        protect(kit, Protection(stop_loss=Decimal(950), take_profit=Decimal(1100)))
    assert raised.value.refusal is Refusal.WOULD_TRIGGER
    assert ("STOP_MARKET", "0.1", "900") in standing(kit)


def test_i4_a_stop_whose_answer_was_lost_is_looked_up_and_not_sent_again(kit: Kit) -> None:
    """I4."""
    kit.venue.fail("POST", ALGO, LOST, after_acting=True)
    kit.venue.fail("GET", ALGO, answer(400, {"code": -2013, "msg": "Order does not exist."}))
    assert protect(kit, Protection(stop_loss=Decimal(900))).stop_loss == Decimal(900)
    assert steps(kit) == ["STOP_MARKET"]


def test_a_stop_that_is_not_to_be_seen_is_an_error_and_asked_for_again_by_the_caller(kit: Kit) -> None:
    kit.venue.fail("POST", ALGO, LOST)
    with pytest.raises(OutcomeUnknown):
        protect(kit)
    assert protect(kit) == BOTH
    assert len(standing(kit)) == 2


def test_what_was_just_placed_stands_although_look_ups_lag_behind(kit: Kit) -> None:
    protect(kit)
    kit.venue.fail("GET", LISTED, answer(200, []))
    for _ in BOTH.__struct_fields__:
        kit.venue.fail("GET", ALGO, NOT_FOUND)
    assert protect(kit) == BOTH
    assert len(steps(kit)) == 2
    kit.venue.fail("GET", LISTED, answer(200, []))  # the look-up by id has caught up, the list has not
    assert protect(kit) == BOTH
    assert len(steps(kit)) == 2


def test_what_was_just_placed_and_cancelled_by_somebody_is_placed_again(kit: Kit) -> None:
    protect(kit)
    kit.venue.algos[0]["algoStatus"] = "CANCELED"
    assert protect(kit) == BOTH
    assert steps(kit) == ["STOP_MARKET", "TAKE_PROFIT_MARKET", "STOP_MARKET"]


def test_what_was_placed_long_ago_and_is_not_listed_does_not_stand(kit: Kit) -> None:
    protect(kit)
    kit.clock.at += timedelta(minutes=2)
    kit.venue.fail("GET", LISTED, answer(200, []))
    protect(kit)
    assert len(steps(kit)) == 4


def test_a_stop_that_is_gone_before_its_cancel_is_as_good_as_cancelled(kit: Kit) -> None:
    protect(kit)
    kit.venue.fail("DELETE", ALGO, answer(400, {"code": -4117, "msg": "stop order is triggering"}))
    assert protect(kit, Protection(take_profit=Decimal(1100))).stop_loss is None


def test_a_position_larger_than_one_market_order_is_closed_whole_and_its_stop_moved_by_cancel_first(
    kit: Kit,
) -> None:
    kit.venue.position = Decimal(500)
    protect(kit)
    assert all(row["closePosition"] and row["quantity"] == "" for row in kit.venue.algos)
    done = len(steps(kit))
    protect(kit, Protection(stop_loss=Decimal(950), take_profit=Decimal(1100)))
    assert steps(kit)[done:] == ["cancel", "STOP_MARKET"]
    (held,) = kit.run(kit.exchange.positions())
    assert held.stop_loss == Decimal(950)


def test_in_hedge_mode_the_stop_names_its_side(kit: Kit) -> None:
    kit.venue.hedge = True
    protect(kit)
    assert {row["positionSide"] for row in kit.venue.algos} == {"LONG"}
    assert not any(row["reduceOnly"] for row in kit.venue.algos)
    protect(kit)
    assert len(kit.venue.algos) == 2


TROUBLE = st.sampled_from(
    [
        ("POST", LOST, True),
        ("POST", LOST, False),
        ("POST", answer(503, "Service Unavailable."), False),
        ("POST", answer(502, "<html>"), True),
        ("DELETE", LOST, True),
        ("DELETE", LOST, False),
        ("GET", answer(502, "<html>"), False),
    ]
)
WANTED = st.builds(
    Protection,
    stop_loss=st.none() | st.integers(800, 990).map(Decimal),
    take_profit=st.none() | st.integers(1010, 1200).map(Decimal),
)


@given(steps=st.lists(st.tuples(WANTED, st.lists(TROUBLE, max_size=2)), max_size=5), last=WANTED)
def test_whatever_failed_before_exactly_the_wanted_stands_after_a_call_that_succeeds(
    steps: list[tuple[Protection, list[tuple[str, Answer | NoAnswer, bool]]]], last: Protection
) -> None:
    """Also: from one wanted stop to the next the position is never without one, whatever fails between."""
    kit = Kit()
    kit.place()
    had_stop = False
    for wanted, trouble in [*steps, (last, [])]:
        for method, failure, after_acting in trouble:
            kit.venue.fail(method, ALGO, failure, after_acting=after_acting)
        kit.venue.watch = (lambda: None) if not (had_stop and wanted.stop_loss) else lambda: stop_stands(kit)
        try:
            assert protect(kit, wanted) == wanted
        except ExchangeError:
            kit.venue.forgive()
        else:
            expected = [("STOP_MARKET", wanted.stop_loss), ("TAKE_PROFIT_MARKET", wanted.take_profit)]
            assert sorted((kind, Decimal(price)) for kind, _, price in standing(kit)) == [
                (kind, price) for kind, price in expected if price is not None
            ]
        had_stop = any(kind == "STOP_MARKET" for kind, _, _ in standing(kit))
    assert protect(kit, last) == last


def stop_stands(kit: Kit) -> None:
    assert any(kind == "STOP_MARKET" for kind, _, _ in standing(kit))
