"""Readers of single settings: a text in, a checked value out, or a ValueError that ends the sentence."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from math import isfinite
from urllib.parse import urlsplit

from core.email import is_email
from core.redact import Secret, secret_url
from core.symbols import SymbolError, parse_symbol
from core.timeframe import Timeframe, TimeframeError

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
MASTER_KEY_BYTES = 32


def plain(text: str) -> str:
    return text


def flag(text: str) -> bool:
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"must be true or false, not {text!r:.60}")
    return word in _TRUE


def email(text: str) -> str:
    if not is_email(text):
        raise ValueError("must be a mail address")
    return text


def whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError(f"must be a whole number, not {text!r:.60}") from None
        if not low <= value <= high:
            raise ValueError(f"must lie in {low} to {high}, not {value}")
        return value

    return read


def any_whole(text: str) -> int:
    """A whole number whose bounds are a rule's of the core, checked there."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"must be a whole number, not {text!r:.60}") from None


def number(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"must be a number, not {text!r:.60}") from None
        if not isfinite(value) or not low <= value <= high:
            raise ValueError(f"must lie in {low:g} to {high:g}, not {text}")
        return value

    return read


def any_decimal(text: str) -> Decimal:
    """A number whose bounds are a rule's of the core, checked there."""
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"must be a number, not {text!r:.60}") from None


def choice(*allowed: str, fold: Callable[[str], str] = str.lower) -> Callable[[str], str]:
    def read(text: str) -> str:
        if fold(text) not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}, not {text!r:.60}")
        return fold(text)

    return read


def url(*schemes: str) -> Callable[[str], str]:
    """A URL without credentials in it, no trailing slash."""

    beginnings = " or ".join(f"{each}://" for each in schemes)

    def read(text: str) -> str:
        try:
            parts = urlsplit(text)
        except ValueError:
            raise ValueError("must be a URL") from None
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError(f"must be a URL that begins with {beginnings}")
        if "@" in parts.netloc:
            raise ValueError("must be a URL without user name and password")
        return text.rstrip("/")

    return read


def urls(*schemes: str) -> Callable[[str], tuple[str, ...]]:
    one = url(*schemes)
    return lambda text: tuple(one(each) for each in _items(text))


def symbols(text: str) -> tuple[str, ...]:
    try:
        found = tuple(dict.fromkeys(parse_symbol(each) for each in _items(text)))
    except SymbolError:
        raise ValueError(f"must list symbols like BTCUSDT, not {text!r:.60}") from None
    if not found:
        raise ValueError("must name at least one symbol")
    return found


def names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_items(text)))


def timeframe(text: str) -> Timeframe:
    try:
        return Timeframe.parse(text)
    except TimeframeError:
        raise ValueError(f"must be one of {', '.join(Timeframe)}, not {text!r:.60}") from None


def networks(text: str) -> tuple[str, ...]:
    """Addresses and networks, each as a network: `10.0.0.1` is `10.0.0.1/32`."""
    try:
        return tuple(str(ipaddress.ip_network(each)) for each in _items(text))
    except ValueError:
        raise ValueError(f"must list addresses like 10.0.0.1 or 10.0.0.0/8, not {text!r:.60}") from None


def secret(text: str) -> Secret:
    return Secret(text)


def located_secret(text: str) -> Secret:
    """A URL that carries credentials: its host may be shown."""
    return secret_url(text)


def master_keys(text: str) -> Secret:
    """`id:base64key` list of 256-bit keys. Messages never quote what stands where a key should."""
    names = []
    for each in _items(text):
        name, _, encoded = each.partition(":")
        try:
            size = len(base64.b64decode(encoded, validate=True))
        except binascii.Error:
            size = 0
        if not name or size != MASTER_KEY_BYTES:
            raise ValueError(f"must be a list of id:base64key with keys of {MASTER_KEY_BYTES} bytes")
        names.append(name)
    if not names or len(set(names)) != len(names):
        raise ValueError("must name each key once")
    return Secret(text, shown=", ".join(f"{name}:***" for name in names))


def _items(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]
