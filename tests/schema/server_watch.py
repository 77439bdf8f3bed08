"""Looking at an embedded server from outside: its rows, its process, and other processes on its data."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import psycopg

from schema.server_process import pid_in

ROOT = Path(__file__).parents[2]


def ask(dsn: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, connect_timeout=5) as connection:
        return connection.execute(statement.encode()).fetchall()


def pid_of(data: Path) -> int:
    pid = pid_in(data / "cluster" / "postmaster.pid")
    assert pid is not None
    return pid


def in_child(script: str, *arguments: object, before: str = "") -> subprocess.Popen[str]:
    """Runs the script in another process, which prints one line per step.

    What the script needs is imported before `before` gives up the uid: that uid may not reach the libraries.
    """
    text = "import os, sys, signal\nfrom pathlib import Path\nimport psycopg, encodings.idna\n"
    text += "from schema.embedded import EmbeddedPostgres\n"
    text += "from schema.postgres_binaries import inspect_binaries\n"
    text += "psycopg.conninfo.make_conninfo('')\n"
    text += textwrap.dedent(before) + "\n" + textwrap.dedent(script)
    return subprocess.Popen(
        [sys.executable, "-c", text, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
