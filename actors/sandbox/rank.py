"""How a process of the sandbox stands to all others that want the processor."""

from __future__ import annotations

import contextlib
import os
import resource
from enum import Enum
from pathlib import Path
from typing import Final

from actors.sandbox.deadline import pid_of

_MAY_BE_NICE_0: Final = 20
"""As RLIMIT_NICE counts."""
_SYS_NICE: Final = 1 << 23


class Rank(Enum):
    EQUAL = "as everybody"
    UNTIL_SLOW = "as everybody, until it has worked for long"
    LAST = "when nobody else wants the processor"


def put(handle: int, rank: Rank) -> None:
    """From now on; where the kernel forbids that, as before."""
    pid = pid_of(handle)
    policy = os.SCHED_IDLE if rank is Rank.LAST else os.SCHED_OTHER
    with contextlib.suppress(OSError):
        if pid is not None:
            os.sched_setscheduler(pid, policy, os.sched_param(0))


def can_be_raised() -> bool:
    """Whether who was put last can be made an equal again: as root, or where RLIMIT_NICE is 20."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NICE)
    if limit == resource.RLIM_INFINITY or limit >= _MAY_BE_NICE_0:
        return True
    held = next(
        (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:")),
        "",
    )
    return bool(int(held.removeprefix("CapEff:") or "0", 16) & _SYS_NICE)
