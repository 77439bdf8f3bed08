"""Hints within one process: whoever listens hears at once, on the notifier's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class MemoryNotifier:
    def __init__(self) -> None:
        self._listeners: list[tuple[frozenset[str], Callable[[str, str], None]]] = []

    def notify(self, channel: str, payload: str) -> None:
        for channels, heard in tuple(self._listeners):
            if channel in channels:
                heard(channel, payload)

    def listen(self, channels: Sequence[str], heard: Callable[[str, str], None]) -> None:
        self._listeners.append((frozenset(channels), heard))

    def close(self) -> None:
        self._listeners.clear()
