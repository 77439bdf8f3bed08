"""Second lines behind a guard that seeds notice, and what a backtest rests on; and the tests that fail without them."""

from __future__ import annotations

from tests.guards.guard import ByTest, Change, Guard

INTENTS = "tests/schema/conformance/test_intents.py"
BACKTESTS = "tests/actors/test_backtest.py"

GUARDS: tuple[Guard, ...] = (
    Guard(
        name="fence check ahead of the first byte",
        changes=(
            Change(
                file="schema/ledger/intents.py",
                old="if found.fence != fence or not found.lease_holds:",
                new="if False:",
            ),
        ),
        proof=ByTest(test=f"{INTENTS}::test_i5_an_order_is_not_sent_under_a_lost_lease[memory]"),
    ),
    Guard(
        name="only an intent is sent",
        changes=(
            Change(
                file="schema/ledger/intents.py",
                old="if found is None or found.status is not OrderStatus.INTENT:",
                new="if found is None:",
            ),
        ),
        proof=ByTest(test=f"{INTENTS}::test_i3_an_order_that_is_no_longer_an_intent_is_not_sent[memory]"),
    ),
    Guard(
        name="an unknown order blocks entries",
        changes=(
            Change(
                file="schema/ledger/intents.py",
                old="    if tx.unknown_orders(order.account_id, order.symbol):\n"
                "        return Reason.UNKNOWN_ORDER\n",
                new="",
            ),
        ),
        proof=ByTest(
            test=f"{INTENTS}::test_i4_an_unknown_order_blocks_entries_on_its_account_and_symbol[memory]"
        ),
    ),
    Guard(
        name="no candle after the slot",
        changes=(
            Change(
                file="core/candles.py",
                old="        return CandleView("
                "self._frozen[:, first - self._base : index + 1 - self._base], self.timeframe)",
                new="        data = self._frozen[:, first - self._base : index + 1 - self._base].copy()\n"
                "        data[4, -1] = self._frozen[4, min(index + 200, self._next - 1) - self._base]\n"
                "        return CandleView(data, self.timeframe)",
            ),
        ),
        proof=ByTest(test=f"{BACKTESTS}::test_i10_a_backtest_without_the_future_has_the_same_past"),
    ),
    Guard(
        name="events say nothing that differs by run",
        changes=(
            Change(
                file="schema/ledger/payloads.py",
                old="        reason=order.reason,\n        reserved=",
                new="        reason=str(id(order)),\n        reserved=",
            ),
        ),
        proof=ByTest(test=f"{BACKTESTS}::test_the_same_replay_twice_leaves_the_same_events_to_the_byte"),
    ),
)
