"""A run under any sequence of commands and adapter errors, through the ledger (I11)."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.errors import IllegalTransition
from core.run import RunCommand, RunStatus
from tests.schema.conformance.world import START, memory_world

TO = {
    RunCommand.DEPLOY: RunStatus.ACTIVE,
    RunCommand.START: RunStatus.ACTIVE,
    RunCommand.RESUME: RunStatus.ACTIVE,
    RunCommand.PAUSE: RunStatus.PAUSED,
    RunCommand.STOP: RunStatus.STOPPED,
    RunCommand.ARCHIVE: RunStatus.ARCHIVED,
    RunCommand.AUTO_PAUSE: RunStatus.AUTO_PAUSED,
    RunCommand.FAIL: RunStatus.ERROR,
}


class RunLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = memory_world()
        self.run = self.world.run(status=RunStatus.DRAFT)
        self.status = RunStatus.DRAFT
        self.errors = 0
        self.moves = 0
        self.slot = START
        self.counted = False

    @rule(command=st.sampled_from(RunCommand))
    def command(self, command: RunCommand) -> None:
        before = self.world.store.run(self.run.id)
        try:
            moved = self.world.store.command(self.run.id, command, by="ann")
        except IllegalTransition:
            assert self.world.store.run(self.run.id) == before
            return
        assert moved.status is TO[command]
        if moved.status is not self.status:
            assert self.status is not RunStatus.ARCHIVED
            self.moves += 1
            self.status = moved.status
            self.errors = 0 if moved.status is RunStatus.ACTIVE else self.errors

    @rule()
    def next_slot(self) -> None:
        self.slot += timedelta(minutes=1)
        self.counted = False

    @rule()
    def adapter_fails(self) -> None:
        self.world.store.adapter_failed(self.run.id, slot=self.slot, kind="timeout", detail="no answer")
        if self.counted:
            return
        self.counted = True
        self.errors += 1
        if self.errors >= 3 and self.status is RunStatus.ACTIVE:
            self.status = RunStatus.AUTO_PAUSED
            self.moves += 1

    @rule()
    def adapter_answers(self) -> None:
        self.world.store.adapter_recovered(self.run.id)
        if self.status is RunStatus.ACTIVE:
            self.errors = 0

    @invariant()
    def the_row_is_where_the_model_is(self) -> None:
        row = self.world.store.run(self.run.id)
        assert row is not None
        assert (row.status, row.adapter_errors) == (self.status, self.errors)

    @invariant()
    def every_move_is_one_event_and_numbers_have_no_gap(self) -> None:
        events = self.world.store.events(run_id=self.run.id, limit=10_000)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        moves = [event for event in events if event.type == "run.status"]
        assert len(moves) == self.moves
        for earlier, later in pairwise(moves):
            assert earlier.payload["status"] == later.payload["before"]

    @invariant()
    def only_an_active_run_is_claimed(self) -> None:
        claimed = self.world.store.claim([self.run.id], slot=self.slot, owner="node-1", ttl_s=-1.0)
        assert self.status is RunStatus.ACTIVE or claimed == []


RunLife.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestI11RunLife = RunLife.TestCase
