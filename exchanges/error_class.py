"""What a venue's error code lets a caller conclude, in the words both venues' tables share."""

from __future__ import annotations

from enum import StrEnum


class ErrorClass(StrEnum):
    """Each code is in one of these; `codes.py` of a venue says in which, and what follows."""

    OK_ALREADY = "ok_already"
    RETRY_BACKOFF = "retry_backoff"
    RATE_LIMIT = "rate_limit"
    IP_BAN = "ip_ban"
    CLOCK_SKEW = "clock_skew"
    AUTH_PERMANENT = "auth_permanent"
    UNKNOWN_STATUS = "unknown_status"
    DUPLICATE_CLIENT_ID = "duplicate_client_id"
    ORDER_NOT_FOUND = "order_not_found"
    INSUFFICIENT_MARGIN = "insufficient_margin"
    FILTER_VIOLATION = "filter_violation"
    RISK_LIMIT = "risk_limit"
    REDUCE_ONLY_REJECTED = "reduce_only_rejected"
    REDUCE_ONLY_MODE = "reduce_only_mode"
    POSITION_MODE_MISMATCH = "position_mode_mismatch"
    CONFIG_BLOCKED = "config_blocked"
    WOULD_TRIGGER = "would_trigger"
    WRONG_ENDPOINT = "wrong_endpoint"
    ORDER_REJECTED = "order_rejected"
    SYMBOL_UNAVAILABLE = "symbol_unavailable"
    ACCOUNT_RESTRICTED = "account_restricted"
    BAD_REQUEST = "bad_request"
    STREAM_EXPIRED = "stream_expired"
