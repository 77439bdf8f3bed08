"""Authors are warned once of each version and kind."""

from __future__ import annotations

from msgspec.structs import replace

from core.strategy_warning import StrategyWarning, WarningKind
from schema.records import SlotReport
from tests.schema.conformance.world import World


def test_a_version_is_warned_of_once_for_each_kind(world: World) -> None:
    run = world.run()
    world.next_slot()
    warning = StrategyWarning(
        strategy_id=run.strategy.id,
        version=1,
        user_id=run.strategy.owner_id,
        kind=WarningKind.NEAR_TIME_LIMIT,
        slot=world.slot,
        detail={"used_ms": 1_900.0, "limit_ms": 2_000.0},
    )
    differs = replace(warning, kind=WarningKind.NOT_DETERMINISTIC)
    for told in (warning, warning, differs, replace(warning, version=2)):
        world.store.report(SlotReport(warnings=(told,)))
    events = [event for event in world.store.events(limit=1_000) if event.type == "strategy.warning"]
    assert [(event.payload["version"], event.payload["kind"]) for event in events] == [
        (1, "near_time_limit"),
        (1, "not_deterministic"),
        (2, "near_time_limit"),
    ]
    assert {(event.user_id, event.run_id) for event in events} == {(run.strategy.owner_id, None)}
    assert events[0].payload["used_ms"] == 1_900.0
