"""Settings as an administrator sees and changes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from facade.schemas.form import Answer, Body, Shown

SettingValue = Annotated[str, Meta(max_length=4_000)] | int | float | bool | None


class ChangeConfig(Body, frozen=True, kw_only=True):
    """By the names of the settings; null goes back to what environment, file or default say."""

    values: Annotated[
        Mapping[Annotated[str, Meta(min_length=1, max_length=64)], SettingValue],
        Meta(min_length=1, max_length=64),
    ]


class SettingShown(Shown, frozen=True, kw_only=True):
    """`value` as text, secrets masked; `change`: `live`, `restart` or `no`. `waiting`: in force after a restart."""

    name: str
    value: str
    origin: str
    change: str
    waiting: str | None


class ConfigAnswer(Answer, frozen=True, kw_only=True):
    """`needsRestart`: settings that are in force once the processes start anew."""

    settings: tuple[SettingShown, ...]
    needs_restart: tuple[str, ...]
