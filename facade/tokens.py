"""Tokens this service signs itself: HS256, for development and the demo.

In production they come from the identity provider.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import jwt

from core.errors import RunnerError

ALGORITHM = "HS256"
USER_ID_MAX_LENGTH = 255


def issue(
    *,
    secret: str,
    user_id: str,
    admin: bool,
    now: datetime,
    ttl: timedelta,
    audience: str | None = None,
    issuer: str | None = None,
) -> str:
    """A signed token whose `sub` is the user; `now` is process time, as for every token check."""
    if not 1 <= len(user_id) <= USER_ID_MAX_LENGTH:
        raise RunnerError(f"A user id has 1 to {USER_ID_MAX_LENGTH} characters, this one has {len(user_id)}.")
    claims: dict[str, object] = {
        "sub": user_id,
        "role": "admin" if admin else "authenticated",
        "iat": now,
        "exp": now + ttl,
    }
    if audience:
        claims["aud"] = audience
    if issuer:
        claims["iss"] = issuer
    return jwt.encode(claims, secret, algorithm=ALGORITHM)
