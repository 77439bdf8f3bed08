"""What a job's process is told on its standard input; no secret stands in its arguments or its environment."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from actors.sandbox.host import Limits
from schema.jobs import HeldJob


class WorkOrder(msgspec.Struct, frozen=True, kw_only=True):
    """`rest`: base URLs of venues that the operator has set. `sandbox`: limits of strategies that are code."""

    dsn: str
    worker: str
    held: HeldJob
    rest: Mapping[str, str]
    sandbox: Limits
