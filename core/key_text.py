"""What a key or secret of a venue looks like, before anybody is asked about it."""

from __future__ import annotations

import re
from typing import Final

_KEY_TEXT: Final = re.compile(r"[!-~]{8,256}")


def key_text(given: str) -> str:
    """`given`, or a ValueError that ends a sentence and quotes nothing."""
    if not _KEY_TEXT.fullmatch(given):
        raise ValueError("must be 8 to 256 printable characters without spaces")
    return given
