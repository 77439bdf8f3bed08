"""`simulate`: the whole system under seeded faults, seed after seed, until an invariant breaks or the work is done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command()(simulate)


def simulate(
    seed: Annotated[int, typer.Option(min=0, help="The first seed. A seed decides everything.")] = 1,
    count: Annotated[int, typer.Option(min=1, help="How many seeds, counted up from --seed.")] = 1,
    days: Annotated[
        float, typer.Option(min=0.01, max=30.0, help="Virtual days of faults in each seed.")
    ] = 1.0,
    users: Annotated[int, typer.Option(min=1, max=20, help="Users with five runs each.")] = 4,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=256, help="Seeds played at a time (default: one per core).")
    ] = None,
    forever: Annotated[bool, typer.Option("--forever", help="Go on until interrupted or --minutes.")] = False,
    minutes: Annotated[float | None, typer.Option(min=0.0, help="End --forever after so long.")] = None,
    trace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what one seed does, a line for each step.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Play seeds of faults on a virtual clock and check every invariant after every step.

    Three processes share one store; venue calls, store calls, candles, actors and processes fail as the seed says.
    The same seed gives the same hash. A broken invariant ends it: exit 1, with the command that plays it again.
    """
    from bin.commands.simulate_seeds import Asked, play

    play(
        Asked(
            seed=seed,
            count=None if forever else count,
            days=days,
            users=users,
            jobs=jobs,
            minutes=minutes,
            trace=trace,
        ),
        json=json,
    )
