"""`flatten`: has a running service close what is open of a run, a user or an account, reduce-only."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer


def register(app: typer.Typer) -> None:
    @app.command()
    def flatten(
        run: Annotated[UUID | None, typer.Option(help="Close the position of this run.")] = None,
        user: Annotated[str | None, typer.Option(help="Close all positions of this user.")] = None,
        connection: Annotated[
            UUID | None, typer.Option(help="Close all positions on this connection or portfolio.")
        ] = None,
        wait: Annotated[
            float, typer.Option(min=0, max=3600, help="Seconds to wait until all is flat; 0: only ask.")
        ] = 30.0,
        host: Annotated[str | None, typer.Option(help="Where the service listens (HOST, 127.0.0.1).")] = None,
        port: Annotated[int | None, typer.Option(min=1, max=65535, help="Its port (PORT, 8080).")] = None,
        config: Annotated[
            str | None, typer.Option(metavar="FILE", help="YAML settings file, or a folder with one.")
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    ) -> None:
        """Close positions at market, past the kill switches; runs go on as they are.

        Exit code 1 when a position was not flat in time; it is still being closed then.
        """
        named = {"runId": run, "userId": user, "connectionId": connection}
        given = {name: str(value) for name, value in named.items() if value is not None}
        if len(given) != 1:
            raise typer.BadParameter("name exactly one of --run, --user and --connection")

        from bin.api_client import ApiClient
        from bin.commands.output import write_json
        from bin.commands.status import service_settings
        from bin.flatten_words import closed, flatten_words

        client = ApiClient(service_settings(host, port, config))
        flattens = closed(client, given, wait_s=wait)
        if json:
            write_json({"flattens": flattens})
        else:
            print(flatten_words(flattens))
        if wait and any(each["outcome"] != "flat" for each in flattens):
            raise typer.Exit(1)
