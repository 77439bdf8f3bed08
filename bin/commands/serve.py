"""`serve`: the service, or with `--demo` the service on candles in accelerated time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from core.config import Settings

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def register(app: typer.Typer) -> None:
    @app.command()
    def serve(
        demo: Annotated[
            bool,
            typer.Option("--demo", help="Play candles in accelerated time, on paper, with made-up users."),
        ] = False,
        data: Annotated[
            Path | None,
            typer.Option(
                metavar="DIR", help="Folder of recorded candles for the demo (Binance archive CSV)."
            ),
        ] = None,
        speed: Annotated[
            float, typer.Option(min=1, max=3600, help="Demo: market seconds per second.")
        ] = 60.0,
        once: Annotated[
            bool, typer.Option("--once", help="Demo: stop at the end of the data instead of starting over.")
        ] = False,
        record: Annotated[
            Path | None,
            typer.Option(metavar="DIR", help="Record all inputs there, for `replay` (RUNNER_RECORD_DIR)."),
        ] = None,
        host: Annotated[str | None, typer.Option(help="Address to listen on (HOST, 127.0.0.1).")] = None,
        port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port (PORT, 8080).")] = None,
        config: Annotated[
            str | None, typer.Option(metavar="FILE", help="YAML settings file, or a folder with one.")
        ] = None,
    ) -> None:
        """Run the service: scheduler, runs, API and page.

        `bin/runner serve --demo` needs nothing: it starts its own PostgreSQL in RUNNER_DATA_DIR (./var), plays
        candles sixty times faster than they happened and prints the address of the page.
        """
        from bin.serving import ServeRequest, run
        from facade.settings_file import load_settings

        given = {
            "HOST": host,
            "PORT": None if port is None else str(port),
            "RUNNER_RECORD_DIR": None if record is None else str(record),
        }
        settings = load_settings(
            {name: text for name, text in given.items() if text is not None},
            config=config,
            defaults=DEMO_DEFAULTS if demo else None,
        )
        check(settings, demo=demo, data=data, once=once)
        run(settings, ServeRequest(demo=demo, data=data, speed=speed, once=once))


DEMO_DEFAULTS = {"ENABLE_STRATEGY_RUNNER": "true", "ENABLE_RUNNER_ADMIN_ENDPOINTS": "true"}


def check(settings: Settings, *, demo: bool, data: Path | None, once: bool) -> None:
    """Refuse what cannot be meant, before anything is started."""
    from core.errors import RunnerError

    if data is not None and not demo:
        raise RunnerError("--data is for the demo; add --demo, or leave it out to follow the venue.")
    if once and not demo:
        raise RunnerError("--once is for the demo, whose candles end; add --demo, or leave it out.")
    if demo and settings.host not in LOOPBACK:
        raise RunnerError(
            f"The demo logs everybody in, so it listens on this machine only, not on {settings.host}."
        )
    if demo and settings.environment == "production":
        raise RunnerError("ENVIRONMENT is production; the demo does not run there.")
