"""`smoke`: whether a deployed service answers as it should to an admin, a user, cron, and nobody."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    @app.command()
    def smoke(
        url: Annotated[str, typer.Option(metavar="URL", help="Where the service answers.")],
        config: Annotated[
            str | None, typer.Option(metavar="FILE", help="YAML settings file, or a folder with one.")
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    ) -> None:
        """Check a deployed service from outside, a line a check: PASS or FAIL; the only thing it does is call cron.

        Tokens are signed with JWT_SECRET, cron is called with RUNNER_CRON_SECRET, CRON_SECRET or ADMIN_API_KEY, as
        this command's own settings have them; what they lack is said and skipped.

        Exit code 0: no check failed. 1: one did.
        """
        from bin.commands.output import write_json
        from bin.smoke import Outcome, checks, run
        from facade.settings_file import load_settings

        settings = load_settings(config=config)

        def told(outcome: Outcome) -> None:
            if not json:
                typer.echo(f"{outcome.verdict:<4}  {outcome.name}{f': {outcome.why}' if outcome.why else ''}")

        outcomes = [run(check, url, settings, told) for check in checks(settings)]
        failed = [each for each in outcomes if each.verdict == "FAIL"]
        if json:
            write_json({"held": not failed, "checks": outcomes})
        else:
            typer.echo(f"{len(outcomes) - len(failed)} of {len(outcomes)} checks passed.")
        if failed:
            raise typer.Exit(1)
