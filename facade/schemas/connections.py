"""Connections to exchanges: keys come in, never go out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from core.connection import Environment, Venue
from core.ids import AccountId
from core.redact import Secret
from facade.schemas.form import Answer, Body, Name, Shown


class AddConnection(Body, frozen=True, kw_only=True):
    """A key of the caller's at a venue; it is tested there before it is kept, and never shown again."""

    name: Name
    venue: Venue
    environment: Environment = Environment.LIVE
    api_key: Secret
    api_secret: Secret
    max_leverage: Annotated[int, Meta(ge=1, le=125)] | None = None


class RenameConnection(Body, frozen=True, kw_only=True):
    name: Name


class RotateKeys(Body, frozen=True, kw_only=True):
    """Another key of the same account at the venue."""

    api_key: Secret
    api_secret: Secret


class RightsShown(Shown, frozen=True, kw_only=True):
    may_read: bool
    may_trade: bool
    may_withdraw: bool
    ip_bound: bool | None


class NoticeShown(Shown, frozen=True, kw_only=True):
    """Something the owner of a key should know: a stable code and its sentence."""

    code: str
    message: str


class ConnectionShown(Shown, frozen=True, kw_only=True):
    """A connection without its keys. `lastTestResult`: `ok`, a problem of the key, or why the venue did not say."""

    id: AccountId
    name: str
    venue: Venue
    environment: Environment
    key_hint: str
    max_leverage: int
    kill_switch: bool
    created_at: datetime
    last_test_at: datetime | None
    last_test_result: str | None
    rights: RightsShown | None
    notices: tuple[NoticeShown, ...]


class ConnectionsAnswer(Answer, frozen=True, kw_only=True):
    """All of the caller's, oldest first."""

    connections: tuple[ConnectionShown, ...]


class ConnectionAnswer(Answer, frozen=True, kw_only=True):
    connection: ConnectionShown


class ConnectionTestAnswer(Answer, frozen=True, kw_only=True):
    """`result` as in `lastTestResult`; the connection as it is after the test."""

    result: str
    connection: ConnectionShown
