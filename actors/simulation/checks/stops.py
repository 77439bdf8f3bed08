"""Processes told to stop: nothing new is claimed, and what was sent is recorded before the end (I16)."""

from __future__ import annotations

from actors.simulation.checks.findings import Findings
from actors.simulation.checks.orders import OrderCheck
from core.clock import Clock
from core.order import OrderStatus

UNDER_WAY_S = 10.0
"""A claim asked for before the stop may be carried out for so long after it: calls wait for a connection at times."""


class StopCheck:
    def __init__(self, findings: Findings, clock: Clock, orders: OrderCheck) -> None:
        self._findings = findings
        self._clock = clock
        self._orders = orders
        self._since_s: dict[str, float] = {}

    def told(self, process: str) -> None:
        self._since_s[process] = self._clock.monotonic()

    def claimed(self, process: str) -> None:
        since_s = self._since_s.get(process)
        if since_s is not None and self._clock.monotonic() - since_s > UNDER_WAY_S:
            waited_s = self._clock.monotonic() - since_s
            self._findings.broken("I16", f"{process} claimed runs {waited_s:.1f} s after it was told to stop")

    def stopped(self, process: str) -> None:
        """It has ended by itself, in order."""
        for order in self._orders.sent_by(process):
            self._findings.unless(
                order.status is not OrderStatus.INTENT,
                "I16",
                f"{process} stopped without a record of what became of order {order.client_order_id}",
            )
