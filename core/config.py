"""Settings: every value checked once, all problems reported together, each value's origin remembered.

Sources come in order of precedence, each with the name of its origin; reading files and the environment is
the edge's work (`facade/settings_file.py`). A setting's field is its name in lower case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec

from core.config_readers import (
    any_decimal,
    any_whole,
    choice,
    email,
    flag,
    located_secret,
    master_keys,
    names,
    networks,
    number,
    plain,
    secret,
    symbols,
    timeframe,
    url,
    urls,
    whole,
)
from core.errors import SettingsError
from core.redact import MASK, Secret
from core.risk import RiskLimits
from core.timeframe import DEFAULT_GRACE_S, MAX_GRACE_S, Timeframe

DEFAULT_ORIGIN: Final = "default"
MIN_JWT_SECRET_BYTES: Final = 32
"""RFC 7518 §3.2: a key for HS256 has at least 256 bits."""
MIN_CRON_SECRET_BYTES: Final = 16
_DAY_S: Final = 86_400


class Reads(msgspec.Struct, frozen=True):
    """How one setting is read, and other names it goes by (the own name wins within one source)."""

    read: Callable[[str], Any]
    aliases: tuple[str, ...] = ()


def _published(name: str, *more: str) -> tuple[str, ...]:
    """Names under which signal publishing was configured elsewhere."""
    return (f"SQUEEZEFLOW_{name}", *more)


_HTTP: Final = url("http", "https")
_WS: Final = url("ws", "wss")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, checked. Suffixes `_sec`, `_min`, `_hours`, `_usdt` are the units."""

    enable_strategy_runner: Annotated[bool, Reads(flag)] = False
    runner_cron_secret: Annotated[Secret | None, Reads(secret)] = None
    cron_secret: Annotated[Secret | None, Reads(secret)] = None
    metrics_token: Annotated[Secret | None, Reads(secret)] = None
    admin_api_key: Annotated[Secret | None, Reads(secret)] = None
    runner_tick_interval_sec: Annotated[float, Reads(number(1, 3600))] = 10.0
    runner_grace_sec: Annotated[float, Reads(number(0, MAX_GRACE_S))] = DEFAULT_GRACE_S
    runner_lease_sec: Annotated[float, Reads(number(1, 3600))] = 120.0
    runner_recorded_data: Annotated[str | None, Reads(plain)] = None
    runner_record_dir: Annotated[str | None, Reads(plain)] = None

    daily_max_loss_usdt: Annotated[Decimal, Reads(any_decimal)] = Decimal(50)
    max_trades_per_day: Annotated[int, Reads(any_whole)] = 20
    max_consecutive_losses: Annotated[int, Reads(any_whole)] = 3
    cooldown_after_trade_sec: Annotated[Decimal, Reads(any_decimal)] = Decimal(30)
    pause_duration_min: Annotated[Decimal, Reads(any_decimal)] = Decimal(1440)

    enable_runner_admin_endpoints: Annotated[bool, Reads(flag)] = False
    database_url: Annotated[Secret | None, Reads(located_secret)] = None
    runner_data_dir: Annotated[str, Reads(plain)] = "./var"
    runner_master_keys: Annotated[Secret | None, Reads(master_keys)] = None

    jwt_secret: Annotated[Secret | None, Reads(secret, ("SUPABASE_JWT_SECRET",))] = None
    jwt_jwks_url: Annotated[str | None, Reads(_HTTP)] = None
    jwt_jwks_file: Annotated[str | None, Reads(plain)] = None
    jwt_audience: Annotated[str | None, Reads(plain)] = None
    jwt_issuer: Annotated[str | None, Reads(plain)] = None
    supabase_url: Annotated[str | None, Reads(_HTTP)] = None

    frontend_url: Annotated[tuple[str, ...], Reads(urls("http", "https"))] = ()
    host: Annotated[str, Reads(plain)] = "127.0.0.1"
    port: Annotated[int, Reads(whole(0, 65_535))] = 8080
    runner_trusted_proxies: Annotated[tuple[str, ...], Reads(networks)] = ()
    runner_rate_limit_user: Annotated[int, Reads(whole(0, 1_000_000))] = 1_200
    runner_rate_limit_address: Annotated[int, Reads(whole(0, 1_000_000))] = 6_000
    environment: Annotated[
        Literal["development", "test", "staging", "production"],
        Reads(choice("development", "test", "staging", "production")),
    ] = "development"

    symbol_whitelist: Annotated[tuple[str, ...], Reads(symbols)] = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    max_leverage: Annotated[int, Reads(whole(1, 125))] = 10

    binance_base_url: Annotated[str | None, Reads(_HTTP)] = None
    binance_ws_url: Annotated[str | None, Reads(_WS)] = None
    bybit_base_url: Annotated[str | None, Reads(_HTTP)] = None
    bybit_ws_url: Annotated[str | None, Reads(_WS)] = None

    redis_url: Annotated[Secret | None, Reads(located_secret)] = None
    redis_host: Annotated[str | None, Reads(plain)] = None
    redis_port: Annotated[int, Reads(whole(1, 65_535))] = 6379
    redis_password: Annotated[Secret | None, Reads(secret)] = None
    redis_db: Annotated[int, Reads(whole(0, 65_535))] = 0
    redis_signal_key_prefix: Annotated[str, Reads(plain)] = "squeezeflow:signal:"
    redis_signal_channel: Annotated[str, Reads(plain)] = "squeezeflow:signals"
    redis_event_channel: Annotated[str, Reads(plain)] = "squeezeflow:events"
    influx_url: Annotated[str | None, Reads(_HTTP)] = None
    influx_host: Annotated[str | None, Reads(plain)] = None
    influx_port: Annotated[int, Reads(whole(1, 65_535))] = 8086
    influx_database: Annotated[str | None, Reads(plain)] = None
    influx_org: Annotated[str | None, Reads(plain)] = None
    influx_bucket: Annotated[str | None, Reads(plain)] = None
    influx_trades_database: Annotated[str | None, Reads(plain)] = None
    influx_token: Annotated[Secret | None, Reads(secret)] = None
    smtp_url: Annotated[Secret | None, Reads(located_secret)] = None
    alert_webhook_url: Annotated[Secret | None, Reads(secret)] = None
    alert_email: Annotated[str | None, Reads(email)] = None
    alert_error_rate_pct: Annotated[float, Reads(number(1, 100))] = 20.0
    alert_no_signal_min: Annotated[float, Reads(number(1, 1_440))] = 15.0
    alert_slot_lag_sec: Annotated[float, Reads(number(0.5, 300))] = 10.0
    webhook_allow_private: Annotated[bool, Reads(flag)] = False
    otel_exporter_otlp_endpoint: Annotated[str | None, Reads(_HTTP)] = None
    retention_days: Annotated[int, Reads(whole(1, 36_500))] = 400
    freqtrade_config: Annotated[str | None, Reads(plain)] = None

    run_interval_seconds: Annotated[
        float,
        Reads(number(1, _DAY_S), _published("RUN_INTERVAL_SECONDS", "SQUEEZEFLOW_RUN_INTERVAL")),
    ] = 60.0
    max_symbols_per_cycle: Annotated[
        int,
        Reads(whole(1, 1_000), _published("MAX_SYMBOLS_PER_CYCLE", "SQUEEZEFLOW_MAX_SYMBOLS")),
    ] = 10
    data_lookback_hours: Annotated[float, Reads(number(1, 8_784), _published("DATA_LOOKBACK_HOURS"))] = 48.0
    default_timeframe: Annotated[
        Timeframe, Reads(timeframe, _published("DEFAULT_TIMEFRAME", "SQUEEZEFLOW_TIMEFRAME"))
    ] = Timeframe.M5
    min_data_points: Annotated[int, Reads(whole(1, 100_000), _published("MIN_DATA_POINTS"))] = 500
    signal_cooldown_minutes: Annotated[
        float, Reads(number(0, 1_440), _published("SIGNAL_COOLDOWN_MINUTES"))
    ] = 15.0
    signal_ttl_seconds: Annotated[
        int, Reads(whole(1, _DAY_S), _published("SIGNAL_TTL_SECONDS", "REDIS_SIGNAL_TTL"))
    ] = 300
    max_concurrent_signals: Annotated[int, Reads(whole(1, 10_000), _published("MAX_CONCURRENT_SIGNALS"))] = 5
    signal_users: Annotated[tuple[str, ...], Reads(names)] = ()

    enable_parallel_processing: Annotated[bool, Reads(flag)] = True
    enable_performance_monitoring: Annotated[bool, Reads(flag)] = True
    health_check_interval: Annotated[float, Reads(number(1, _DAY_S))] = 30.0
    sandbox_timeout_sec: Annotated[float, Reads(number(0.05, 30))] = 2.0
    sandbox_memory_mb: Annotated[int, Reads(whole(32, 65_536))] = 256
    sandbox_workers: Annotated[int | None, Reads(whole(1, 1_024))] = None
    sandbox_shadow_pct: Annotated[float, Reads(number(0, 100))] = 5.0
    worker_id: Annotated[str | None, Reads(plain)] = None
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        Reads(choice("DEBUG", "INFO", "WARNING", "ERROR", fold=str.upper), ("SQUEEZEFLOW_LOG_LEVEL",)),
    ] = "INFO"
    log_format: Annotated[Literal["console", "json"] | None, Reads(choice("console", "json"))] = None
    converter_url: Annotated[str | None, Reads(_HTTP)] = None
    converter_model: Annotated[str | None, Reads(plain)] = None
    converter_api_key: Annotated[Secret | None, Reads(secret)] = None

    origins: Mapping[str, str] = {}
    """Name of a setting → where its value came from; a name not in it has its default."""

    def risk_limits(self) -> RiskLimits:
        """The limits of users who have none of their own. Raises SettingsError as invariants §2 asks."""
        return RiskLimits(
            daily_max_loss_usdt=self.daily_max_loss_usdt,
            max_trades_per_day=self.max_trades_per_day,
            max_consecutive_losses=self.max_consecutive_losses,
            cooldown_after_trade_s=self.cooldown_after_trade_sec,
            pause_duration_min=self.pause_duration_min,
        )

    def jwks_url(self) -> str | None:
        """Where keys of tokens are fetched from, when they are."""
        if self.jwt_jwks_url is None and self.supabase_url is not None:
            return f"{self.supabase_url}/auth/v1/.well-known/jwks.json"
        return self.jwt_jwks_url


