"""Settings of the installation: what is in force and why, and those that may be changed while it runs."""

from __future__ import annotations

from collections.abc import Mapping

from core.config import SETTING_NAMES
from core.errors import SettingsError
from core.live_settings import Change, change_of
from facade.access import Access
from facade.bridge import STORE_TIMEOUT_S
from facade.endpoint import Call, route
from facade.errors import ApiError, Detail, bad_field
from facade.operation import OperationRoute
from facade.schemas.config import ChangeConfig, ConfigAnswer, SettingShown, SettingValue


async def show(call: Call) -> ConfigAnswer:
    """Every setting with its value and origin, secrets masked."""
    rows = call.services.runner.config
    return _answer(call, await call.bridge.call(rows.overrides, timeout_s=STORE_TIMEOUT_S))


async def change(call: Call, body: ChangeConfig) -> ConfigAnswer:
    """Change settings on every process, or go back to what they were; all of them or none."""
    rows, live, by = call.services.runner.config, call.services.live, call.user_id
    changes = {name: _text(value) for name, value in body.values.items()}
    _refuse_fixed(changes)
    stored = await call.bridge.call(rows.overrides, timeout_s=STORE_TIMEOUT_S)
    wanted = {name: text for name, text in (stored | changes).items() if text is not None}
    try:
        after = live.check(wanted)
    except SettingsError as refusal:
        raise bad_field("values", str(refusal)) from refusal
    limits = after.risk_limits()
    tightened = limits if limits != call.settings.risk_limits() else None
    now = await call.bridge.call(
        lambda: rows.put(changes, by=by, limits=tightened), timeout_s=STORE_TIMEOUT_S
    )
    live.put(now)
    return _answer(call, now)


def _refuse_fixed(changes: Mapping[str, str | None]) -> None:
    unknown = [name for name in changes if name not in SETTING_NAMES]
    if unknown:
        raise bad_field("values", f"there is no setting {', '.join(sorted(unknown))}")
    fixed = sorted(name for name in changes if change_of(name) is Change.NO)
    if fixed:
        raise ApiError(
            422,
            "These settings are changed where the service is started, and nowhere else.",
            code="NOT_CHANGEABLE",
            details=[Detail(field=f"values.{name}", message="cannot be changed here") for name in fixed],
        )


def _text(value: SettingValue) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def _answer(call: Call, overrides: Mapping[str, str]) -> ConfigAnswer:
    shown = call.services.live.shown(overrides)
    return ConfigAnswer(
        settings=tuple(
            SettingShown(
                name=each.name,
                value=each.value,
                origin=each.origin,
                change=each.change.value,
                waiting=each.waiting,
            )
            for each in shown
        ),
        needs_restart=tuple(each.name for each in shown if each.waiting is not None),
    )


ROUTES: list[OperationRoute] = [
    route("GET", "/api/config", show, Access.ADMIN),
    route("PATCH", "/api/config", change, Access.ADMIN),
]
