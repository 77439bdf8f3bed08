"""Runs a command inside a new user namespace, as another uid than the one the system sees.

Executed as a file, before anything else is imported: `python -I -S user_namespace.py UID GID COMMAND...`.
PostgreSQL refuses to run as uid 0. Inside the namespace the caller's own uid appears as UID, so the
server starts, while the system still sees the caller: it reaches the caller's private folders and has no
privilege beyond the caller's files (exec as a uid other than 0 drops the namespace's capabilities).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000


def main(arguments: list[str]) -> None:
    """Replaces this process by the command, or ends with one sentence on standard error."""
    uid, gid, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    with contextlib.suppress(PermissionError):
        os.setgroups([])
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        sys.exit(f"user namespaces are off here: {os.strerror(ctypes.get_errno())}")
    try:
        # Without "deny" an unprivileged caller may not map its group.
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1")
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        sys.exit(f"this system does not let a user namespace map a uid: {error.strerror}")
    os.execv(command[0], command)  # noqa: S606 - a fixed program, no shell wanted


if __name__ == "__main__":
    main(sys.argv[1:])
