"""Settings: names, aliases and defaults of the interface page; order of sources; all problems at once."""

from __future__ import annotations

import base64
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import SETTING_NAMES, Settings, parse, shown
from core.errors import SettingsError
from core.redact import Secret
from core.timeframe import Timeframe

CANARY = "canary-canary-canary-canary-canary-1"
KEYS = "k1:" + base64.b64encode(bytes(32)).decode()
PRODUCTION = {"ENVIRONMENT": "production", "JWT_SECRET": CANARY, "RUNNER_MASTER_KEYS": KEYS}


def settings_of(**values: str) -> Settings:
    return parse([("environment", values)])


def problems_of(**values: str) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        settings_of(**values)
    return str(refused.value).rstrip(".").split("; ")


def test_defaults_are_those_of_the_interface_page() -> None:
    settings = parse([])
    assert settings == Settings()
    assert not settings.enable_strategy_runner
    assert (settings.host, settings.port, settings.runner_data_dir) == ("127.0.0.1", 8080, "./var")
    assert settings.runner_tick_interval_sec == 10
    assert settings.runner_grace_sec == 5
    assert settings.runner_lease_sec == 120
    assert settings.symbol_whitelist == ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    assert settings.max_leverage == 10
    assert settings.default_timeframe is Timeframe.M5
    assert settings.retention_days == 400
    limits = settings.risk_limits()
    assert limits.daily_max_loss_usdt == 50
    assert (limits.max_trades_per_day, limits.max_consecutive_losses) == (20, 3)
    assert (limits.cooldown_after_trade_s, limits.pause_duration_min) == (30, 1440)


def test_the_first_source_with_a_value_wins_and_is_remembered() -> None:
    settings = parse(
        [
            ("command line", {"PORT": "1"}),
            ("environment", {"PORT": "2", "HOST": "a", "LOG_LEVEL": "  "}),
            ("settings.yaml", {"PORT": "3", "HOST": "b", "LOG_LEVEL": "debug"}),
        ]
    )
    assert (settings.port, settings.host, settings.log_level) == (1, "a", "DEBUG")
    origins = {row.name: row.origin for row in shown(settings)}
    assert origins["PORT"] == "command line"
    assert origins["HOST"] == "environment"
    assert origins["LOG_LEVEL"] == "settings.yaml"
    assert origins["MAX_LEVERAGE"] == "default"


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("SQUEEZEFLOW_RUN_INTERVAL", "30", "run_interval_seconds", 30),
        ("SQUEEZEFLOW_RUN_INTERVAL_SECONDS", "31", "run_interval_seconds", 31),
        ("SQUEEZEFLOW_MAX_SYMBOLS", "4", "max_symbols_per_cycle", 4),
        ("SQUEEZEFLOW_TIMEFRAME", "15", "default_timeframe", Timeframe.M15),
        ("SQUEEZEFLOW_LOG_LEVEL", "warning", "log_level", "WARNING"),
        ("SQUEEZEFLOW_SIGNAL_COOLDOWN_MINUTES", "0", "signal_cooldown_minutes", 0),
        ("REDIS_SIGNAL_TTL", "600", "signal_ttl_seconds", 600),
        ("SYMBOL_WHITELIST", "btc_usdt, ETH/USDT:USDT,BTCUSDT", "symbol_whitelist", ("BTCUSDT", "ETHUSDT")),
        (
            "FRONTEND_URL",
            "https://a.example/, http://b.example",
            "frontend_url",
            ("https://a.example", "http://b.example"),
        ),
        ("ENABLE_STRATEGY_RUNNER", "Yes", "enable_strategy_runner", True),
        ("DAILY_MAX_LOSS_USDT", "0.01", "daily_max_loss_usdt", Decimal("0.01")),
        ("RUNNER_GRACE_SEC", "25", "runner_grace_sec", 25),
        ("MAX_TRADES_PER_DAY", "0", "max_trades_per_day", 0),
        (
            "RUNNER_TRUSTED_PROXIES",
            "10.0.0.1, fd00::/8",
            "runner_trusted_proxies",
            ("10.0.0.1/32", "fd00::/8"),
        ),
        ("RUNNER_RATE_LIMIT_USER", "0", "runner_rate_limit_user", 0),
    ],
)
def test_a_name_or_alias_is_read(name: str, text: str, field: str, value: object) -> None:
    assert getattr(settings_of(**{name: text}), field) == value


