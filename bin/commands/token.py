"""`token`: signs a JWT for development with the secret the service itself checks tokens with."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from core.config import Settings

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
TTL_MAX = timedelta(days=366)


def register(app: typer.Typer) -> None:
    @app.command()
    def token(
        user: Annotated[str, typer.Option(help="The user the token speaks for (its `sub`).")],
        admin: Annotated[bool, typer.Option("--admin", help="With the role admin.")] = False,
        ttl: Annotated[str, typer.Option(help="How long it is valid: 90s, 30m, 1h, 7d.")] = "1h",
        config: Annotated[
            str | None, typer.Option(metavar="FILE", help="YAML settings file, or a folder with one.")
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    ) -> None:
        """Print a JWT for development."""
        from bin.commands.output import write_json
        from facade import tokens
        from facade.settings_file import load_settings

        lifetime = parse_ttl(ttl)
        settings = load_settings(config=config)
        now = datetime.now(UTC).replace(microsecond=0)
        signed = tokens.issue(
            secret=signing_secret(settings),
            user_id=user,
            admin=admin,
            now=now,
            ttl=lifetime,
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
        )
        if json:
            write_json({"token": signed, "user": user, "admin": admin, "expiresAt": now + lifetime})
        else:
            typer.echo(signed)


def parse_ttl(text: str) -> timedelta:
    """`90s`, `30m`, `1h` or `7d`, at most 366 days; anything else is a wrong command line."""
    match = re.fullmatch(r"([1-9][0-9]{0,7})([smhd])", text)
    ttl = timedelta(**{UNITS[match[2]]: int(match[1])}) if match else None
    if ttl is None or ttl > TTL_MAX:
        raise typer.BadParameter(f"{text!r} is not like 90s, 30m, 1h or 7d (up to 366d)", param_hint="--ttl")
    return ttl


def signing_secret(settings: Settings) -> str:
    """The configured secret, else the one generated into the data directory."""
    from facade.secrets import load_or_create

    if settings.jwt_secret is not None:
        return settings.jwt_secret.reveal()
    return load_or_create(Path(settings.runner_data_dir), "jwt_secret")