class ShownSetting(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `config show`."""

    name: str
    value: str
    origin: str


def parse(sources: Sequence[tuple[str, Mapping[str, str]]]) -> Settings:
    """The settings these sources give, the first that has a value winning; blank counts as not set.

    Raises SettingsError with one sentence a problem.
    """
    problems = [
        f"{origin}: there is no setting {name}"
        for origin, values in sources
        for name in values
        if name not in SETTING_NAMES
    ]
    found: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, reads in _READS.items():
        given = _first(sources, (name, *reads.aliases))
        if given is None:
            continue
        origin, spelled, text = given
        try:
            found[name.lower()] = reads.read(text)
            origins[name] = origin
        except ValueError as error:
            problems.append(f"{spelled} ({origin}) {error}")
    settings = Settings(**found, origins=origins)
    problems += _risk_problems(settings)
    if settings.environment == "production":
        problems += production_problems(settings)
    if problems:
        raise SettingsError("; ".join(problems) + ".")
    return settings


def overridden(settings: Settings, values: Mapping[str, str], origin: str) -> Settings:
    """With these values in the place of others. Raises SettingsError with one sentence a problem."""
    problems: list[str] = []
    found: dict[str, Any] = {}
    for name, text in values.items():
        reads = _READS.get(name)
        if reads is None:
            problems.append(f"there is no setting {name}")
            continue
        try:
            found[name.lower()] = reads.read(text)
        except ValueError as error:
            problems.append(f"{name} {error}")
    origins = {**settings.origins, **dict.fromkeys(values, origin)}
    after = msgspec.structs.replace(settings, **found, origins=origins)
    problems += _risk_problems(after)
    if problems:
        raise SettingsError("; ".join(problems) + ".")
    return after


def production_problems(settings: Settings) -> list[str]:
    """What production refuses to start with."""
    problems = []
    if settings.enable_runner_admin_endpoints:
        problems.append("ENABLE_RUNNER_ADMIN_ENDPOINTS is refused when ENVIRONMENT is production")
    if settings.jwt_secret is None and settings.jwks_url() is None and settings.jwt_jwks_file is None:
        problems.append("ENVIRONMENT production needs JWT_SECRET, JWT_JWKS_URL or JWT_JWKS_FILE")
    if settings.runner_master_keys is None:
        problems.append("ENVIRONMENT production needs RUNNER_MASTER_KEYS")
    least = {
        "JWT_SECRET": (settings.jwt_secret, MIN_JWT_SECRET_BYTES),
        "RUNNER_CRON_SECRET": (settings.runner_cron_secret, MIN_CRON_SECRET_BYTES),
        "CRON_SECRET": (settings.cron_secret, MIN_CRON_SECRET_BYTES),
        "ADMIN_API_KEY": (settings.admin_api_key, MIN_CRON_SECRET_BYTES),
    }
    for name, (value, size) in least.items():
        if value is not None and len(value) < size:
            problems.append(f"{name} has fewer than the {size} bytes that ENVIRONMENT production asks for")
    return problems


def shown(settings: Settings) -> list[ShownSetting]:
    """Every setting with value and origin, secrets masked."""
    return [
        ShownSetting(
            name=name,
            value=_shown(getattr(settings, name.lower())),
            origin=settings.origins.get(name, DEFAULT_ORIGIN),
        )
        for name in _READS
    ]


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Secret):
        return repr(value) or MASK
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _first(
    sources: Sequence[tuple[str, Mapping[str, str]]], names: Sequence[str]
) -> tuple[str, str, str] | None:
    for origin, values in sources:
        for name in names:
            text = values.get(name, "").strip()
            if text:
                return origin, name, text
    return None


def _risk_problems(settings: Settings) -> list[str]:
    try:
        settings.risk_limits()
    except SettingsError as error:
        return str(error).split("; ")
    return []


def _reads() -> dict[str, Reads]:
    hints = get_type_hints(Settings, include_extras=True)
    return {
        field.upper(): get_args(hint)[1] for field, hint in hints.items() if get_origin(hint) is Annotated
    }


_READS: Final = _reads()
SETTING_NAMES: Final = frozenset(_READS) | {alias for reads in _READS.values() for alias in reads.aliases}
"""Every name a source may use."""
