"""Trouble on order: which requests it strikes and what it does to them.

A fault is set over HTTP as JSON, for example

    {"kind": "silent", "method": "POST", "path": "/fapi/v1/order"}
    {"kind": "instead", "path": "/fapi/v1/order", "status": 503, "body": "...", "nth": 2, "times": 1}
    {"kind": "delay", "seconds": 4, "probability": 0.1, "seed": 7, "times": null}
"""

from __future__ import annotations

import random
from typing import Literal

import msgspec

from exchanges.simulator.http_server import Delivery, HttpReply, HttpRequest

Kind = Literal[
    "silent",  # acts and never answers
    "delay",  # acts, answers after `seconds`
    "hold",  # acts only after `seconds`, then answers
    "instead",  # does not act, answers `status` and `body`
    "afterwards",  # acts, but answers `status` and `body`
    "drop_before",  # closes the connection without acting
    "drop_after",  # acts, then closes the connection
    "truncate",  # acts, sends `bytes` of the body and closes
    "slow",  # acts, sends `bytes` a second
]


class Fault(msgspec.Struct, kw_only=True):
    """Strikes requests of that method whose path begins so and whose query or body holds `contains`.

    Of these the `nth` (from 1; None: any) and those after it, `times` in all (null: without end), each with
    `probability` by `seed`.
    """

    kind: Kind
    method: str | None = None
    path: str = ""
    contains: str = ""
    nth: int | None = None
    times: int | None = 1
    probability: float = 1.0
    seed: int = 0
    seconds: float = 0.0
    bytes: int = 0
    status: int = 503
    body: str = ""
    headers: dict[str, str] = {}
    seen: int = 0
    struck: int = 0


class Faults:
    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._draws: list[random.Random] = []

    def add(self, fault: Fault) -> None:
        self._faults.append(fault)
        self._draws.append(random.Random(fault.seed))  # noqa: S311 trouble that can be repeated

    def clear(self) -> None:
        self._faults.clear()
        self._draws.clear()

    @property
    def all(self) -> list[Fault]:
        return self._faults

    def match(self, request: HttpRequest) -> Fault | None:
        """The first fault that strikes this request."""
        for fault, draw in zip(self._faults, self._draws, strict=True):
            if fault.times is not None and fault.struck >= fault.times:
                continue
            if fault.method not in (None, request.method) or not request.path.startswith(fault.path):
                continue
            if fault.contains and fault.contains not in request.query + request.body.decode("latin-1"):
                continue
            fault.seen += 1
            if fault.seen >= (fault.nth or 1) and draw.random() < fault.probability:
                fault.struck += 1
                return fault
        return None


def delivery_of(fault: Fault) -> Delivery:
    match fault.kind:
        case "silent":
            return Delivery(is_silent=True)
        case "delay":
            return Delivery(delay_s=fault.seconds)
        case "drop_before" | "drop_after":
            return Delivery(is_dropped=True)
        case "truncate":
            return Delivery(cut_at=fault.bytes)
        case "slow":
            return Delivery(bytes_per_s=max(fault.bytes, 1))
        case _:
            return Delivery()


def scripted_reply(fault: Fault) -> HttpReply:
    return HttpReply(status=fault.status, body=fault.body.encode(), headers=tuple(fault.headers.items()))
