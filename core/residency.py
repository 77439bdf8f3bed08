"""Which live process has a user's actors: rendezvous hashing, so that few users move when a process comes or goes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from core.ids import NodeId, UserId


def home(user_id: UserId, nodes: Sequence[NodeId]) -> NodeId | None:
    """The node that wins `user_id`; None without nodes. Equal in every process that sees the same nodes."""
    return max(nodes, key=lambda node: _weight(node, user_id), default=None)


@lru_cache(maxsize=1 << 16)
def _weight(node: NodeId, user_id: UserId) -> bytes:
    return hashlib.sha256(f"{node}\0{user_id}".encode()).digest()
