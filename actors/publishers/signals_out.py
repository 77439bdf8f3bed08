"""Who signals are told, as the settings say."""

from __future__ import annotations

from datetime import timedelta

from actors.publishers.event_publisher import EventPublisher, RedisEvents
from actors.publishers.influx import InfluxSignals
from actors.publishers.redis import RedisAddress, RedisSignals
from actors.publishers.signal_publisher import SignalPublisher, SignalReceiver
from actors.runtime.behaviour import Context
from actors.runtime.spec import ChildSpec
from actors.system import BACKOFF
from core.config import Settings
from core.errors import SettingsError
from core.ids import UserId
from core.signal_policy import SignalLimits
from exchanges.feeds.influx_trades import InfluxTrades
from schema.pg_events_out import PgEventsOut
from schema.pg_published import PgPublished


def signal_publishers(settings: Settings, rows: PgPublished) -> list[ChildSpec]:
    """One actor a receiver that is configured. Raises SettingsError for one that cannot be."""
    return [_publisher(each, settings, rows) for each in receivers(settings)]


def event_publisher(settings: Settings, rows: PgEventsOut) -> list[ChildSpec]:
    """One actor where Redis is configured."""
    address = _redis(settings)
    if address is None:
        return []
    receiver = RedisEvents(address, channel=settings.redis_event_channel)
    users = tuple(UserId(name) for name in settings.signal_users)
    owner = settings.worker_id or "runner"

    def make(ctx: Context) -> EventPublisher:
        return EventPublisher(ctx, rows=rows, receiver=receiver, users=users, owner=owner)

    return [ChildSpec(id="events:redis", factory=make, backoff=BACKOFF)]


def _redis(settings: Settings) -> RedisAddress | None:
    if settings.redis_url is None and settings.redis_host is None:
        return None
    return RedisAddress(
        url=settings.redis_url,
        host=settings.redis_host or "",
        port=settings.redis_port,
        password=settings.redis_password,
        db=settings.redis_db,
    )


def receivers(settings: Settings) -> list[SignalReceiver]:
    found: list[SignalReceiver] = []
    address = _redis(settings)
    if address is not None:
        found.append(
            RedisSignals(
                address,
                key_prefix=settings.redis_signal_key_prefix,
                channel=settings.redis_signal_channel,
            )
        )
    url = influx_url(settings)
    if url is not None:
        if settings.influx_bucket is None and settings.influx_database is None:
            raise SettingsError(
                "InfluxDB needs INFLUX_BUCKET (version 2 and 3) or INFLUX_DATABASE (version 1)."
            )
        found.append(
            InfluxSignals(
                url,
                database=settings.influx_database,
                org=settings.influx_org,
                bucket=settings.influx_bucket,
                token=settings.influx_token,
            )
        )
    return found


def influx_url(settings: Settings) -> str | None:
    if settings.influx_url is None and settings.influx_host is not None:
        return f"http://{settings.influx_host}:{settings.influx_port}"
    return settings.influx_url


def trades_of(settings: Settings) -> InfluxTrades | None:
    """Where trades are read, if anywhere."""
    url = influx_url(settings)
    if url is None or settings.influx_trades_database is None:
        return None
    return InfluxTrades(url=url, database=settings.influx_trades_database, token=settings.influx_token)


def limits_of(settings: Settings) -> SignalLimits:
    return SignalLimits(
        cooldown=timedelta(minutes=settings.signal_cooldown_minutes),
        ttl=timedelta(seconds=settings.signal_ttl_seconds),
        max_alive=settings.max_concurrent_signals,
    )


def _publisher(receiver: SignalReceiver, settings: Settings, rows: PgPublished) -> ChildSpec:
    limits, users = limits_of(settings), [UserId(name) for name in settings.signal_users]
    owner = settings.worker_id or "runner"

    def made(ctx: Context) -> SignalPublisher:
        return SignalPublisher(
            ctx,
            rows=rows,
            receiver=receiver,
            limits=limits,
            users=users,
            owner=owner,
            probe_every_s=settings.health_check_interval,
        )

    return ChildSpec(id=f"signals:{receiver.name.value}", factory=made, backoff=BACKOFF)
