"""Equal strategies become one; whoever owns it, nobody's bot comes into another user's hands."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.ids import UserId
from core.legacy.columns import layout_of
from core.legacy.plan import Plan, plan

SHARED = UserId("platform")
COLUMNS = ("id", "user_id", "template", "params", "symbol", "timeframe", "is_active")


def bot(id_: int, user: str, **columns: Any) -> dict[str, Any]:
    usual = {"template": "rsi", "params": {}, "symbol": "BTCUSDT", "timeframe": "5m", "is_active": True}
    return {"id": id_, "user_id": user} | usual | columns


def planned(rows: list[dict[str, Any]], source: str = "old") -> Plan:
    layout = layout_of({"bots": COLUMNS})
    return plan(layout, {"bots": rows}, source=source, shared_owner=SHARED, venue="binance")


def test_equal_bots_of_several_users_are_one_strategy_that_none_of_them_owns() -> None:
    made = planned(
        [
            bot(1, "ann"),
            bot(2, "bob", template="rsi_oversold_overbought", params={"rsi_period": 14}, symbol="BTC/USDT"),
            bot(3, "ann", params={"rsi_period": 21}),
        ]
    )
    assert [each.owner_id for each in made.strategies] == [SHARED, "ann"]
    shared, own = made.strategies
    assert [each.run.strategy.id for each in made.runs] == [shared.id, shared.id, own.id]
    assert [each.subscribed for each in made.runs] == [True, True, False]


def test_a_row_that_cannot_be_taken_over_leaves_the_others() -> None:
    made = planned([bot(1, "ann", symbol="?"), bot(2, "", template="macd"), bot(3, "bob", leverage=1)])
    assert [each.row for each in made.refused] == ["bots 1", "bots 2"]
    assert len(made.runs) == 1


def test_equal_ids_of_two_sources_stay_apart() -> None:
    old, older = planned([bot(1, "ann")]), planned([bot(1, "ann")], source="older")
    assert old.runs[0].run.id != older.runs[0].run.id
    assert old.strategies[0].id != older.strategies[0].id


BOTS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(2, 4), st.sampled_from(["5m", "5", "1h"])), max_size=12
)


@given(bots=BOTS)
def test_planning_again_gives_the_same_ids_and_every_row_is_somewhere(
    bots: list[tuple[str, int, str]],
) -> None:
    rows = [
        bot(number, user, params={"rsi_period": period}, timeframe=timeframe)
        for number, (user, period, timeframe) in enumerate(bots)
    ]
    made = planned(rows)
    assert made == planned(rows)
    assert len(made.runs) == len(rows)
    assert len({each.run.id for each in made.runs}) == len(rows)
    distinct = {(period, timeframe.rstrip("m")) for _, period, timeframe in bots}
    assert len(made.strategies) == len(distinct)
    for each in made.strategies:
        users = {run.run.user_id for run in made.runs if run.run.strategy.id == each.id}
        assert each.owner_id == (users.pop() if len(users) == 1 else SHARED)
