"""Guards inside a PostgreSQL transaction or a constraint, and the test on a real server that fails without them."""

from __future__ import annotations

from tests.guards.guard import ByTest, Change, Guard

RACES = "tests/schema/test_pg_races.py"
CONSTRAINTS = "tests/schema/test_pg_constraints.py"

GUARDS: tuple[Guard, ...] = (
    Guard(
        name="slot uniqueness in SQL",
        changes=(
            Change(
                file="schema/queries/slots.sql",
                old=" AND (l.last_slot IS NULL OR l.last_slot < excluded.last_slot)",
                new="",
            ),
        ),
        proof=ByTest(
            test=f"{RACES}::test_i1_i5_i6_processes_racing_for_slots_win_each_once_under_rising_fences"
        ),
    ),
    Guard(
        name="one lease at a time",
        changes=(
            Change(
                file="schema/queries/slots.sql",
                old=" WHERE l.locked_until <= clock_timestamp()\nRETURNING fence",
                new="RETURNING fence",
            ),
        ),
        proof=ByTest(test=f"{RACES}::test_i5_one_of_many_acquires_a_free_lease"),
    ),
    Guard(
        name="fence check of an intent",
        changes=(
            Change(
                file="schema/ledger/intents.py",
                old="if not tx.lease_holds(order.run_id, order.fence):",
                new="if False:",
            ),
        ),
        proof=ByTest(test=f"{RACES}::test_i3_i5_an_intent_whose_lease_was_stolen_is_refused"),
    ),
    Guard(
        name="a lease that is over holds nothing",
        changes=(Change(file="schema/pg_batch.py", old=" and self._rows.process_now < until", new=""),),
        proof=ByTest(test=f"{RACES}::test_i5_a_lease_lost_while_an_intent_waits_for_its_row_is_lost"),
    ),
    Guard(
        name="reservation under the user's lock",
        changes=(
            Change(
                file="schema/queries/batch.sql",
                old="WHERE user_id = ANY(%(user_ids)s) ORDER BY user_id FOR NO KEY UPDATE;",
                new="WHERE user_id = ANY(%(user_ids)s) ORDER BY user_id;",
            ),
        ),
        proof=ByTest(test=f"{RACES}::test_i7_two_runs_of_one_user_racing_for_the_last_trade_get_one"),
    ),
    Guard(
        name="one live order a leg",
        changes=(
            Change(
                file="schema/migrations/0004_orders_and_risk.sql",
                old="CREATE UNIQUE INDEX orders_one_live_per_leg",
                new="CREATE INDEX orders_one_live_per_leg",
            ),
        ),
        proof=ByTest(
            test=f"{CONSTRAINTS}::test_orders_that_cannot_be_are_refused[I1-second-live-order-on-a-leg]"
        ),
    ),
)
