"""An answer given later than the handler that was asked."""

from __future__ import annotations

import queue
from typing import Any

from actors.runtime.future import SlimFuture


class Reply:
    """Settles the asker's future once; does nothing when nobody asked or the asker has been answered."""

    __slots__ = ("_future",)

    def __init__(self, future: SlimFuture[Any] | None) -> None:
        self._future = future

    def set(self, value: object) -> None:
        if self._future is not None:
            try:
                self._future.set(value)
            except queue.Full:
                return

    def fail(self, error: BaseException) -> None:
        if self._future is not None:
            self._future.fail(error)
