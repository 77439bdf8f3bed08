"""Programs of ours that end with the process that started them, however that ends: children of drills and tests.

    Popen(tethered("bin.commands", "serve"), stdin=tether(), process_group=OWN_GROUP)

The child's standard input is a pipe whose other end only its parent holds and never writes to: when the parent is
gone, the kernel closes it. A child that is stopped (SIGSTOP) reads nothing; but in a process group of its own it is
hung up and continued by the kernel as soon as nobody is left in its session to do so.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from functools import cache
from typing import Final

END_TIMEOUT_S: Final = 30.0
"""From SIGTERM to SIGKILL, as for everybody (I16): whoever has started a database stops it meanwhile."""
OWN_GROUP: Final = 0
"""For `process_group` of a tethered child."""


def tethered(module: str, *arguments: str) -> list[str]:
    """The command of a program that watches its standard input."""
    return [sys.executable, "-P", "-m", "bin.tether", module, *arguments]


@cache
def tether() -> int:
    """The standard input of every tethered child of this process."""
    read, _held = os.pipe()  # neither is inherited but as somebody's standard input
    return read


def watch() -> None:
    threading.Thread(target=_end_with_parent, name="tether", daemon=True).start()


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(END_TIMEOUT_S)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    del sys.argv[0]
    watch()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
