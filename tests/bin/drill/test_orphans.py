"""How long a run was left alone: from losing its process to the next claim."""

from __future__ import annotations

from uuid import UUID

import pytest

from bin.drill.orphans import Loss, longest_orphan
from core.ids import NodeId, RunId, UserId
from core.residency import home

RUN, OTHER = RunId(UUID(int=1)), RunId(UUID(int=2))
NODES = [NodeId(name) for name in ("a", "b", "c")]
ANN = UserId("ann")
HOME = home(ANN, NODES) or NODES[0]
NEXT = home(ANN, [node for node in NODES if node != HOME]) or NODES[0]
STRANGER = next(node for node in NODES if node not in (HOME, NEXT))


def seconds(claims: list[float], losses: list[Loss], end_s: float = 10.0) -> float:
    orphan = longest_orphan({RUN: claims}, {RUN: ANN}, losses, end_s=end_s)
    assert orphan is not None
    return orphan.seconds


def loss(at_s: float, node: NodeId, before: list[NodeId] | None = None) -> Loss:
    return Loss(at_s=at_s, node=node, before=before or NODES)


@pytest.mark.parametrize(
    ("claims", "losses", "expected"),
    [
        ([0, 1, 2, 9], [], 7),
        ([0, 1, 2], [], 8),  # never claimed again: up to the end
        ([0, 1, 2, 9], [loss(3, HOME)], 6),
        ([0, 1, 2, 9], [loss(3, STRANGER)], 7),  # another's death excuses nothing
        ([0, 1, 2, 9], [loss(3, HOME), loss(5, NEXT, [n for n in NODES if n != HOME])], 4),
        ([0, 1, 2, 9], [loss(3, HOME), loss(5, HOME, NODES)], 4),  # came back and was killed anew
        ([0, 1, 2, 9], [loss(1.5, HOME)], 7),  # claimed after it: it had found its next process
    ],
)
def test_a_run_is_alone_from_its_last_claim_or_its_homes_last_death(
    claims: list[float], losses: list[Loss], expected: float
) -> None:
    assert seconds(claims, losses) == expected


def test_the_longest_of_all_runs_counts() -> None:
    orphan = longest_orphan({RUN: [0, 9], OTHER: [0, 3, 6]}, {RUN: ANN, OTHER: ANN}, [], end_s=10)
    assert orphan is not None
    assert (orphan.run_id, orphan.seconds, orphan.since_s) == (RUN, 9, 0)


def test_without_claims_nothing_is_said() -> None:
    assert longest_orphan({RUN: []}, {RUN: ANN}, [], end_s=10) is None