def test_the_own_name_wins_over_its_alias_within_a_source() -> None:
    settings = settings_of(SUPABASE_JWT_SECRET="other", JWT_SECRET="own")
    assert settings.jwt_secret is not None
    assert settings.jwt_secret.reveal() == "own"
    assert settings_of(SUPABASE_JWT_SECRET="other").jwt_secret is not None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "65536"),
        ("RUNNER_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("RUNNER_TRUSTED_PROXIES", "proxy.example"),
        ("RUNNER_RATE_LIMIT_ADDRESS", "-1"),
        ("PORT", "eighty"),
        ("RUNNER_GRACE_SEC", "25.001"),
        ("RUNNER_GRACE_SEC", "nan"),
        ("RUNNER_TICK_INTERVAL_SEC", "inf"),
        ("DAILY_MAX_LOSS_USDT", "0"),
        ("DAILY_MAX_LOSS_USDT", "-1"),
        ("DAILY_MAX_LOSS_USDT", "Infinity"),
        ("DAILY_MAX_LOSS_USDT", "NaN"),
        ("DAILY_MAX_LOSS_USDT", "fifty"),
        ("MAX_CONSECUTIVE_LOSSES", "0"),
        ("MAX_TRADES_PER_DAY", "-1"),
        ("MAX_TRADES_PER_DAY", "2.5"),
        ("COOLDOWN_AFTER_TRADE_SEC", "-0.001"),
        ("PAUSE_DURATION_MIN", "0.999"),
        ("ENABLE_STRATEGY_RUNNER", "maybe"),
        ("SYMBOL_WHITELIST", "BTC-USDT"),
        ("SYMBOL_WHITELIST", ", ,"),
        ("DEFAULT_TIMEFRAME", "7m"),
        ("BINANCE_BASE_URL", "ftp://x"),
        ("BINANCE_BASE_URL", "https://user:pw@x"),
        ("BINANCE_WS_URL", "https://x"),
        ("ENVIRONMENT", "prod"),
        ("RUNNER_MASTER_KEYS", "k1:short"),
        ("RUNNER_MASTER_KEYS", f"{KEYS},{KEYS}"),
        ("SANDBOX_TIMEOUT_SEC", "31"),
        ("MAX_LEVERAGE", "0"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name: str, text: str) -> None:
    problems = problems_of(**{name: text})
    assert len(problems) == 1
    assert name in problems[0]


def test_all_problems_are_reported_together() -> None:
    problems = problems_of(PORT="x", MAX_CONSECUTIVE_LOSSES="0", DAILY_MAX_LOSS_USDT="-5", NO_SUCH="1")
    assert len(problems) == 4
    for name in ("PORT", "MAX_CONSECUTIVE_LOSSES", "DAILY_MAX_LOSS_USDT", "NO_SUCH"):
        assert any(name in problem for problem in problems)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"JWT_SECRET": "short"}, "JWT_SECRET"),
        ({"JWT_SECRET": ""}, "JWT_SECRET"),
        ({"RUNNER_MASTER_KEYS": ""}, "RUNNER_MASTER_KEYS"),
        ({"ENABLE_RUNNER_ADMIN_ENDPOINTS": "true"}, "ENABLE_RUNNER_ADMIN_ENDPOINTS"),
        ({"RUNNER_CRON_SECRET": "short"}, "RUNNER_CRON_SECRET"),
        ({"CRON_SECRET": "short"}, "CRON_SECRET"),
        ({"ADMIN_API_KEY": "short"}, "ADMIN_API_KEY"),
    ],
)
def test_production_refuses(change: dict[str, str], named: str) -> None:
    problems = problems_of(**{**PRODUCTION, **change})
    assert len(problems) == 1
    assert named in problems[0]


@pytest.mark.parametrize(
    "keys",
    [
        {"JWT_JWKS_URL": "https://k.example/jwks"},
        {"JWT_JWKS_FILE": "k.json"},
        {"SUPABASE_URL": "https://s.example"},
    ],
)
def test_production_starts_with_a_real_secret_or_published_keys(keys: dict[str, str]) -> None:
    assert settings_of(**PRODUCTION).environment == "production"
    assert settings_of(**{**PRODUCTION, "JWT_SECRET": "", **keys}).jwt_secret is None


def test_keys_of_supabase_stand_below_its_url() -> None:
    settings = settings_of(SUPABASE_URL="https://s.example/")
    assert settings.jwks_url() == "https://s.example/auth/v1/.well-known/jwks.json"
    own = settings_of(SUPABASE_URL="https://s.example", JWT_JWKS_URL="https://k.example/jwks")
    assert own.jwks_url() == "https://k.example/jwks"


def test_no_secret_is_shown() -> None:
    names = {
        field.upper()
        for field, value in {name: getattr(Settings(), name) for name in Settings.__struct_fields__}.items()
        if value is None and ("secret" in field or "password" in field or "token" in field or "key" in field)
    } - {"RUNNER_MASTER_KEYS"}
    assert {"JWT_SECRET", "CRON_SECRET", "REDIS_PASSWORD", "INFLUX_TOKEN", "ADMIN_API_KEY"} <= names
    values = dict.fromkeys(names, CANARY) | {
        "DATABASE_URL": f"postgresql://u:{CANARY}@db/runner",
        "REDIS_URL": f"redis://:{CANARY}@r/0",
        "SMTP_URL": f"smtp://u:{CANARY}@m",
        "ALERT_WEBHOOK_URL": f"https://hooks.example/{CANARY}",
        "RUNNER_MASTER_KEYS": KEYS,
    }
    settings = settings_of(**values)
    assert CANARY not in repr(shown(settings)) + repr(settings)
    assert KEYS.split(":")[1] not in repr(shown(settings)) + repr(settings)
    lines = {row.name: row.value for row in shown(settings)}
    assert lines["DATABASE_URL"] == "postgresql://***@db/runner"
    assert lines["RUNNER_MASTER_KEYS"] == "k1:***"


def test_a_bad_secret_is_not_quoted() -> None:
    assert CANARY not in "; ".join(problems_of(RUNNER_MASTER_KEYS=f"k:{CANARY}", PORT="x"))


@given(
    st.lists(
        st.dictionaries(st.sampled_from(sorted(SETTING_NAMES)), st.text(max_size=12), max_size=6), max_size=3
    )
)
def test_any_sources_give_settings_or_one_refusal(sources: list[dict[str, str]]) -> None:
    try:
        settings = parse([(f"source {index}", values) for index, values in enumerate(sources)])
    except SettingsError:
        return
    assert len(shown(settings)) == len(Settings.__struct_fields__) - 1
    assert settings.risk_limits().daily_max_loss_usdt > 0
    assert settings.jwt_secret is None or isinstance(settings.jwt_secret, Secret)
