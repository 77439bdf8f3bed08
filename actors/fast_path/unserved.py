"""What the fast path leaves to the actors, in words."""

from __future__ import annotations

from core.errors import RunnerError


class Unserved(RunnerError):
    """Something happens in this replay that only the actor path follows; the sentence says what."""
