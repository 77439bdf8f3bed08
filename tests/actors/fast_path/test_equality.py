"""The fast path comes to what the actors come to: every trade, every balance, every tick by status and reason."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, assume, given, settings

from actors.fast_path.unserved import Unserved
from tests.actors.fast_path.cases import Case, assert_equal, both, cases

EXAMPLES = int(os.environ.get("RUNNER_FAST_PATH_EXAMPLES", "60"))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases())
def test_both_paths_come_to_the_same_trades_money_and_gates(case: Case) -> None:
    try:
        fast, actors = both(case)
    except Unserved:
        assume(False)
    assert_equal(fast, actors)
