"""Settings that change while the service runs: some at once, some after a restart, most not at all."""

from __future__ import annotations

import pytest

from core.config import SETTING_NAMES, Settings, parse, shown
from core.errors import SettingsError
from core.live_settings import AT_START, LIVE, Change, LiveSettings, change_of
from core.redact import Secret

GIVEN = parse([("environment", {"MAX_LEVERAGE": "20", "JWT_SECRET": "a-secret-with-enough-bytes-in-it-32"})])


def test_every_changeable_setting_exists_and_none_is_a_secret_or_says_who_may_do_what() -> None:
    assert not LIVE & AT_START
    assert SETTING_NAMES >= LIVE | AT_START
    for name in LIVE | AT_START:
        assert not isinstance(getattr(GIVEN, name.lower()), Secret)
    for name in (
        "JWT_SECRET",
        "DATABASE_URL",
        "ENABLE_RUNNER_ADMIN_ENDPOINTS",
        "WEBHOOK_ALLOW_PRIVATE",
        "ENVIRONMENT",
    ):
        assert change_of(name) is Change.NO


def test_a_live_change_is_in_force_at_once_and_goes_back_when_it_is_taken_back() -> None:
    live, heard = LiveSettings(GIVEN), []
    live.on_change(lambda now: heard.append(now.max_leverage))
    live.put({"MAX_LEVERAGE": "5"})
    assert (live.now.max_leverage, live.now.origins["MAX_LEVERAGE"]) == (5, "administrator")
    live.put({"MAX_LEVERAGE": "5"})
    live.put({})
    assert (live.now.max_leverage, live.now.origins["MAX_LEVERAGE"]) == (20, "environment")
    assert heard == [20, 5, 20]


def test_what_needs_a_restart_waits_for_it() -> None:
    live = LiveSettings(GIVEN)
    live.put({"RETENTION_DAYS": "30"})
    assert live.now.retention_days == 400
    (row,) = [each for each in live.shown({"RETENTION_DAYS": "30"}) if each.name == "RETENTION_DAYS"]
    assert (row.value, row.waiting, row.change) == ("400", "30", Change.RESTART)
    restarted = LiveSettings(GIVEN, {"RETENTION_DAYS": "30"})
    assert restarted.now.retention_days == 30
    restarted.put({"RETENTION_DAYS": "60"})
    assert restarted.now.retention_days == 30


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MAX_LEVERAGE", "0"),
        ("MAX_LEVERAGE", "x"),
        ("DAILY_MAX_LOSS_USDT", "-1"),
        ("NO_SUCH", "1"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_what_cannot_be_is_refused_and_where_it_is_stored_left_out(name: str, text: str) -> None:
    live = LiveSettings(GIVEN)
    with pytest.raises(SettingsError, match=name):
        live.check({name: text})
    live.put({name: text, "ALERT_SLOT_LAG_SEC": "3"})
    assert live.now.alert_slot_lag_sec == 3
    assert live.now.max_leverage == 20


def test_a_stored_row_changes_nothing_that_is_not_changeable() -> None:
    live = LiveSettings(GIVEN, {"ENABLE_RUNNER_ADMIN_ENDPOINTS": "true", "JWT_AUDIENCE": "x"})
    assert (live.now.enable_runner_admin_endpoints, live.now.jwt_audience) == (False, None)


def test_every_setting_is_shown_with_secrets_masked() -> None:
    rows = LiveSettings(GIVEN).shown({})
    assert [row.name for row in rows] == [row.name for row in shown(Settings())]
    assert "a-secret-with" not in str(rows)
