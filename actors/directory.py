"""Telling actors by logical name, where the actor may be gone: what cannot be told is said so, never raised."""

from __future__ import annotations

from actors.runtime.behaviour import Context


def tell(ctx: Context, name: str, message: object) -> bool:
    """Whether the actor called `name` took `message`; False also when there is no such actor here."""
    return ctx.tell(name, message)
