"""Messages nobody will handle, failures of actors, alerts: all counted, reported once per cause per second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from threading import Lock

REPORT_EVERY_S = 1.0

Sink = Callable[[str, Mapping[str, object]], None]
"""Receives (action, fields): "dead_letter", "actor_failed" or "alert"; `suppressed`: how many alike since the last."""


def ignore(action: str, fields: Mapping[str, object]) -> None:
    """A sink for systems nobody watches."""


class Reports:
    """Counts by cause; the number of causes is bounded by the code: (message or error type, reason) pairs."""

    def __init__(self, sink: Sink, monotonic: Callable[[], float]) -> None:
        self._sink = sink
        self._monotonic = monotonic
        self._lock = Lock()
        self._last: dict[tuple[str, str, str], float] = {}
        self._suppressed: Counter[tuple[str, str, str]] = Counter()
        self.dead_letters: Counter[str] = Counter()
        self.failures = 0

    def alert(self, actor: str, what: str, detail: str) -> None:
        """Something an operator should see, though nobody failed; `what` is one of a few words."""
        with self._lock:
            suppressed = self._due("alert", what, "")
        if suppressed is not None:
            fields = {"actor": actor, "what": what, "detail": detail, "suppressed": suppressed}
            self._sink("alert", fields)

    def dead_letter(self, target: str, message: object, reason: str) -> None:
        """Count `message` to `target` as never to be handled."""
        kind = type(message).__name__
        with self._lock:
            self.dead_letters[reason] += 1
            suppressed = self._due("dead_letter", kind, reason)
        if suppressed is not None:
            self._sink(
                "dead_letter",
                {"target": target, "message": kind, "reason": reason, "suppressed": suppressed},
            )

    def failure(self, name: str, error: BaseException) -> None:
        """Count a failed handler; the sink gets the exception itself, so that it may print the traceback."""
        kind = type(error).__name__
        with self._lock:
            self.failures += 1
            suppressed = self._due("actor_failed", kind, str(error)[:200])
            if len(self._last) > 1_000:  # error texts are not bounded by the code; forget them together
                self._last.clear()
                self._suppressed.clear()
        if suppressed is not None:
            self._sink("actor_failed", {"actor": name, "error": error, "suppressed": suppressed})

    def _due(self, action: str, kind: str, reason: str) -> int | None:
        cause = (action, kind, reason)
        now = self._monotonic()
        last = self._last.get(cause)
        if last is not None and now - last < REPORT_EVERY_S:
            self._suppressed[cause] += 1
            return None
        self._last[cause] = now
        return self._suppressed.pop(cause, 0)
