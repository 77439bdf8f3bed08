"""Work on several children in a fixed order: the first start, a group restart, the final stop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from actors.runtime.child import Child, ChildStatus
from actors.runtime.spec import StopMode


class Stage:
    """Children to start, or to stop, together; the next stage begins when all of them are done."""

    __slots__ = ("begun", "children", "close", "mode", "starts")

    def __init__(
        self, children: Sequence[Child], *, starts: bool, mode: StopMode = StopMode.NOW, close: bool = True
    ) -> None:
        self.children = dict.fromkeys(children)
        self.starts = starts
        self.mode = mode
        self.close = close
        self.begun = False


class Plan:
    """At most one sequence of stages under way; a new one replaces it."""

    __slots__ = ("_advancing", "_launch", "_stages", "_stop", "_then")

    def __init__(self, launch: Callable[[Child], None], stop: Callable[[Child, Stage], None]) -> None:
        self._launch = launch
        self._stop = stop
        self._stages: deque[Stage] = deque()
        self._then: Callable[[], None] | None = None
        self._advancing = False

    @property
    def active(self) -> bool:
        return bool(self._stages)

    def is_starting(self, child: Child) -> bool:
        """Whether the present stage waits for `child` to start."""
        return bool(self._stages) and self._stages[0].starts and child in self._stages[0].children

    def begin(self, stages: Sequence[Stage], then: Callable[[], None]) -> None:
        """Forget what was planned, do `stages`, then call `then`."""
        self._stages = deque(stages)
        self._then = then
        self._advance()

    def done(self, child: Child, *, starts: bool) -> None:
        """`child` has started, or is down."""
        if self._stages and self._stages[0].starts is starts:
            self._stages[0].children.pop(child, None)
            self._advance()

    def _advance(self) -> None:
        if self._advancing:  # a child was down at once; the loop below sees it
            return
        self._advancing = True
        try:
            while self._stages:
                stage = self._stages[0]
                if not stage.begun:
                    stage.begun = True
                    self._begin_stage(stage)
                if stage is not self._stages[0]:
                    continue
                if stage.children:
                    return
                self._stages.popleft()
        finally:
            self._advancing = False
        then, self._then = self._then, None
        if then is not None:
            then()

    def _begin_stage(self, stage: Stage) -> None:
        for child in tuple(stage.children):
            if stage.starts and child.status is not ChildStatus.RUNNING:
                self._launch(child)
            elif not stage.starts and not child.is_down:
                self._stop(child, stage)
            else:
                stage.children.pop(child, None)
