"""Which account the database server runs as, and how a program is started as that account.

PostgreSQL refuses uid 0, so root needs another uid:

1. an existing service account, when it can reach the data folder and the programs;
2. below a private folder, root itself seen under another uid, inside a user namespace;
3. where namespaces are off, the service account again, from a folder it can reach (the caller moves).

Anyone else runs the server as themselves, or, when their uid has no name, as in 2.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from core.errors import RunnerError
from schema.postgres_binaries import PostgresBinaries

_SERVICE_ACCOUNTS = ("postgres", "nobody")
_NAMESPACE_PROGRAM = Path(__file__).with_name("user_namespace.py")
_PROBE_TIMEOUT_S = 20.0
_OVERFLOW_UID = 65534  # how a uid outside the namespace appears inside, unless the kernel says otherwise


class ServerAccount(msgspec.Struct, frozen=True, kw_only=True):
    """The account that runs the server's programs and owns its files."""

    uid: int  # as the system sees it
    gid: int
    peer: str  # the name under which the server sees this process connect
    prefix: tuple[str, ...] = ()  # put before every command
    switch: bool = False  # whether starting a program changes the uid

    def run(
        self, command: Sequence[str | Path], *, timeout_s: float, keep_open: tuple[int, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """The finished command's exit code and what it said.

        It inherits nothing of ours: no environment, no working folder, no descriptor but `keep_open`.
        """
        return subprocess.run(  # noqa: S603 - our own fixed programs, never through a shell
            [*self.prefix, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
            cwd="/",
            pass_fds=keep_open,
            user=self.uid if self.switch else None,
            group=self.gid if self.switch else None,
            extra_groups=[] if self.switch else None,
            check=False,
        )

    def reaches(self, binaries: PostgresBinaries, folder: Path) -> bool:
        """Whether the account can really enter the folder and run the server's programs."""
        tries = 'cd "$1" && "$2" --version && exec "$3" --version'
        probed = (folder, binaries / "postgres", binaries / "initdb")
        try:
            probe = self.run(["/bin/sh", "-c", tries, "sh", *probed], timeout_s=_PROBE_TIMEOUT_S)
        except OSError:  # it does not even reach the interpreter that `prefix` names
            return False
        return probe.returncode == 0


def direct_account() -> ServerAccount | None:
    """This process's own account, or None when PostgreSQL would not accept it (root, or no name)."""
    name = _name(os.geteuid())
    if os.geteuid() == 0 or name is None:
        return None
    return ServerAccount(uid=os.geteuid(), gid=os.getegid(), peer=name)


def service_account() -> ServerAccount | None:
    """The account root hands the server to, or None when the system has none or we are not root."""
    if os.geteuid() != 0:
        return None
    for name in _SERVICE_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerAccount(uid=entry.pw_uid, gid=entry.pw_gid, peer=_name(0) or "root", switch=True)
    return None


def namespace_account(binaries: PostgresBinaries, folder: Path) -> ServerAccount | None:
    """This process seen under another uid in a user namespace, or None where that does not work."""
    entry = _named_for_namespace()
    if entry is None:
        return None
    account = ServerAccount(
        uid=os.geteuid(),
        gid=os.getegid(),
        peer=entry.pw_name,
        prefix=(
            sys.executable,
            "-I",
            "-S",
            str(_NAMESPACE_PROGRAM),
            str(entry.pw_uid),
            str(entry.pw_gid),
        ),
    )
    return account if account.reaches(binaries, folder) else None


def no_account() -> RunnerError:
    """What to tell someone whose system offers no way to run the server."""
    return RunnerError(
        "The embedded database cannot run as this user: PostgreSQL needs a named account other than root."
        " Run as an ordinary user, or set DATABASE_URL."
    )


def _named_for_namespace() -> pwd.struct_passwd | None:
    # Every foreign uid appears inside as the overflow uid: a server of that name would take them for us.
    try:
        overflow = int(Path("/proc/sys/kernel/overflowuid").read_text())
    except OSError:
        overflow = _OVERFLOW_UID
    usable = (entry for entry in pwd.getpwall() if entry.pw_uid not in (0, overflow, _OVERFLOW_UID))
    # `postgres` sorts first where it exists, so that process lists read as expected.
    return min(usable, key=lambda entry: (entry.pw_name != "postgres", entry.pw_uid), default=None)


def _name(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
