"""Strategies, accounts and runs: created whole or not at all."""

from __future__ import annotations

from uuid import uuid4

import pytest
from msgspec.structs import replace

from core.definition import StrategyKind
from core.errors import Conflict
from core.ids import AccountId, RunId, StrategyId
from schema.desk import ReviseStrategy
from tests.schema.conformance.world import World


def test_a_strategy_its_account_and_its_run_are_created_together(fresh: World) -> None:
    model = fresh.run()
    assert model.account_id is not None
    account = fresh.store.account(model.account_id)
    assert account is not None
    strategy = replace(model.strategy, id=StrategyId(uuid4()))
    portfolio = replace(account, id=AccountId(uuid4()))
    run = replace(model, id=RunId(uuid4()), strategy=strategy, account_id=portfolio.id)
    fresh.store.create_together(strategy=strategy, account=portfolio, run=run)
    created = fresh.store.run(run.id)
    assert created is not None
    assert created.strategy == strategy
    assert fresh.store.account(portfolio.id) == portfolio


def test_a_run_that_cannot_be_leaves_no_strategy_behind(fresh: World) -> None:
    """Decision 13: the account trades this symbol already."""
    model = fresh.run()
    strategy = replace(model.strategy, id=StrategyId(uuid4()))
    run = replace(model, id=RunId(uuid4()), strategy=strategy)
    with pytest.raises(Conflict):
        fresh.store.create_together(strategy=strategy, account=None, run=run)
    assert fresh.store.strategy(strategy.id) is None
    assert fresh.store.run(run.id) is None


def test_what_a_strategy_is_made_of_stays_with_each_version(fresh: World) -> None:
    model = fresh.run().strategy
    graph = replace(
        model, id=StrategyId(uuid4()), kind=StrategyKind.GRAPH, template="graph", source='{"nodes":[]}'
    )
    fresh.store.create_strategy(graph)
    assert fresh.store.strategy(graph.id) == graph
    revised = replace(graph, version=2, source='{"nodes":[],"edges":[]}')
    fresh.store.arrange(ReviseStrategy(definition=revised))
    assert fresh.store.strategy(graph.id) == revised
