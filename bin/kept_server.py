"""An embedded server that stops with the process that wanted it, however that ends: the database of drills and tests.

`EmbeddedPostgres` alone outlives a killed holder, which for data that stay is a virtue. Here a second process is
attached as well, and detaches when the pipe to it closes; the last one out stops the server.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bin.environment import ROOT
from core.errors import RunnerError
from schema.embedded import EmbeddedPostgres

KEEPER_TIMEOUT_S: Final = 60.0
"""Longer than a server may take to stop."""
GONE_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.01


@contextmanager
def kept_server(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    """Raises RunnerError as `EmbeddedPostgres` does."""
    with EmbeddedPostgres(data_dir) as server:
        keeper = subprocess.Popen(  # noqa: S603 (our own program, no shell)
            [sys.executable, "-P", "-m", "bin.kept_server", str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=_environment(),
            process_group=0,  # an interrupt is for whoever holds the pipe
        )
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        try:
            yield server
        finally:
            keeper.stdout.readline()  # attached by now, so that it starts nothing anew
            server.close()
            with suppress(BrokenPipeError):
                keeper.communicate(b"closed", KEEPER_TIMEOUT_S)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def main(data_dir: Path) -> int:
    parent = os.getppid()
    try:
        with EmbeddedPostgres(data_dir):
            sys.stdout.write("attached\n")
            sys.stdout.flush()
            if not sys.stdin.read():
                _outlive(parent)
    except (RunnerError, BrokenPipeError):
        return 1
    return 0


def _outlive(parent: int) -> None:
    """Until a process that was killed is gone: the kernel may close its pipe before it lets go of its locks."""
    deadline_s = time.monotonic() + GONE_TIMEOUT_S
    while os.getppid() == parent and time.monotonic() < deadline_s:
        time.sleep(POLL_S)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
