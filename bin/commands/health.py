"""`health`: whether a running service is ready, as an exit code for whoever supervises it."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    @app.command()
    def health(
        host: Annotated[str | None, typer.Option(help="Where the service listens (HOST, 127.0.0.1).")] = None,
        port: Annotated[int | None, typer.Option(min=1, max=65535, help="Its port (PORT, 8080).")] = None,
        config: Annotated[
            str | None, typer.Option(metavar="FILE", help="YAML settings file, or a folder with one.")
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    ) -> None:
        """Ask a running service whether it is ready; exit code 0 when it is, 1 when not."""
        from bin.api_client import ApiClient
        from bin.commands.output import write_json
        from bin.commands.status import service_settings

        client = ApiClient(service_settings(host, port, config))
        ready, answer = client.ready()
        if json:
            write_json({"ok": ready, "checks": answer["checks"]})
        else:
            for name, up in answer["checks"].items():
                print(f"{name.replace('_', ' ')}: {'up' if up else 'down'}")
            print(f"The service at {client.address} is {'ready' if ready else 'not ready'}.")
        if not ready:
            raise typer.Exit(1)
