"""Masking: a secret is a type that cannot be printed, and any payload has a view without secrets."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import Final, NoReturn
from urllib.parse import urlsplit, urlunsplit

MASK: Final = "***"
MAX_DEPTH: Final = 8
SECRET_FIELDS: Final = frozenset(
    {
        "password",
        "passphrase",
        "secret",
        "secret_key",
        "api_secret",
        "api_key",
        "private_key",
        "access_key",
        "alert_key",
        "admin_api_key",
        "token",
        "access_token",
        "refresh_token",
        "authorization",
        "cookie",
        "set_cookie",
        "signature",
        "x_cron_secret",
        "x_mbx_apikey",
        "cron_secret",
        "runner_cron_secret",
        "jwt_secret",
        "master_keys",
        "runner_master_keys",
        "credentials",
    }
)
"""Names of fields whose value is never shown. Whole names, not parts of names or values: `key_hint` stays."""
_CREDENTIALS: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s@]+@", re.IGNORECASE)
# Keys and signatures are longer runs of letters and digits than any word; hexadecimal ones are told sooner.
_SECRET_LIKE: Final = re.compile(r"[0-9A-Fa-f]{24,}|[A-Za-z0-9+/_-]{32,}")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Secret:
    """A text that only `reveal()` gives away; printing, formatting, comparing or pickling it does not."""

    __slots__ = ("_shown", "_text")

    def __init__(self, text: str, *, shown: str = MASK) -> None:
        self._text = text
        self._shown = shown

    def reveal(self) -> str:
        return self._text

    def matches(self, offered: str) -> bool:
        """Constant-time comparison; an empty secret matches nothing."""
        ours, theirs = self._text.encode(), offered.encode(errors="surrogatepass")
        return bool(ours) & hmac.compare_digest(ours, theirs)

    def __len__(self) -> int:
        return len(self._text.encode())

    def __repr__(self) -> str:
        return self._shown

    def __format__(self, spec: str) -> str:
        return format(self._shown, spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


def secret_url(text: str) -> Secret:
    """A URL whose credentials and query stay hidden while its host may be shown.

    A password with an unescaped `/`, `?` or `#` in it is split in the wrong place: then nothing is shown.
    """
    try:
        parts = urlsplit(text)
    except ValueError:
        return Secret(text)
    if not parts.scheme or not parts.hostname or ("@" in text and "@" not in parts.netloc):
        return Secret(text)
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{MASK}@{host}" if "@" in parts.netloc else host
    query = MASK if parts.query else ""
    return Secret(text, shown=urlunsplit((parts.scheme, netloc, parts.path, query, "")))


def redact(value: object, *, depth: int = MAX_DEPTH) -> object:
    """`value` fit for an event or a log line: secrets masked by type, by field name and inside URLs."""
    if depth < 0:
        return "…"
    if isinstance(value, Secret):
        return repr(value)
    if isinstance(value, str):
        return _CREDENTIALS.sub(rf"\g<scheme>{MASK}@", value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    if isinstance(value, Mapping):
        return {str(name): _field(str(name), item, depth) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, depth=depth - 1) for item in value]
    return value


def without_secrets(text: str) -> str:
    """Somebody else's words, such as a venue's about a request, with whatever may be a key or a signature masked."""
    return _SECRET_LIKE.sub(MASK, text)


def is_secret_field(name: str) -> bool:
    """Whether a field of this name, in snake, kebab or camel case, holds a secret."""
    return _CAMEL.sub("_", name).replace("-", "_").lower() in SECRET_FIELDS


def _field(name: str, value: object, depth: int) -> object:
    return MASK if value is not None and is_secret_field(name) else redact(value, depth=depth - 1)
