"""Code in a replay: one warm worker for each strategy version, asked in the replay's own turn."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from actors.runtime.behaviour import Context
from actors.sandbox.frames import Failed
from actors.sandbox.host import Limits, SandboxAway, Zygote
from actors.sandbox.judge import CodeTask, Verdict, ask_of, no_verdict, program_of, verdict_of
from actors.sandbox.worker_handle import Starved, WorkerHandle

MAX_WORKERS: Final = 32
"""Strategy versions whose workers are kept; the one not asked for longest goes first."""
ATTEMPTS: Final = 5
"""A replay must not depend on how busy the machine is: who was starved is asked again."""
CPU_S: Final = 24 * 3_600


class WarmSandbox:
    """Starts its zygote when code is first asked; to be closed."""

    def __init__(self, limits: Limits | None = None) -> None:
        given = limits or Limits()
        self._limits = Limits(wall_s=given.wall_s, memory=given.memory, cpu_s=CPU_S)
        self._zygote: Zygote | None = None
        self._workers: OrderedDict[tuple[str, str, str], WorkerHandle] = OrderedDict()

    def __enter__(self) -> WarmSandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(
        self,
        ctx: Context,
        task: CodeTask,
        reply: Callable[[Verdict], object],
        failed: Callable[[Exception], object],
    ) -> None:
        ctx.call(lambda: self.judge(task), reply, failed, in_turn=True)

    def judge(self, task: CodeTask) -> Verdict:
        """Blocks until it is known."""
        for attempt in range(ATTEMPTS):
            try:
                return self._judge(task)
            except SandboxAway as away:
                return no_verdict(away)
            except Starved as starved:
                if attempt == ATTEMPTS - 1:
                    return no_verdict(starved)
        raise AssertionError("one of the attempts has ended")

    def close(self) -> None:
        for worker in self._workers.values():
            worker.kill()
        self._workers.clear()
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None

    def _judge(self, task: CodeTask) -> Verdict:
        key = (task.strategy.content, task.series.symbol, task.series.timeframe.value)
        worker = self._workers.get(key)
        if worker is None or worker.is_dead:
            if self._zygote is None:
                self._zygote = Zygote(self._limits)
            worker = self._zygote.worker()
            loaded = worker.ask(program_of(task.strategy, task.series))[-1]
            if isinstance(loaded, Failed):
                worker.kill()
                return verdict_of(loaded, task.context)
            self._workers[key] = worker
            if len(self._workers) > MAX_WORKERS:
                self._workers.popitem(last=False)[1].kill()
        self._workers.move_to_end(key)
        return verdict_of(worker.ask(ask_of(task.strategy.code, task.context))[-1], task.context)
