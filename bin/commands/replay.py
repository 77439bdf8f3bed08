"""`replay`: feeds a recorded day back through the actors, to identical orders or the first difference."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command()(replay)


def replay(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="A recording, or a folder of them (RUNNER_RECORD_DIR)."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="T", help="The recording that was running then (default: the newest)."
        ),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="T", help="Stop at this market time, UTC.")
    ] = None,
    config: Annotated[
        str | None, typer.Option(metavar="FILE", help="YAML settings file, or a folder with one.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Replay what `serve --record DIR` recorded, through the same actors, rules and ledger as they are now.

    A recording begins with its process, so that is where the replay begins. Exit 0: orders, events, risk states
    and tick rows are identical; exit 1: they are not, and the first difference is shown with slot, run and inputs.

    A seed of the fault simulation is its own recording: `simulate --seed N` plays it again.
    """
    from actors.recording.day import Day
    from actors.recording.recording import Recording, find_recording
    from bin.commands.backtest import parse_span
    from bin.commands.output import write_json
    from bin.commands.replay_words import words
    from core.errors import RunnerError
    from facade.settings_file import load_settings

    first, last = parse_span(start, end)
    if directory is None:
        kept = load_settings(config=config).runner_record_dir
        if kept is None:
            raise RunnerError("Name the folder of the recording, or set RUNNER_RECORD_DIR.")
        directory = Path(kept)
    day = Day(Recording(find_recording(directory, first), whole=last is None))
    verdict = day.play(last, _show if sys.stderr.isatty() else None)
    if json:
        write_json(verdict)
    else:
        print(words(verdict))
    if not verdict.identical:
        raise typer.Exit(1)


def _show(done: int, entries: int) -> None:
    end = "\n" if done == entries else ""
    print(f"\r{done:,} of {entries:,} entries", end=end, file=sys.stderr, flush=True)
