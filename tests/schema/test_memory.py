"""What only the memory store promises: undoing, a bounded window of tick rows, counts for reports, hints."""

from __future__ import annotations

from msgspec.structs import replace

from core.risk import RiskLimits
from schema.memory import MemoryStore
from schema.memory_notifier import MemoryNotifier
from schema.records import SlotReport, TickStatus
from schema.undo import Undo
from tests.schema.conformance.world import START, HandClock, World


def test_what_is_undone_never_was_and_what_came_before_the_mark_stays() -> None:
    class Row:
        value = 1

    row, table, rows = Row(), {"kept": 1, "removed": 2}, [1]
    undo = Undo()
    undo.set_item(table, "early", 0)
    mark = undo.mark()
    undo.set_attribute(row, "value", 2)
    undo.set_item(table, "kept", 9)
    undo.set_item(table, "kept", 10)
    undo.set_item(table, "new", 3)
    undo.remove_item(table, "removed")
    undo.remove_item(table, "never there")
    undo.append(rows, 2)
    undo.back_to(mark)
    assert (row.value, table, rows) == (1, {"kept": 1, "removed": 2, "early": 0}, [1])
    undo.back_to(0)
    assert table == {"kept": 1, "removed": 2}


def test_a_replay_keeps_a_bounded_window_of_tick_rows_and_counts_them_all() -> None:
    clock = HandClock(START)
    store = MemoryStore(clock, RiskLimits(), tick_window=10)
    world = World(
        store,
        set_now=lambda at: setattr(clock, "market", at),
        expire_leases=lambda seconds: None,
        forget_lease=store.forget_lease,
    )
    run = world.run()
    for number in range(95):
        world.next_slot()
        tick = world.tick(run, world.claim(run).fence)
        if number % 5 == 0:
            tick = replace(tick, status=TickStatus.BLOCKED, reason="cooldown")
        assert store.report(SlotReport(ticks=(tick, tick))) == 1
    rows = store.ticks(run_id=run.id, limit=1_000)
    assert 10 <= len(rows) <= 20
    assert rows[0].slot == world.slot
    assert store.tick_counts(run.id) == {(TickStatus.OK, None): 76, (TickStatus.BLOCKED, "cooldown"): 19}


def test_a_hint_reaches_those_who_listen_on_its_channel_until_closed() -> None:
    heard: list[tuple[str, str]] = []
    notifier = MemoryNotifier()
    notifier.listen(["runs", "cron"], lambda channel, payload: heard.append((channel, payload)))
    notifier.notify("runs", "1")
    notifier.notify("events", "2")
    notifier.close()
    notifier.notify("runs", "3")
    assert heard == [("runs", "1")]
