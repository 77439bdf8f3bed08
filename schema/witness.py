"""Market times a transaction looked at: a recording keeps them, so that a replay decides at the same ones."""

from __future__ import annotations

import threading
from datetime import datetime


class Witness(threading.local):
    """Per thread; `times` is a list while somebody is recording what this thread does."""

    times: list[datetime] | None = None

    def saw(self, at: datetime) -> datetime:
        if self.times is not None:
            self.times.append(at)
        return at

    def mark(self) -> int:
        return 0 if self.times is None else len(self.times)

    def back_to(self, mark: int) -> None:
        """What has been done since then was undone."""
        if self.times is not None:
            del self.times[mark:]


witness = Witness()
