"""Which keys are taken, and what follows when a venue says later that one may do more or less."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.key_rights import (
    SENTENCES,
    KeyProblem,
    KeyRights,
    KeyWarning,
    consequence_of,
    problem_of,
    warning_of,
)
from core.run import RunCommand

RIGHTS = st.builds(
    KeyRights,
    may_read=st.booleans(),
    may_trade=st.booleans(),
    may_withdraw=st.booleans(),
    ip_bound=st.none() | st.booleans(),
)


def rights(*, read: bool = True, trade: bool = True, withdraw: bool = False) -> KeyRights:
    return KeyRights(may_read=read, may_trade=trade, may_withdraw=withdraw, ip_bound=True)


@pytest.mark.parametrize(
    ("found", "problem", "command"),
    [
        (rights(), None, None),
        (rights(withdraw=True), KeyProblem.MAY_WITHDRAW, RunCommand.STOP),
        (rights(read=False), KeyProblem.MAY_NOT_READ, RunCommand.PAUSE),
        (rights(trade=False), KeyProblem.MAY_NOT_TRADE, RunCommand.PAUSE),
    ],
)
def test_a_key_that_may_too_much_or_too_little_is_refused_by_name(
    found: KeyRights, problem: KeyProblem | None, command: RunCommand | None
) -> None:
    assert problem_of(found) == problem
    assert consequence_of(found) == command


@given(RIGHTS)
def test_i19_a_key_that_may_withdraw_is_refused_and_its_runs_stop_whatever_else_it_may(
    found: KeyRights,
) -> None:
    refused = problem_of(found) is KeyProblem.MAY_WITHDRAW
    assert refused == found.may_withdraw
    assert (consequence_of(found) is RunCommand.STOP) == found.may_withdraw


@pytest.mark.parametrize(
    ("bound", "warning"),
    [(True, None), (False, KeyWarning.NOT_IP_BOUND), (None, KeyWarning.IP_BINDING_UNKNOWN)],
)
def test_a_key_without_an_address_list_is_taken_with_a_warning(
    bound: bool | None, warning: KeyWarning | None
) -> None:
    found = KeyRights(may_read=True, may_trade=True, may_withdraw=False, ip_bound=bound)
    assert problem_of(found) is None
    assert warning_of(found) == warning


def test_each_problem_and_warning_has_its_sentence() -> None:
    assert set(SENTENCES) == {*KeyProblem, *KeyWarning}
