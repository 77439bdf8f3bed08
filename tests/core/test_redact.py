"""Secrets cannot be printed, and payloads have a view without them."""

from __future__ import annotations

import copy
import json
import pickle
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.redact import MASK, Secret, redact, secret_url

CANARY = "c4n4ry-9f"


class Holder(msgspec.Struct, frozen=True):
    key: Secret


@pytest.mark.parametrize(
    "render",
    [
        repr,
        str,
        "{}".format,
        "{:>40}".format,
        "{!r}".format,
        lambda secret: f"{secret} {secret!s} {secret!r}",
        lambda secret: repr([secret, {"a": secret}]),
        lambda secret: repr(Holder(secret)),
        lambda secret: repr(redact({"anything": secret})),
    ],
)
def test_no_rendering_shows_a_secret(render) -> None:
    assert CANARY not in render(Secret(CANARY))


def test_serialisers_refuse_a_secret() -> None:
    for dump in (json.dumps, msgspec.json.encode, pickle.dumps, copy.deepcopy):
        with pytest.raises((TypeError, NotImplementedError)):
            dump(Secret(CANARY))


@pytest.mark.parametrize(
    ("ours", "offered", "equal"),
    [("abc", "abc", True), ("abc", "abd", False), ("abc", "ab", False), ("", "", False), ("ä", "ä", True)],
)
def test_comparison_never_lets_an_empty_secret_match(ours: str, offered: str, equal: bool) -> None:
    assert Secret(ours).matches(offered) is equal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:p@db.example/runner", "postgresql://***@db.example/runner"),
        ("postgresql://db/runner?password=p", "postgresql://db/runner?***"),
        ("postgresql://u:p/w@db/runner", MASK),
        ("postgresql://u:p#w@db/runner", MASK),
        ("host=db password=p", MASK),
        ("http://[::1", MASK),
    ],
)
def test_a_located_secret_shows_at_most_its_host(text: str, shown: str) -> None:
    assert str(secret_url(text)) == shown
    assert secret_url(text).reveal() == text


def test_payloads_are_masked_by_field_name_not_by_value() -> None:
    payload = {
        "apiKey": CANARY,
        "api_secret": CANARY,
        "X-Cron-Secret": CANARY,
        "nested": [{"password": CANARY}, ({"token": CANARY},)],
        "dsn": f"postgresql://user:{CANARY}@host/db",
        "keyHint": "9f3a",
        "reason": "key level broken",
        "amount": Decimal("1.5"),
        "secret": None,
    }
    masked = redact(payload)
    assert CANARY not in repr(masked)
    assert isinstance(masked, dict)
    assert masked["keyHint"] == "9f3a"
    assert masked["reason"] == "key level broken"
    assert masked["amount"] == Decimal("1.5")
    assert masked["secret"] is None


def test_depth_is_bounded() -> None:
    value: object = CANARY
    for _ in range(50):
        value = [value]
    assert CANARY not in repr(redact(value))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda children: (
            st.lists(children, max_size=3)
            | st.dictionaries(st.sampled_from(["a", "token", "apiKey", "note"]), children, max_size=3)
        ),
        max_leaves=12,
    )
)
def test_masking_twice_is_masking_once(value: object) -> None:
    assert redact(redact(value)) == redact(value)
