"""How long to wait before trying again, and when to stop trying. Jitter and time are passed in."""

from __future__ import annotations

import msgspec

# 2.0**512 times any delay we accept is still a finite float; a larger exponent changes nothing below the cap.
_EXPONENT_MAX = 512


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Exponential delays in seconds of process time: `min_s` doubled per restart, capped at `max_s`, then jittered."""

    min_s: float
    max_s: float
    random_factor: float = 0.0
    reset_after_s: float | None = None

    def delay_s(self, attempt: int, jitter: float) -> float:
        """Seconds before restart `attempt` (0 the first); `jitter` in [0, 1) draws from [1, 1 + random_factor]."""
        doubled = self.min_s * 2.0 ** min(attempt, _EXPONENT_MAX)
        return min(self.max_s, doubled) * (1.0 + self.random_factor * jitter)

    @property
    def quiet_s(self) -> float:
        """Seconds without a failure after which the next delay is the first one again."""
        return (self.min_s + self.max_s) / 2 if self.reset_after_s is None else self.reset_after_s


NO_BACKOFF = Backoff(min_s=0.0, max_s=0.0)


class RestartWindow(msgspec.Struct, frozen=True, kw_only=True):
    """Times (process seconds, oldest first) of the restarts that still count; never more than the limit plus one."""

    times: tuple[float, ...] = ()

    def restarted(self, now: float, *, max_restarts: int, window_s: float) -> tuple[RestartWindow, bool]:
        """The window with a restart at `now` added, and whether that is one restart too many."""
        kept = tuple(at for at in self.times if now - at < window_s)[-max_restarts:] if max_restarts else ()
        return RestartWindow(times=(*kept, now)), len(kept) >= max_restarts
