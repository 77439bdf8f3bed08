"""The files around an embedded server: its folders, settings, access rules and log.

Only `cluster/` and the socket folder belong to the server's account. Everything that this process
writes lies in folders the server cannot write to, so it cannot be led elsewhere by a planted link.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from pathlib import Path

from core.errors import RunnerError
from schema.server_account import ServerAccount, service_account

PORT = 5432  # only names the socket; nothing listens on the network
ADMIN_ROLE = "runner_admin"
OWNER_ROLE = "runner_owner"
SERVICE_ROLE = "runner_service"
READER_ROLE = "runner_reader"
TENANT_ROLE = "runner_tenant"
"""Sees the rows of one user: migrations/0022_walls.sql."""

_SOCKET_PATH_MAX = 100  # bytes; the system's own limit is 107, or 103 on macOS
_SHORT_FOLDER = Path("/tmp")  # noqa: S108 - not TMPDIR: every attaching process must arrive at one folder
_LOG_MAX_BYTES = 8 * 1024 * 1024
_LOG_KEPT_BYTES = 1024 * 1024

_SETTINGS = """\
# Written at every start of the server; changes made here are lost.
listen_addresses = ''
port = {port}
unix_socket_directories = '{socket_folder}'
unix_socket_permissions = 0700
max_connections = 60
shared_buffers = 128MB
fsync = on
full_page_writes = on
synchronous_commit = on
wal_compression = on
max_wal_size = 512MB
checkpoint_timeout = 15min
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
datestyle = 'iso, ymd'
password_encryption = 'scram-sha-256'
# Statements and their values stay out of the log: errors go to the client that made them.
log_min_messages = log
log_min_error_statement = panic
log_error_verbosity = terse
log_checkpoints = off
log_autovacuum_min_duration = -1
"""


def socket_folder(home: Path) -> Path:
    """`home/run`, or a short folder named by its hash where a socket's path could not hold that.

    Commas, quotes and the like would be read as syntax by clients, so such paths are hashed as well.
    """
    folder = home / "run"
    path = str(folder / f".s.PGSQL.{PORT}")
    if len(os.fsencode(path)) <= _SOCKET_PATH_MAX and re.fullmatch(r"[\w./+@ -]+", path):
        return folder
    digest = hashlib.sha256(os.fsencode(str(home))).hexdigest()[:16]
    return _SHORT_FOLDER / f"runner-pg-{os.geteuid()}-{digest}"


def make_home(home: Path) -> None:
    """Creates the folder, for this user alone; one sentence when that cannot be."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if home.stat().st_uid != os.geteuid():
            raise RunnerError(f"The data directory {home} belongs to another user.")
        if stat.S_IMODE(home.stat().st_mode) & 0o067:
            home.chmod(0o700)
        if not os.access(home, os.W_OK | os.X_OK):
            raise RunnerError(f"The data directory {home} cannot be written: Permission denied.")
    except OSError as error:
        raise RunnerError(f"The data directory {home} cannot be written: {error.strerror}.") from error


def open_to_account(home: Path, account: ServerAccount) -> None:
    """Lets the server's group pass through `home`, and no one else. Parents are never touched."""
    if account.switch:
        os.chown(home, -1, account.gid)
        home.chmod(0o710)


def make_owned(folder: Path, account: ServerAccount) -> None:
    """A real folder, owned by the server's account and open to it alone."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        os.chown(folder, account.uid, account.gid)
    found = folder.lstat()
    service = service_account()  # an earlier start may have run as that
    ours = {account.uid, os.geteuid(), service.uid if service else account.uid}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours:
        raise RunnerError(f"{folder} is not ours; remove it, or choose another data directory.")
    if found.st_uid != account.uid or stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)
        os.chown(folder, account.uid, account.gid)


def hand_over(folder: Path, account: ServerAccount) -> None:
    """Makes the account own everything below, when an earlier start ran as another one."""
    if folder.stat().st_uid == account.uid:
        return
    for parent, _, names in os.walk(folder):
        for name in (*names, ""):
            os.chown(Path(parent, name), account.uid, account.gid, follow_symlinks=False)


def write_settings(home: Path, sockets: Path, account: ServerAccount) -> None:
    """Settings and access rules: peers on the socket only, and of those only this user."""
    roles = (ADMIN_ROLE, OWNER_ROLE, SERVICE_ROLE)
    texts = {
        "server.conf": _SETTINGS.format(port=PORT, socket_folder=f'"{sockets}"'),
        "hba.conf": "local all all peer map=runner\n",
        "ident.conf": "".join(f'runner "{account.peer}" {role}\n' for role in roles),
    }
    for name, text in texts.items():
        unfinished = home / f"{name}.new"
        unfinished.write_text(text)
        unfinished.chmod(0o640)
        os.chown(unfinished, -1, account.gid)
        unfinished.replace(home / name)


def make_log(log: Path, account: ServerAccount) -> None:
    """An existing log file that the server's account may append to, and only read by it and us."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        os.fchown(descriptor, account.uid, account.gid)
    finally:
        os.close(descriptor)


def trim_log(log: Path) -> None:
    """Keeps the last part of a log that grew beyond its bound.

    The server appends, so it writes on at the new end; lines written meanwhile may be lost.
    """
    try:
        descriptor = os.open(log, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size <= _LOG_MAX_BYTES:
            return
        file.seek(size - _LOG_KEPT_BYTES)
        kept = file.read()
        file.seek(0)
        file.truncate()
        file.write(kept)


def log_size(log: Path) -> int:
    """Where a server that starts now begins to write."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def last_words(log: Path, since: int = 0) -> str:
    """The last line of the log, from `since` on, that says why the server ended, for an error message."""
    try:
        with log.open("rb") as file:
            file.seek(max(since, file.seek(0, os.SEEK_END) - 8192))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return "it left no log"
    # Our own attempts to connect while it comes up are logged as FATAL too.
    telling = [line for line in lines if re.search(r"\b(?:FATAL|PANIC|ERROR):(?!.* is starting up)", line)]
    return (telling or lines or ["it left no log"])[-1].strip()
