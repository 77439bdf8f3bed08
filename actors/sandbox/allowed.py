"""What strategies may import. What is not loaded in the zygote cannot be loaded: a worker opens no file."""

from __future__ import annotations

from typing import Final

ALLOWED: Final = (
    *("bisect", "calendar", "cmath", "collections", "collections.abc", "copy", "dataclasses", "datetime"),
    *(
        "decimal",
        "enum",
        "fractions",
        "functools",
        "heapq",
        "itertools",
        "json",
        "math",
        "numbers",
        "operator",
    ),
    *("random", "re", "statistics", "string", "textwrap", "typing", "warnings", "zoneinfo"),
    *("numpy", "numpy.linalg", "numpy.fft", "numpy.random", "numpy.ma", "numpy.polynomial"),
    *("numpy.lib.stride_tricks", "talib", "__future__"),
)
BEHIND_THE_SCENES: Final = (
    "_strptime",
    "encodings.idna",
    "encodings.ascii",
    "importlib.resources",
    "numpy.exceptions",
)
"""What the allowed ones load when they are first used."""


_PACKAGES: Final = frozenset(name.partition(".")[0] for name in ALLOWED)


def is_allowed(module: str) -> bool:
    """Parts of an allowed package too: numpy's own imports come through here, made in the author's name."""
    return module.partition(".")[0] in _PACKAGES


def shown() -> str:
    """The list as an author reads it."""
    return ", ".join(sorted(name for name in _PACKAGES if not name.startswith("_")))
