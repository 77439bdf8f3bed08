"""An embedded server that stops with the process that wanted it, however that ends: the database of drills and tests.

`EmbeddedPostgres` alone outlives a killed holder, which for data that stay is a virtue. Here a second process is
attached as well, and detaches when the pipe to it closes; the last one out stops the server.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bin.environment import ROOT
from core.errors import RunnerError
from schema.embedded import EmbeddedPostgres

KEEPER_TIMEOUT_S: Final = 60.0
"""Longer than a server may take to stop."""


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
            keeper.stdin.close()
            keeper.stdout.close()
            keeper.wait(KEEPER_TIMEOUT_S)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def main(data_dir: Path) -> int:
    try:
        with EmbeddedPostgres(data_dir):
            sys.stdout.write("attached\n")
            sys.stdout.flush()
            sys.stdin.read()
    except (RunnerError, BrokenPipeError):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
