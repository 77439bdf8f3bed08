"""How long runs were left alone: the time from losing the process that had a run to the next claim of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec

from core.ids import NodeId, RunId, UserId
from core.residency import home


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """`node` was killed or frozen at `at_s`, process time; `before` are those that ran until then, itself too."""

    at_s: float
    node: NodeId
    before: Sequence[NodeId]


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    run_id: RunId
    seconds: float
    since_s: float


def longest_orphan(
    claims: Mapping[RunId, Sequence[float]],
    owners: Mapping[RunId, UserId],
    losses: Sequence[Loss],
    *,
    end_s: float,
) -> Orphan | None:
    """The longest time a run was nobody's; None without claims.

    `claims`: when each run's claims were seen, in order. Between two claims a run counts as alone from the earlier
    one, or from the last time the process died on which it then belonged: who was to take over may die as well.
    A death of any other process moves nothing. `end_s` closes the last interval of each run.
    """
    lost_by_user: dict[UserId, list[float]] = {}
    for loss in losses:
        for user in set(owners.values()):
            if home(user, loss.before) == loss.node:
                lost_by_user.setdefault(user, []).append(loss.at_s)
    found: Orphan | None = None
    for run_id, seen in claims.items():
        lost = lost_by_user.get(owners[run_id], [])
        for earlier, later in pairwise([*seen, end_s]):
            since_s = max([earlier, *(at_s for at_s in lost if earlier < at_s < later)])
            if found is None or later - since_s > found.seconds:
                found = Orphan(run_id=run_id, seconds=later - since_s, since_s=since_s)
    return found
