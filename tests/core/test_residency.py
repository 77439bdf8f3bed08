"""Rendezvous hashing: every process names the same home, and few users move when a process comes or goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.ids import NodeId, UserId
from core.residency import home

NODES = st.lists(st.text(min_size=1, max_size=8).map(NodeId), unique=True, max_size=6)
USERS = st.text(min_size=1, max_size=12).map(UserId)


@given(USERS, NODES, st.randoms())
def test_the_home_does_not_depend_on_the_order_of_nodes(
    user: UserId, nodes: list[NodeId], rng: object
) -> None:
    shuffled = list(nodes)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert home(user, nodes) == home(user, shuffled)
    assert (home(user, nodes) is None) == (not nodes)


@given(USERS, NODES.filter(bool))
def test_only_users_of_a_node_that_left_move(user: UserId, nodes: list[NodeId]) -> None:
    before = home(user, nodes)
    for gone in nodes:
        after = home(user, [node for node in nodes if node != gone])
        if gone != before:
            assert after == before


def test_users_spread_over_the_nodes() -> None:
    nodes = [NodeId(f"node-{number}") for number in range(4)]
    homes = [home(UserId(f"user-{number}"), nodes) for number in range(4_000)]
    assert all(800 < homes.count(node) < 1_200 for node in nodes)
