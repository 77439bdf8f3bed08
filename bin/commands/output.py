"""What `--json` writes: one document on stdout, nothing else; progress and sentences go to stderr."""

from __future__ import annotations

import sys

import msgspec


def write_json(document: object) -> None:
    """Decimals as strings, times as RFC 3339, as in the HTTP answers."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    sys.stdout.buffer.flush()
