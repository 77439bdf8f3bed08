"""Client order ids."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.errors import RunnerError
from core.ids import (
    OrderKey,
    RunId,
    client_order_id,
    parse_client_order_id,
    protection_id,
    protection_leg,
)
from tests.strategies import order_keys

KEY = OrderKey(run_id=RunId(UUID(int=7)), slot=datetime(2026, 1, 1, tzinfo=UTC), leg="entry", attempt=1)


@given(order_keys)
def test_an_id_is_read_back_as_its_key(key: OrderKey) -> None:
    text = client_order_id(key)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,36}", text)
    assert parse_client_order_id(text) == key


@given(order_keys, order_keys)
def test_two_keys_never_share_an_id(first: OrderKey, second: OrderKey) -> None:
    assert (client_order_id(first) == client_order_id(second)) is (first == second)


@given(
    st.text(max_size=40)
    | order_keys.map(client_order_id).flatmap(lambda text: st.permutations(text).map("".join))
)
def test_an_id_that_reads_as_ours_is_spelled_as_we_spell_it(text: str) -> None:
    key = parse_client_order_id(text)
    assert key is None or client_order_id(key) == text


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-2] + " 1",
        lambda text: text[:-2] + "-1",
        lambda text: text[:22] + "0_0001" + text[28:],
        lambda text: text[:28] + "E" + text[29:],
        lambda text: text[:21] + "H" + text[22:],
        lambda text: text + "0",
        lambda text: "é" * len(text),
        lambda text: "",
    ],
)
def test_other_spellings_are_not_ours(change: object) -> None:
    assert parse_client_order_id(change(client_order_id(KEY))) is None  # type: ignore[operator]


@pytest.mark.parametrize("attempt", [-1, 36**2])
def test_an_attempt_that_does_not_fit_is_refused(attempt: int) -> None:
    with pytest.raises(RunnerError):
        client_order_id(replace(KEY, attempt=attempt))


@given(
    leg=st.sampled_from(["stop_loss", "take_profit"]),
    at=st.integers(1_600_000_000, 2_500_000_000).map(lambda s: datetime.fromtimestamp(s, UTC)),
    serial=st.integers(0, 10_000),
)
def test_an_id_of_a_stop_or_target_says_which_and_is_no_order_of_a_run(
    leg: str, at: datetime, serial: int
) -> None:
    text = protection_id(leg, at, serial)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,36}", text)
    assert (protection_leg(text), parse_client_order_id(text)) == (leg, None)
    assert protection_id(leg, at, serial + 1) != text
    assert protection_leg(f"{text}0") is protection_leg(f"x{text[1:]}") is None
