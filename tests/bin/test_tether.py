"""Children of a process that was killed end too: also those that stand still, and the database."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from schema.locked_files import LockedFile

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0
CHILD = """
import os, signal, sys, time
told = open(sys.argv[1], "w", buffering=1)
print("here", file=told)
if sys.argv[2] == "frozen":
    os.kill(os.getpid(), signal.SIGSTOP)
time.sleep(10)
print("still here", file=told)
"""
PARENT = """
import os, subprocess, sys, time
from bin.tether import OWN_GROUP, tether, tethered
child = subprocess.Popen(tethered("child", *sys.argv[1:]), stdin=tether(), process_group=OWN_GROUP)
if sys.argv[2] == "frozen":
    os.waitpid(child.pid, os.WUNTRACED)
print("ready", flush=True)
time.sleep(60)
"""
HOLDER = """
import sys, time
from pathlib import Path
from bin.kept_server import kept_server
with kept_server(Path(sys.argv[1])) as server:
    print(server.service_dsn, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("how", ["busy", "frozen"])
def test_a_killed_parent_leaves_no_child_behind(tmp_path: Path, how: str) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (tmp_path / "child.py").write_text(CHILD)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    started = [sys.executable, "-c", PARENT, str(fifo), how]
    with (
        subprocess.Popen(started, env=environment, stdout=subprocess.PIPE) as parent,
        fifo.open("rb") as told,
    ):
        assert parent.stdout is not None
        assert (told.readline(), parent.stdout.readline()) == (b"here\n", b"ready\n")
        parent.kill()
        closed, _, _ = select.select([told], [], [], PATIENCE_S)
        assert closed, "the child stands still"
        assert told.read() == b""


def test_a_killed_holder_of_a_kept_server_leaves_no_server_behind(open_folder: Path) -> None:
    data = open_folder / "database"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    started = [sys.executable, "-c", HOLDER, str(data)]
    with subprocess.Popen(started, env=environment, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        dsn = holder.stdout.readline().strip()
        psycopg.connect(dsn, connect_timeout=5).close()
        holder.kill()
    with LockedFile(data / "server.lock") as alive:
        assert alive.wait_exclusive(PATIENCE_S), "the server still runs"
