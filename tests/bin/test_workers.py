"""Worker processes end with the command that started them, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = """
import sys, threading
from bin.commands.workers import worker_pool
def begin(fifo):
    told = open(fifo, "w", buffering=1)
    print("here", file=told)
    globals()["kept"] = told
def work():
    threading.Event().wait(60)
    print("still here", file=kept)
if __name__ == "__main__":
    pool = worker_pool(1, begin, sys.argv[1])
    pool.submit(work).result()
"""


def test_a_killed_command_leaves_no_worker_behind(tmp_path: Path) -> None:
    fifo, program = tmp_path / "fifo", tmp_path / "program.py"
    os.mkfifo(fifo)
    program.write_text(COMMAND)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = [sys.executable, str(program), str(fifo)]
    with subprocess.Popen(started, env=environment) as command, fifo.open("rb") as told:
        assert told.readline() == b"here\n"
        command.kill()
        assert told.read() == b""
