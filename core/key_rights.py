"""What a venue lets a key do, and what follows: a refusal when it is stored, a stop when the venue says it later."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from core.run import RunCommand


class KeyRights(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue says a key may do. `ip_bound`: only from listed addresses; None: the venue does not say."""

    may_read: bool
    may_trade: bool
    may_withdraw: bool
    ip_bound: bool | None


class KeyProblem(StrEnum):
    """Why a key is not taken. Stable codes."""

    MAY_WITHDRAW = "key_may_withdraw"
    MAY_NOT_READ = "key_may_not_read"
    MAY_NOT_TRADE = "key_may_not_trade"


class KeyWarning(StrEnum):
    """What the owner of a key that was taken is told. Stable codes."""

    NOT_IP_BOUND = "key_not_ip_bound"
    IP_BINDING_UNKNOWN = "key_ip_binding_unknown"


SENTENCES = {
    KeyProblem.MAY_WITHDRAW: "This key may withdraw; make one at the venue that may not.",
    KeyProblem.MAY_NOT_READ: "This key may not read the account; allow it at the venue.",
    KeyProblem.MAY_NOT_TRADE: "This key may not trade futures; allow it at the venue.",
    KeyWarning.NOT_IP_BOUND: "This key works from any address; bind it to yours at the venue.",
    KeyWarning.IP_BINDING_UNKNOWN: "The venue does not say whether this key is bound to addresses; see that it is.",
}


def problem_of(rights: KeyRights) -> KeyProblem | None:
    """Why a key with these rights is not used; the right to withdraw comes before all else (I19)."""
    if rights.may_withdraw:
        return KeyProblem.MAY_WITHDRAW
    if not rights.may_read:
        return KeyProblem.MAY_NOT_READ
    if not rights.may_trade:
        return KeyProblem.MAY_NOT_TRADE
    return None


def warning_of(rights: KeyRights) -> KeyWarning | None:
    if rights.ip_bound is None:
        return KeyWarning.IP_BINDING_UNKNOWN
    return None if rights.ip_bound else KeyWarning.NOT_IP_BOUND


def consequence_of(rights: KeyRights) -> RunCommand | None:
    """What happens to the active runs of a connection whose key turns out to have these rights.

    A key that may withdraw is a danger while it is in use: its runs stop. One that may no longer read or trade can
    be mended at the venue: its runs pause.
    """
    problem = problem_of(rights)
    if problem is None:
        return None
    return RunCommand.STOP if problem is KeyProblem.MAY_WITHDRAW else RunCommand.PAUSE
