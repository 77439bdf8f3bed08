"""Which tables of an older deployment are read, and which database is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.legacy.columns import (
    ALIASES,
    DEFINITION_TABLES,
    RUN_TABLES,
    UnknownLayout,
    columns_of,
    layout_of,
    snake,
)
from core.legacy.row import TEMPLATE_NAMES

BOT = ("id", "user_id", "strategy_template", "symbol", "timeframe")
DEFINITION = ("id", "user_id", "strategy_type", "symbol", "timeframe")


def test_a_table_of_bots_is_read_by_itself() -> None:
    layout = layout_of({"bots": BOT, "profiles": ("id",)})
    assert layout.definitions is None
    assert [table.name for table in layout.runs] == ["bots"]


def test_subscriptions_are_read_with_the_definitions_they_point_to() -> None:
    layout = layout_of({"strategies": DEFINITION, "subscriptions": ("id", "user_id", "strategy_id")})
    assert [table.name for table in layout.tables] == ["strategies", "subscriptions"]


def test_definitions_without_subscriptions_are_their_owners_bots() -> None:
    assert layout_of({"strategies": DEFINITION}).runs == ()


@pytest.mark.parametrize("alias", [alias for aliases in ALIASES.values() for alias in aliases])
def test_every_alias_is_found_in_both_spellings(alias: str) -> None:
    head, *rest = alias.split("_")
    camel = head + "".join(part.capitalize() for part in rest)
    assert snake(camel) == alias
    assert list(columns_of([alias]).values()) == [alias]
    assert list(columns_of([camel]).values()) == [camel]


def test_no_alias_means_two_things() -> None:
    every = [alias for aliases in ALIASES.values() for alias in aliases]
    assert len(every) == len(set(every))


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {"bots": ("id", "name")},
        {"subscriptions": ("id", "user_id", "strategy_id")},
        {"strategies": ("id", "owner_id", "name", "kind"), "strategy_runs": ("id", "user_id", "strategy_id")},
    ],
)
def test_an_unknown_layout_is_refused_naming_what_was_looked_for(tables: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(UnknownLayout, match=r"Looked for bots \(bots, .*strategy_template"):
        layout_of(tables)


def test_the_documentation_has_every_name() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "importing.md").read_text()
    rows = {
        f"| {meaning} | {', '.join(f'`{alias}`' for alias in aliases)} |"
        for meaning, aliases in ALIASES.items()
    }
    assert rows <= set(text.splitlines())
    assert all(f"`{name}`" in text for name in (*DEFINITION_TABLES, *RUN_TABLES, *TEMPLATE_NAMES))
