"""Advisory locks on files, which the kernel drops when their last holder dies, however it dies."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

_POLL_S = 0.01


class LockedFile:
    """An open file with at most one lock on it, shared or exclusive.

    The lock belongs to the open file, not to the process: a child that inherits `fd` keeps the lock
    until it closes it or dies. Two objects on one path exclude each other inside one process too.
    """

    def __init__(self, path: Path) -> None:
        # O_NOFOLLOW: root opens these, so nobody may point them at a file of their choice.
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def try_exclusive(self) -> bool:
        """Whether this is now the only holder. On failure a lock held before may be lost."""
        return self._flock(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        """Whether this is now one of the holders."""
        return self._flock(fcntl.LOCK_SH)

    def wait_exclusive(self, timeout_s: float) -> bool:
        """Whether this became the only holder within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not self.try_exclusive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def close(self) -> None:
        """Gives up the lock, unless a child inherited it. Closing twice is closing once."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> LockedFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _flock(self, how: int) -> bool:
        try:
            fcntl.flock(self.fd, how | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            raise
        return True
