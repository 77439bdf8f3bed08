"""What each ledger operation and status change does to rows and events, written once over `Tx`.

Contract with the stores: a function answers, or raises. Where it raises, the caller rolls the savepoint back,
and a RunnerError becomes `OpRefused`. Whatever it answers stands, an `OpRefused` included: the alert about
impossible venue data commits, while the data itself has entered nothing.
"""

from __future__ import annotations

from typing import assert_never

from schema.ledger.fills import adopted_id, funding_key, observe_fill, observe_funding
from schema.ledger.intents import PASSES_SWITCH, BeforeSend, propose, send_refusal
from schema.ledger.news import end_leg, observe_order
from schema.ledger.payloads import PLATFORM_USER, signal_payload, switch_payload
from schema.ledger.statuses import adapter_failed, adapter_recovered, command_run
from schema.ledger.user_risk import end_old_pause, expire_pause, resume_user, simulate_trade
from schema.ledger.venue_state import observe_balance, observe_position, observe_protection, observe_trail
from schema.ops import (
    EndLeg,
    ExpirePause,
    LedgerOp,
    LedgerResult,
    ObserveBalance,
    ObserveFill,
    ObserveFunding,
    ObserveOrder,
    ObservePosition,
    ObserveProtection,
    ObserveTrail,
    ProposeIntent,
    ResumeUser,
    SimulateTrade,
)
from schema.tx import Tx

__all__ = [
    "PASSES_SWITCH",
    "PLATFORM_USER",
    "BeforeSend",
    "adapter_failed",
    "adapter_recovered",
    "adopted_id",
    "command_run",
    "end_old_pause",
    "funding_key",
    "send_refusal",
    "settle_one",
    "signal_payload",
    "switch_payload",
]


def settle_one(tx: Tx, op: LedgerOp) -> LedgerResult:
    """One operation in its savepoint."""
    match op:
        case ProposeIntent():
            return propose(tx, op)
        case ObserveOrder():
            return observe_order(tx, op)
        case EndLeg():
            return end_leg(tx, op)
        case ObserveFill():
            return observe_fill(tx, op)
        case ObserveFunding():
            return observe_funding(tx, op)
        case ObserveBalance():
            return observe_balance(tx, op)
        case ObservePosition():
            return observe_position(tx, op)
        case ObserveProtection():
            return observe_protection(tx, op)
        case ObserveTrail():
            return observe_trail(tx, op)
        case SimulateTrade():
            return simulate_trade(tx, op)
        case ExpirePause():
            return expire_pause(tx, op)
        case ResumeUser():
            return resume_user(tx, op)
        case _:
            assert_never(op)
