"""What msgspec knows of our structs, made ahead of the threads that decode them.

It is made when a struct is first decoded, and until it is complete another thread that decodes the same struct reads
memory that is not there: the process ends without a word (msgspec 0.22, shown by tests/core/test_decoders.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


def prepare_decoders() -> int:
    """Make it for every struct there is so far; how many could be. To be called before threads are started."""
    prepared = 0
    for struct in _structs(msgspec.Struct):
        try:
            msgspec.json.Decoder(struct)
        except (TypeError, NameError):
            continue  # holds what never comes from outside, so that nobody decodes it
        prepared += 1
    return prepared


def _structs(base: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for struct in base.__subclasses__():
        yield struct
        yield from _structs(struct)
