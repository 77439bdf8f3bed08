"""For each code of the error tables, what a placement and a read conclude is what its class names."""

from __future__ import annotations

import pytest

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
from tests.exchanges.bybit.account import Account, order, run
from tests.exchanges.fixtures import payload_file
from tests.fakes.bybit import refuses, says

TABLE = payload_file("bybit", "error_codes")
CREATE, WALLET = "/v5/order/create", "/v5/account/wallet-balance"
Reaction = tuple[type[ExchangeError], ErrorKind]

ALIKE: dict[str, Reaction] = {
    "rate_limit": (RateLimited, ErrorKind.RATE_LIMIT),
    "ip_ban": (Banned, ErrorKind.BANNED),
    "clock_skew": (ClockSkew, ErrorKind.CLOCK),
    "auth_permanent": (AuthFailed, ErrorKind.AUTH),
}
PLACING: dict[str, Reaction] = ALIKE | {
    "retry_backoff": (NotPlaced, ErrorKind.BUSY),
    "unknown_status": (OutcomeUnknown, ErrorKind.SERVER),
    "duplicate_client_id": (OutcomeUnknown, ErrorKind.DUPLICATE_ID),
}
READING: dict[str, Reaction] = ALIKE | {
    "retry_backoff": (Unreachable, ErrorKind.BUSY),
    "unknown_status": (Unreachable, ErrorKind.SERVER),
    "duplicate_client_id": (Unreachable, ErrorKind.DUPLICATE_ID),
}
REFUSED: Reaction = (Rejected, ErrorKind.REJECTED)
CODES = [(entry["code"], entry["msg"], entry["class"]) for entry in TABLE["codes"]]
STATUSES = [
    (int(str(entry["status"])[:3].replace("xx", "02")), entry["class"])
    for entry in TABLE["http"]
    if str(entry["status"])[0].isdigit()
]


@pytest.mark.parametrize(("code", "text", "class_"), CODES)
def test_a_placement_refused_by_code_concludes_what_its_class_names(
    code: int, text: str, class_: str
) -> None:
    account = Account()
    account.fake.faults[CREATE] = [refuses(code, text)]
    with pytest.raises(ExchangeError) as failed:
        run(account.exchange.place(order(), unconditional))
    assert (type(failed.value), failed.value.kind) == PLACING.get(class_, REFUSED)
    assert account.fake.paths().count(CREATE) == 1


@pytest.mark.parametrize(("code", "text", "class_"), CODES)
def test_a_read_refused_by_code_changes_nothing_and_says_so(code: int, text: str, class_: str) -> None:
    account = Account()
    account.fake.faults[WALLET] = [refuses(code, text)] * 2
    with pytest.raises(ExchangeError) as failed:
        run(account.exchange.balance())
    if class_ != "order_not_found":  # says of a read that there is none, see `find`
        assert (type(failed.value), failed.value.kind) == READING.get(class_, REFUSED)


@pytest.mark.parametrize(("status", "class_"), STATUSES)
def test_a_placement_refused_by_status_concludes_what_its_class_names(status: int, class_: str) -> None:
    account = Account()
    account.fake.faults[CREATE] = [says(status, b"")]
    with pytest.raises(ExchangeError) as failed:
        run(account.exchange.place(order(), unconditional))
    assert (type(failed.value), failed.value.kind) == PLACING.get(class_, REFUSED)
