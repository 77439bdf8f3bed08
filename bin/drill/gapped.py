"""`serve --demo` that strikes itself in one of the gaps of an order's life, once it is armed (`bin/drill/gaps.py`)."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import cast

from msgspec.structs import replace

from actors.system import Parts
from bin.commands.serve import DEMO_DEFAULTS
from bin.drill.gapped_edges import GappedPermits, GappedStore, gapped_venues
from bin.drill.gaps import GAP_FILE, Gaps
from bin.serving import ServeRequest, run
from core.errors import RunnerError
from facade.settings_file import load_settings
from schema.store import Store


def main() -> int:
    parser = argparse.ArgumentParser(prog="gapped")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--speed", type=float, default=60.0)
    told = parser.parse_args()
    gaps = Gaps(Path(os.environ[GAP_FILE]))

    def around(parts: Parts) -> Parts:
        store = GappedStore(parts.store, gaps)
        venues = parts.venues
        assert parts.permits is not None
        return replace(
            parts,
            store=cast(Store, store),
            permits=GappedPermits(parts.permits, gaps),
            venues=lambda paper: gapped_venues(venues(paper), gaps, store),
        )

    request = ServeRequest(demo=True, data=told.data, speed=told.speed, once=False, around=around)
    try:
        run(load_settings({"PORT": "0"}, defaults=DEMO_DEFAULTS), request)
    except RunnerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
