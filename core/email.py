"""What passes for a mail address: one that can be put into a header without changing it."""

from __future__ import annotations

import re
from typing import Final

MAX_EMAIL_CHARS: Final = 320
_FORM: Final = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?"
)


def is_email(text: str) -> bool:
    return len(text) <= MAX_EMAIL_CHARS and _FORM.fullmatch(text) is not None
