"""Python that has been read before: a fresh worker loads what reading it came to, a two-hundredth of the work.

What is kept comes from a worker that read the text and ran nothing of it, and goes to workers of the same text alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from actors.sandbox.frames import Compile, Compiled
from actors.sandbox.host import SandboxAway, Zygote
from actors.sandbox.rank import Rank
from actors.sandbox.worker_handle import Starved
from core.definition import StrategyKind
from core.strategies.code import CodeStrategy

MAX_BYTES: Final = 64 << 20
"""Of all together; who was not evaluated for longest goes first. 70 kB are kept of a text of 50 kB."""
MAX_TEXTS: Final = 10_000


class CodeCache:
    """From any thread. By content, which is that of the text."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._codes: OrderedDict[str, bytes | None] = OrderedDict()
        self._bytes = 0

    def get(self, strategy: CodeStrategy) -> bytes | None:
        with self._lock:
            code = self._codes.get(strategy.content)
            if code is not None:
                self._codes.move_to_end(strategy.content)
            return code

    def learn(self, strategy: CodeStrategy, zygote: Zygote) -> None:
        """Read the text, once; what cannot be kept is read anew by each worker."""
        if strategy.kind is not StrategyKind.PYTHON or strategy.content in self._codes:
            return
        try:
            with zygote.worker(Rank.LAST) as worker:
                told = worker.ask(Compile(text=strategy.code.text))[-1]
        except (SandboxAway, Starved):
            return
        self.put(strategy, told.code if isinstance(told, Compiled) else None)

    def put(self, strategy: CodeStrategy, code: bytes | None) -> None:
        with self._lock:
            self._bytes += len(code or b"") - len(self._codes.get(strategy.content) or b"")
            self._codes[strategy.content] = code
            self._codes.move_to_end(strategy.content)
            while self._bytes > MAX_BYTES or len(self._codes) > MAX_TEXTS:
                self._bytes -= len(self._codes.popitem(last=False)[1] or b"")
