"""For each code of the venues' error tables, what a whole call concludes is what the code's class names.

The venue answers so over real HTTP; no order comes of it, and none is sent a second time.
"""

from __future__ import annotations

import json
from collections.abc import Coroutine
from typing import Any

import pytest

from core.connection import Venue as VenueName
from core.order import OrderStatus
from exchanges.errors import (
    AuthFailed,
    Banned,
    ClockSkew,
    ErrorKind,
    ExchangeError,
    NotPlaced,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unreachable,
)
from exchanges.wire import unconditional
from tests.exchanges.conformance.simulated_venue import SimulatedVenue
from tests.exchanges.conformance.venue import SYMBOL, order
from tests.exchanges.fixtures import payload_file

CODED = {
    venue: [(row["code"], row["msg"], row["class"]) for row in payload_file(venue, "error_codes")["codes"]]
    for venue in ("binance", "bybit")
}
CLASSES = sorted({row[2] for table in CODED.values() for row in table})
ALIKE: dict[str, type[ExchangeError]] = {
    "rate_limit": RateLimited,
    "ip_ban": Banned,
    "clock_skew": ClockSkew,
    "auth_permanent": AuthFailed,
}
PLACING = ALIKE | {
    "retry_backoff": NotPlaced,
    "unknown_status": OutcomeUnknown,
    "duplicate_client_id": OutcomeUnknown,
    "stream_expired": Unreachable,
}
READING = ALIKE | {
    "retry_backoff": Unreachable,
    "unknown_status": Unreachable,
    "stream_expired": Unreachable,
}
HALTS = ("rate_limit", "ip_ban")
STATUSES = {
    VenueName.BINANCE: [(401, "auth_permanent"), (403, "ip_ban"), (404, "bad_request"), (408, "unknown_status"),
                        (418, "ip_ban"), (429, "rate_limit"), (500, "unknown_status"), (502, "unknown_status"),
                        (503, "unknown_status"), (504, "unknown_status")],
    VenueName.BYBIT: [(401, "auth_permanent"), (403, "ip_ban"), (404, "bad_request"), (429, "retry_backoff"),
                      (500, "unknown_status"), (502, "unknown_status"), (503, "unknown_status")],
}  # fmt: skip


def says(live: SimulatedVenue, code: int, text: str) -> dict[str, Any]:
    """The venue's refusal in its own form."""
    if live.name is VenueName.BINANCE:
        return {"status": 400, "body": json.dumps({"code": code, "msg": text})}
    return {"status": 200, "body": json.dumps({"retCode": code, "retMsg": text, "result": {}, "time": 0})}


def raised(live: SimulatedVenue, call: Coroutine[Any, Any, Any]) -> ExchangeError:
    with pytest.raises(ExchangeError) as failed:
        live.run(call)
    return failed.value


def coded(live: SimulatedVenue, class_: str) -> list[tuple[int, str]]:
    """Of this venue; it need not have one of every class."""
    return [(code, text) for code, text, named in CODED[live.name.value] if named == class_]


@pytest.mark.parametrize("class_", CLASSES)
def test_a_placement_refused_by_code_concludes_what_its_class_names(
    live: SimulatedVenue, class_: str
) -> None:
    live.configure()
    for attempt, (code, text) in enumerate(coded(live, class_), 1):
        live.wait(1)
        sent = order(live, attempt=attempt)
        live.fault("instead", method="POST", path=live.traits.order_path, **says(live, code, text))
        seen = live.seen()
        error = raised(live, live.exchange.place(sent, unconditional))
        assert type(error) is PLACING.get(class_, Rejected), (code, error)
        assert not error.alert, (code, error)
        if class_ == "duplicate_client_id":
            assert error.kind is ErrorKind.DUPLICATE_ID
        if isinstance(error, ClockSkew):
            assert error.resynced
        assert live.requests("POST", seen).count(live.traits.order_path) == 1, code
        assert live.created(sent.client_order_id) == 0
        if class_ in HALTS:
            live.new_process()
    assert live.place(order(live, attempt=len(CODED[live.name.value]))).status is OrderStatus.FILLED


@pytest.mark.parametrize("class_", CLASSES)
def test_a_read_refused_by_code_concludes_what_its_class_names(live: SimulatedVenue, class_: str) -> None:
    """A clock error is made good and the read repeated once; the second one is told."""
    for code, text in coded(live, class_):
        live.fault("instead", path=live.traits.balance_path, times=2, **says(live, code, text))
        seen = live.seen()
        error = raised(live, live.exchange.balance())
        live.control("DELETE", "faults")
        if class_ not in ("order_not_found", "duplicate_client_id"):  # neither is ever said of a balance
            assert type(error) is READING.get(class_, Rejected), (code, error)
        asked = live.requests("GET", seen).count(live.traits.balance_path)
        assert asked == (2 if class_ == "clock_skew" else 1), code
        if class_ in HALTS:
            live.new_process()
    assert live.run(live.exchange.balance()).balance == live.books.balance


@pytest.mark.parametrize("class_", CLASSES)
def test_a_setting_refused_by_code_is_made_only_where_it_is_so_already(
    live: SimulatedVenue, class_: str
) -> None:
    live.configure(leverage=1)
    for leverage, (code, text) in enumerate(coded(live, class_), 2):
        live.wait(1)
        live.fault("instead", path=live.traits.leverage_path, times=2, **says(live, code, text))
        if class_ == "ok_already":
            live.configure(leverage=leverage)
        else:
            with pytest.raises(ALIKE.get(class_, ExchangeError)) as failed:
                live.configure(leverage=leverage)
            assert isinstance(failed.value, RateLimited) is (class_ == "rate_limit"), code
        live.control("DELETE", "faults")
        if class_ in HALTS:
            live.new_process()


def test_a_placement_refused_by_status_alone_concludes_what_its_class_names(live: SimulatedVenue) -> None:
    live.configure()
    for attempt, (status, class_) in enumerate(STATUSES[live.name], 1):
        live.fault("instead", path=live.traits.order_path, status=status, body="<html>no</html>")
        error = raised(live, live.exchange.place(order(live, attempt=attempt), unconditional))
        assert type(error) is PLACING.get(class_, Rejected), (status, error)
        live.new_process()
    assert live.run(live.exchange.find(SYMBOL, order(live).client_order_id)) is None


def test_a_code_that_stands_in_no_table_alerts(live: SimulatedVenue) -> None:
    live.configure()
    live.fault("instead", path=live.traits.order_path, **says(live, -98765, "something new"))
    error = raised(live, live.exchange.place(order(live), unconditional))
    assert (type(error), error.alert) == (Rejected, True)
    unknown = {**says(live, -98765, "something new"), "status": 500}
    live.fault("instead", path=live.traits.order_path, **unknown)
    error = raised(live, live.exchange.place(order(live, attempt=2), unconditional))
    assert (type(error), error.alert) == (OutcomeUnknown, True)
