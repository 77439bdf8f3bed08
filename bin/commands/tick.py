"""`tick RUN`: has a running service tick one run now, in the slot the moment belongs to."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer


def register(app: typer.Typer) -> None:
    @app.command()
    def tick(
        run: Annotated[UUID, typer.Argument(metavar="RUN", help="The run's id.")],
        host: Annotated[str | None, typer.Option(help="Where the service listens (HOST, 127.0.0.1).")] = None,
        port: Annotated[int | None, typer.Option(min=1, max=65535, help="Its port (PORT, 8080).")] = None,
        config: Annotated[
            str | None, typer.Option(metavar="FILE", help="YAML settings file, or a folder with one.")
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    ) -> None:
        """Tick one run now; a slot it has ticked already is answered, not repeated.

        Gates, kill switch and lease apply as ever. Exit code 1 when the tick ended in an error.
        """
        from bin.api_client import ApiClient, Refused, no_run
        from bin.commands.output import write_json
        from bin.commands.status import service_settings
        from bin.commands.status_words import tick_words

        client = ApiClient(service_settings(host, port, config))
        try:
            answer = client.post("/api/runner/execute-tick", {"strategyRunId": str(run)})
        except Refused as refusal:
            raise no_run(refusal, run) from refusal
        if json:
            write_json(answer)
        else:
            print(f"Slot {answer['slot']}: {tick_words(answer)} ({answer['latencyMs']:.0f} ms).")
        if answer["status"] == "error":
            raise typer.Exit(1)
