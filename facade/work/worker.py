"""The process of one job: `python -m facade.work.worker`, a work order on its standard input.

It ends with the process that started it, however that ends: nobody writes to its standard input, and when the parent
is gone the kernel closes it.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import traceback
from typing import Final

import msgspec

from core.errors import RunnerError
from core.risk import RiskLimits
from facade.work.order import WorkOrder
from facade.work.progress import NoLongerHeld, Told
from facade.work.tasks import TASKS
from schema.pg_database import Database
from schema.pg_jobs import PgJobs
from schema.store import StoreUnavailable

MAX_MEMORY: Final = 1_500_000_000
"""Bytes of data a job may have."""
NICE: Final = 10
"""Trading comes first."""
GIVE_BACK: Final = 75
"""Exit code of a job that should be begun anew: the database was away."""


def main() -> int:
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=WorkOrder)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    try:
        database = Database(order.dsn, pool_size=2, worker=order.worker)
    except StoreUnavailable:
        return GIVE_BACK
    try:
        return carry_out(order, database)
    finally:
        database.close()


def carry_out(order: WorkOrder, database: Database) -> int:
    """Writes what came of the job, and answers the exit code."""
    jobs, held = PgJobs(database, RiskLimits()), order.held
    try:
        params = jobs.params(held)
        if params is None:
            return 0
        outcome = TASKS[held.kind](params, database, order, Told(jobs, held))
        jobs.finish(held, outcome.figures, outcome.files)
    except NoLongerHeld:
        return 0
    except StoreUnavailable:
        return GIVE_BACK
    except MemoryError:
        jobs.fail(held, "It takes more memory than a job may have; ask for a shorter range.")
    except RunnerError as refusal:
        jobs.fail(held, str(refusal))
    except Exception:
        # To the server's log, without the values of variables (I13); its user is told no more than that.
        traceback.print_exc()
        jobs.fail(held, "Something went wrong here; the log names the job.")
        return 1
    return 0


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
