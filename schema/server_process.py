"""What the system knows about processes near a data folder."""

from __future__ import annotations

import os
from pathlib import Path


def pid_in(file: Path) -> int | None:
    """The pid a pid file names, or None without one. It may be anybody's."""
    try:
        pid = int(file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
    return pid if pid > 0 else None


def is_alive(pid: int) -> bool:
    """Whether the pid is taken, be it by a zombie or by another user's program."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def sitting_in(folder: Path) -> int | None:
    """A process whose working folder this is, as every PostgreSQL process's is; never one of a zombie."""
    processes = (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
    return next((pid for pid in processes if sits_in(pid, folder)), None)


def sits_in(pid: int, folder: Path) -> bool:
    """Whether the folder is the process's working folder; True where that cannot be known."""
    if not Path("/proc/self").exists():
        return True  # no /proc on this system: the locks alone must do
    try:
        return os.path.samefile(f"/proc/{pid}/cwd", folder)
    except OSError:
        return False
