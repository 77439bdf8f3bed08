"""Guards whose removal breaks seeds of the simulation: their text, what stands there without them, what breaks."""

from __future__ import annotations

from tests.guards.guard import BySeeds, Change, Guard

GUARDS: tuple[Guard, ...] = (
    Guard(
        name="slot uniqueness",
        changes=(
            Change(
                file="schema/memory_slots.py",
                old="                if slot <= previous:\n                    continue\n",
                new="",
            ),
        ),
        proof=BySeeds(invariants=frozenset({"I1"})),
    ),
    Guard(
        name="reservation",
        changes=(
            Change(
                file="schema/ledger/intents.py", old="user.state = risk.reserve(user.state, now)", new="pass"
            ),
        ),
        proof=BySeeds(invariants=frozenset({"I7"})),
    ),
    Guard(
        name="fence check",
        changes=(
            Change(
                file="schema/ledger/intents.py",
                old="if not tx.lease_holds(order.run_id, order.fence):",
                new="if False:",
            ),
        ),
        proof=BySeeds(invariants=frozenset({"I5"})),
    ),
    Guard(
        name="intent before send",
        changes=(
            Change(
                file="actors/strategy_run.py",
                old="self._orders.propose(order, propose.deadline, why(tick))",
                new='self.ctx.ref("gateway").tell(SubmitOrder(order=order))',
            ),
            Change(
                file="actors/permit.py",
                old="        if refusal is not None:\n            raise Withheld(refusal)\n",
                new="",
            ),
        ),
        proof=BySeeds(invariants=frozenset({"I2"})),
    ),
    Guard(
        name="re-read at the first byte",
        changes=(
            Change(
                file="actors/permit.py",
                old="if refusal is None and self._age_s() > FRESH_S:",
                new="if False:",
            ),
            Change(file="actors/permit.py", old="if self._age_s() > SILENCE_S:", new="if False:"),
        ),
        proof=BySeeds(invariants=frozenset({"I8"})),
    ),
    Guard(
        name="closed candle",
        changes=(
            Change(
                file="core/candles.py",
                old="        if not len(self) or opened_ms > self._last_open_ms:\n"
                "            return NotYet(last_close=self.last_close)\n        run =",
                new="        if not len(self):\n            return NotYet(last_close=self.last_close)\n"
                "        opened_ms = min(opened_ms, self._last_open_ms)\n        run =",
            ),
        ),
        proof=BySeeds(invariants=frozenset({"I10"})),
    ),
    Guard(
        name="streak across midnight",
        changes=(
            Change(
                file="core/risk.py",
                old="day_of: after}, last_trade_at=now)",
                new="day_of: after}, last_trade_at=now, streak=state.streak if day.trades else 0)",
            ),
        ),
        proof=BySeeds(invariants=frozenset({"I7"})),
    ),
    Guard(
        name="release on not_placed",
        changes=(
            Change(
                file="core/order.py",
                old="order.reserved and order.is_terminal and order.filled_quantity == 0",
                new="order.reserved and order.is_terminal and order.filled_quantity == 0"
                " and order.status is not OrderStatus.NOT_PLACED",
            ),
        ),
        proof=BySeeds(invariants=frozenset({"I7"})),
    ),
    Guard(
        name="an unknown outcome is no failure",
        changes=(
            Change(
                file="actors/sending.py",
                old="            case venue_errors.NotPlaced():",
                new="            case venue_errors.NotPlaced() | venue_errors.OutcomeUnknown():",
            ),
        ),
        proof=BySeeds(invariants=frozenset({"I3", "I4"})),
    ),
    Guard(
        name="a fill is booked once",
        changes=(
            Change(
                file="schema/ledger/fills.py",
                old="tx.fill_known(op.account_id, op.symbol, op.fill.trade_id)",
                new="False",
            ),
            Change(file="schema/memory_tx.py", old="if key in self._tables.fills:", new="if False:"),
        ),
        proof=BySeeds(invariants=frozenset({"I3"})),
    ),
    Guard(
        name="an order's change and its event commit together",
        changes=(Change(file="schema/ledger/news.py", old='type="order_update"', new='type="order_fill"'),),
        proof=BySeeds(invariants=frozenset({"I11"})),
    ),
)
