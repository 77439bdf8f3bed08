"""Budgets of a host: never more than allowed in any window, urgent first, turns for all."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.timeframe import to_ms
from exchanges.budgets import CEILINGS, MAX_QUEUED, HeldShare, HostBudget, Share, Ticket, Window
from exchanges.limits import BINANCE, BYBIT, Limits, OrderLimit, Said, said
from exchanges.wire import Answer, Cost, Purpose

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SMALL = Limits(
    weight=20,
    window_s=10.0,
    shared_weight=18,
    shared_window_s=10.0,
    orders=(OrderLimit(count=5, window_s=2.0), OrderLimit(count=12, window_s=10.0)),
    ban_s=60.0,
    pause_s=1.0,
)


def ticket(
    tenant: str = "a",
    purpose: Purpose = Purpose.ENTRY,
    *,
    weight: int = 1,
    orders: int = 0,
    account: str = "",
) -> Ticket:
    cost = Cost(weight=weight, orders=orders, purpose=purpose)
    return Ticket(tenant=tenant, account=account or tenant, cost=cost)


steps = st.lists(
    st.tuples(
        st.floats(0, 3),
        st.sampled_from(list(Purpose)),
        st.integers(0, 6),
        st.integers(0, 2),
        st.sampled_from("abc"),
    ),
    max_size=60,
)


def within(log: list[tuple[float, int]], at_s: float, window_s: float) -> int:
    return sum(amount for when, amount in log if at_s - window_s < when <= at_s)


@given(steps)
def test_never_more_than_the_budget_in_any_window(steps: list[tuple[float, Purpose, int, int, str]]) -> None:
    budget = HostBudget(SMALL)
    weights: list[tuple[float, int]] = []
    orders: dict[str, list[tuple[float, int]]] = {"a": [], "b": [], "c": []}
    now_s = 0.0
    for pause_s, purpose, weight, count, tenant in steps:
        now_s += pause_s
        asked = ticket(tenant, purpose, weight=weight, orders=count)
        granted = [asked] if budget.try_take(asked, now_s) else []
        if not granted:
            budget.queue(asked)
            granted = budget.let_in(now_s)[0]
        for one in granted:
            weights.append((now_s, one.cost.weight))
            orders[one.account].append((now_s, one.cost.orders))
        for at_s, _ in weights:
            assert within(weights, at_s, SMALL.window_s) <= SMALL.weight
        for log in orders.values():
            for at_s, _ in log:
                for limit in SMALL.orders:
                    assert within(log, at_s, limit.window_s) <= limit.count


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 10)), min_size=1, max_size=40), st.integers(1, 20))
def test_what_fits_later_fits_then_and_not_much_earlier(added: list[tuple[float, int]], amount: int) -> None:
    window = Window(20, 10.0)
    now_s = 0.0
    for pause_s, used in added:
        now_s += pause_s
        window.add(used, now_s)
    at_s = window.fits_at(amount, 1.0, now_s)
    assert now_s <= at_s <= now_s + 10.0 * 21 / 20 + 1e-6
    assert window.used(at_s + 1e-6) + amount <= 20


@pytest.mark.parametrize("at_s", [0.0, 0.1, 0.49, 0.5, 7.3, 1e9 + 0.26])
def test_what_was_used_counts_for_a_whole_window_and_hardly_longer(at_s: float) -> None:
    window = Window(20, 10.0)
    window.add(20, at_s)
    assert window.used(at_s + 9.999) == 20
    assert window.used(at_s + 10.51) == 0


def test_what_can_never_fit_says_so() -> None:
    assert Window(20, 10.0).fits_at(21, 1.0, 0.0) == float("inf")


@pytest.mark.parametrize("purpose", list(Purpose))
def test_each_purpose_may_fill_the_budget_to_its_share(purpose: Purpose) -> None:
    budget = HostBudget(SMALL)
    taken = sum(budget.try_take(ticket(purpose=purpose), 0.0) for _ in range(40))
    assert taken == int(SMALL.weight * CEILINGS[purpose])


@given(st.lists(st.tuples(st.sampled_from(list(Purpose)), st.sampled_from("abcd")), min_size=1, max_size=40))
def test_a_closing_order_never_waits_behind_anything_else(asked: list[tuple[Purpose, str]]) -> None:
    budget = HostBudget(SMALL)
    while budget.try_take(ticket("z", Purpose.CLOSING), 0.0):
        pass
    for purpose, tenant in asked:
        budget.queue(ticket(tenant, purpose))
    order: list[Purpose] = []
    now_s = 0.0
    while budget.all_waiting():
        granted, wake_s = budget.let_in(now_s)
        order += [one.cost.purpose for one in granted]
        assert granted or now_s < wake_s < float("inf")
        now_s = max(now_s, wake_s) if budget.all_waiting() else now_s
        # What is let in at once is in the order of urgency.
        assert [one.cost.purpose for one in granted] == sorted(one.cost.purpose for one in granted)
    closing = [purpose for purpose, _ in asked if purpose is Purpose.CLOSING]
    assert order[: len(closing)] == closing


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 30), min_size=1),
    st.sampled_from(list(Purpose)),
)
def test_with_k_tenants_waiting_each_is_served_within_k_sends(
    queued: dict[str, int], purpose: Purpose
) -> None:
    """However much one of them asks for (fairness)."""
    budget = HostBudget(SMALL)
    for tenant, count in queued.items():
        for _ in range(count):
            assert budget.queue(ticket(tenant, purpose))
    left = dict(queued)
    since = dict.fromkeys(queued, 0)
    now_s = 0.0
    while any(left.values()):
        granted, wake_s = budget.let_in(now_s)
        for one in granted:
            for tenant in since:
                since[tenant] += 1 if left[tenant] else 0
            assert since[one.tenant] <= len(queued)
            since[one.tenant] = 0
            left[one.tenant] -= 1
            assert all(count <= len(queued) for tenant, count in since.items() if left[tenant])
        now_s = wake_s if wake_s < float("inf") else now_s


def test_a_tenant_whose_account_is_used_up_holds_nobody_else() -> None:
    budget = HostBudget(SMALL)
    while budget.try_take(ticket("a", weight=0, orders=1), 0.0):
        pass
    ours, another, theirs = ticket("a", orders=1), ticket("a", orders=1, account="a2"), ticket("b", orders=1)
    for one in (ours, another, theirs):
        budget.queue(one)
    granted, wake_s = budget.let_in(0.0)
    assert set(granted) == {another, theirs}
    assert 2.0 <= wake_s <= 2.2
    assert budget.let_in(wake_s)[0] == [ours]


@pytest.mark.parametrize("light", [Purpose.ENTRY, Purpose.READ])
def test_a_heavy_request_is_not_passed_by_for_ever_by_light_ones(light: Purpose) -> None:
    budget = HostBudget(SMALL)
    assert budget.try_take(ticket("z", weight=10), 0.0)
    heavy = ticket("a", weight=15)
    assert not budget.try_take(heavy, 5.0)
    budget.queue(heavy)
    # There would be room for this one.
    assert not budget.try_take(ticket("b", light), 5.0)
    budget.queue(ticket("b", light))
    granted, wake_s = budget.let_in(5.0)
    assert granted == []
    assert budget.let_in(wake_s)[0][0] is heavy
    assert budget.try_take(ticket("c", Purpose.CLOSING), wake_s)


def test_a_queue_is_short_and_whoever_gives_up_leaves_it() -> None:
    budget = HostBudget(SMALL)
    waiting = [ticket() for _ in range(MAX_QUEUED)]
    assert all(budget.queue(one) for one in waiting)
    assert not budget.queue(ticket())
    assert budget.queue(ticket("b"))
    for one in waiting:
        budget.give_up(one)
        budget.give_up(one)
    assert [one.tenant for one in budget.all_waiting()] == ["b"]


def test_what_the_venue_has_counted_for_others_on_the_address_is_ours_too() -> None:
    budget = HostBudget(SMALL)
    budget.try_take(ticket(), 0.0)
    budget.said("a", Said(weight_used=15), 0.0)
    budget.said("a", Said(weight_used=3), 0.0)
    assert sum(budget.try_take(ticket(), 0.0) for _ in range(40)) == 18 - 15


def test_orders_the_venue_has_counted_for_an_account_are_its_own_alone() -> None:
    budget = HostBudget(SMALL)
    budget.said("a", Said(orders=(4, None)), 0.0)
    assert not budget.try_take(ticket("a", orders=1), 0.0)
    assert budget.try_take(ticket("b", orders=1), 0.0)


def test_a_pause_of_the_host_holds_all_and_of_an_account_that_one() -> None:
    budget = HostBudget(SMALL)
    budget.said("a", Said(account_pause_s=5.0), 0.0)
    assert not budget.try_take(ticket("a", Purpose.CLOSING), 4.9)
    assert budget.try_take(ticket("b"), 4.9)
    budget.said("a", Said(host_pause_s=3.0), 4.9)
    assert not budget.try_take(ticket("b", Purpose.CLOSING), 7.8)
    assert budget.try_take(ticket("a"), 8.0)


# -- what answers say -----------------------------------------------------------------------------


def answered(status: int, body: bytes = b"{}", **headers: str) -> Answer:
    return Answer(status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}, body=body)


BAN_MS = to_ms(NOW + timedelta(minutes=7))


@pytest.mark.parametrize(
    ("limits", "answer", "expected"),
    [
        (BINANCE, answered(200), Said(orders=(None, None))),
        (
            BINANCE,
            answered(200, x_mbx_used_weight_1m="123", x_mbx_order_count_10s="4", x_mbx_order_count_1m="5"),
            Said(weight_used=123, orders=(4, 5)),
        ),
        (BINANCE, answered(200, x_mbx_used_weight_1m="-1"), Said(orders=(None, None))),
        (BINANCE, answered(429, retry_after="7"), Said(orders=(None, None), host_pause_s=7.0)),
        (BINANCE, answered(429, retry_after="99999"), Said(orders=(None, None), host_pause_s=600.0)),
        (BINANCE, answered(429, b'{"code":-1015,"msg":"x"}'), Said(orders=(None, None), account_pause_s=5.0)),
        (
            BINANCE,
            answered(418, b'{"code":-1003,"msg":"banned until %d."}' % BAN_MS),
            Said(orders=(None, None), banned_until=NOW + timedelta(minutes=7)),
        ),
        (
            BINANCE,
            answered(418, b'{"msg":"banned until 9999999999999"}'),
            Said(orders=(None, None), banned_until=NOW + timedelta(days=3)),
        ),
        (
            BINANCE,
            answered(418, b"banned until %d." % BAN_MS, date=format_datetime(NOW + timedelta(minutes=5))),
            Said(orders=(None, None), banned_until=NOW + timedelta(minutes=2)),
        ),
        (
            BINANCE,
            answered(418, b"banned until %d." % BAN_MS, date=format_datetime(NOW - timedelta(hours=1))),
            Said(orders=(None, None), banned_until=NOW + timedelta(minutes=67)),
        ),
        (
            BINANCE,
            answered(418, b"banned until %d." % BAN_MS, date=format_datetime(NOW + timedelta(seconds=2))),
            Said(orders=(None, None), banned_until=NOW + timedelta(minutes=7)),
        ),
        (
            BINANCE,
            answered(418, b"banned until %d." % BAN_MS, date="yesterday"),
            Said(orders=(None, None), banned_until=NOW + timedelta(minutes=7)),
        ),
        (
            BINANCE,
            answered(418, b"banned until %d." % to_ms(NOW - timedelta(minutes=1))),
            Said(orders=(None, None), banned_until=NOW + timedelta(minutes=2)),
        ),
        (
            BINANCE,
            answered(418, retry_after="30"),
            Said(orders=(None, None), banned_until=NOW + timedelta(seconds=30)),
        ),
        (
            BYBIT,
            answered(403, b"access too frequent"),
            Said(orders=(None,), banned_until=NOW + timedelta(minutes=10)),
        ),
        (BYBIT, answered(200, b'{"retCode":10006}'), Said(orders=(None,), account_pause_s=1.0)),
        (BYBIT, answered(200, b'{"retCode":0}' + b" " * 600), Said(orders=(None,))),
    ],
)
def test_what_an_answer_says(limits: Limits, answer: Answer, expected: Said) -> None:
    assert said(limits, answer, NOW) == expected


@pytest.mark.parametrize("limits", [BINANCE, BYBIT])
def test_shared_windows_leave_a_tenth_of_any_window_the_venue_may_count_by(limits: Limits) -> None:
    aligned = limits.window_s == limits.shared_window_s
    touched = 1 if aligned else int(limits.window_s / limits.shared_window_s) + 1
    assert touched * limits.shared_weight <= 0.9 * limits.weight


# -- shares ---------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 4), st.sampled_from(list(Purpose)), st.integers(1, 9)), max_size=50))
def test_a_process_uses_no_more_than_its_shares_but_for_one_chunk_of_closing(
    asked: list[tuple[float, Purpose, int]],
) -> None:
    held = HeldShare(SMALL)
    used, closing = 0, deque[tuple[float, int]]()
    given_ = 0
    now_s = 0.0
    for number, (pause_s, purpose, weight) in enumerate(asked):
        now_s += pause_s
        if number % 5 == 0:
            held.given(Share(weight=7, ends_in_s=3.0), now_s)
            given_ += 7
        cost = Cost(weight=weight, purpose=purpose)
        if held.fits(cost, now_s):
            held.use(cost, now_s)
            used += weight
            closing.append((now_s, weight if purpose is Purpose.CLOSING else 0))
    free = sum(weight for _, weight in closing)
    assert used <= given_ + free
    assert used - free <= given_


def test_without_a_share_only_closing_goes_on_and_up_to_a_chunk() -> None:
    budget = HostBudget(SMALL, shared=True)
    for purpose in (Purpose.LOOK_UP, Purpose.ENTRY, Purpose.READ):
        assert not budget.try_take(ticket(purpose=purpose), 0.0)
    assert budget.held is not None
    assert sum(budget.try_take(ticket(purpose=Purpose.CLOSING), 0.0) for _ in range(40)) == budget.held.chunk


def test_a_share_ends_with_its_window_and_adds_up_within_it() -> None:
    held = HeldShare(SMALL)
    entry = Cost(weight=6, purpose=Purpose.ENTRY)
    held.given(Share(weight=4, ends_in_s=9.0), 0.0)
    held.given(Share(weight=3, ends_in_s=7.9), 1.0)
    assert held.fits(entry, 8.8)
    assert not held.fits(entry, 9.0)
    held.given(Share(weight=6, ends_in_s=10.0), 8.9)
    assert held.fits(entry, 9.0)
    assert not held.fits(Cost(weight=7, purpose=Purpose.ENTRY), 9.0)
