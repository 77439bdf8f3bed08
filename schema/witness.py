"""Market times a transaction looked at: a recording keeps them, so that a replay decides at the same ones."""

from __future__ import annotations

import threading
from datetime import datetime


class Witness(threading.local):
    """Per thread; `times` is a list while somebody is recording what this thread does."""

    times: list[datetime] | None = None


witness = Witness()
