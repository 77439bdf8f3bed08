"""Cron schedules as a choice among the slots of a timeframe (decision 4). UTC, five fields."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from cronsim import CronSim, CronSimError

from core.errors import RunnerError
from core.timeframe import EPOCH, Timeframe

_FIELDS: Final = 5
_DAY_MINUTES: Final = 1440


class ScheduleError(RunnerError):
    """A schedule that cannot be read, or does not align with its timeframe.

    `nearest` is the expression closest to it that does, where there is one.
    """

    def __init__(self, sentence: str, nearest: str | None = None) -> None:
        super().__init__(sentence)
        self.nearest = nearest


class Schedule:
    """A five-field cron expression that fires on slots of `timeframe` only."""

    def __init__(self, expression: str, timeframe: Timeframe | None = None) -> None:
        """Without a timeframe the schedule's own interval is taken. Raises ScheduleError."""
        self._cron = _parse(expression)
        self.expression = " ".join(expression.split())
        self._minutes: list[int] = sorted(self._cron.minutes)
        self._hours: list[int] = sorted(self._cron.hours)
        self.timeframe = timeframe or self._own_interval()
        if not self._aligns(self.timeframe):
            nearest = self._nearest(self.timeframe)
            sentence = (
                f"The schedule {self.expression!r} does not fire on {self.timeframe} candle closes; "
                f"the nearest that does is {nearest!r}."
            )
            raise ScheduleError(sentence, nearest)

    def selects(self, slot: datetime) -> bool:
        """Whether the schedule fires at `slot`, a boundary of the timeframe."""
        at = slot.astimezone(UTC)
        return (
            at.second == 0
            and at.microsecond == 0
            and at.minute in self._cron.minutes
            and at.hour in self._cron.hours
            and at.month in self._cron.months
            and self._cron.match_day(at.date())
        )

    def next_slot(self, after: datetime) -> datetime | None:
        """The first slot strictly after `after`; None for a schedule that never fires again."""
        try:
            return next(CronSim(self.expression, after.astimezone(UTC)))
        except (StopIteration, CronSimError):
            return None

    def _aligns(self, timeframe: Timeframe) -> bool:
        """Days begin on a boundary of every timeframe, so the times of day decide."""
        step = timeframe.seconds // 60
        return all((hour * 60 + minute) % step == 0 for hour in self._hours for minute in self._minutes)

    def _own_interval(self) -> Timeframe:
        """The longest timeframe that closes at every firing and is no longer than the shortest pause.

        `*/5 * * * *` is 5m; 20 minutes is no timeframe, so `*/20 * * * *` is 10m.
        """
        firings = [hour * 60 + minute for hour in self._hours for minute in self._minutes]
        pauses = [later - earlier for earlier, later in pairwise(firings)]
        shortest = min([*pauses, firings[0] + _DAY_MINUTES - firings[-1]])
        fitting = [tf for tf in Timeframe if tf.seconds <= 60 * shortest and self._aligns(tf)]
        return fitting[-1]

    def _nearest(self, timeframe: Timeframe) -> str:
        """The expression with every firing moved back to the boundary before it."""
        step = timeframe.seconds // 60
        rest = self.expression.split()[2:]
        minutes = sorted({minute - minute % step for minute in self._minutes}) if step < 60 else [0]
        per_hour = max(1, step // 60)
        hours = sorted({hour - hour % per_hour for hour in self._hours})
        return " ".join([_field(minutes, 60), _field(hours, 24), *rest])


def fires(expression: str | None, slot: datetime) -> bool:
    """Whether a run with this schedule, or none, is due at `slot`, a boundary of its timeframe."""
    return expression is None or Schedule(expression).selects(slot)


def cron_of(timeframe: Timeframe) -> str:
    """The expression that fires at every slot: `*/5 * * * *` for 5m, `0 */4 * * *` for 4h."""
    minutes = timeframe.seconds // 60
    if minutes < 60:
        return f"{_field(list(range(0, 60, minutes)), 60)} * * * *"
    return f"0 {_field(list(range(0, 24, minutes // 60)), 24)} * * *"


def timeframe_of(expression: str) -> Timeframe | None:
    """The timeframe whose every slot the expression fires at; None when it fires at anything else."""
    cron = _parse(expression)
    firings = {hour * 60 + minute for hour in cron.hours for minute in cron.minutes}
    if " ".join(expression.split()[2:]) != "* * *":
        return None
    for timeframe in Timeframe:
        if firings == set(range(0, _DAY_MINUTES, timeframe.seconds // 60)):
            return timeframe
    return None


def _parse(expression: str) -> CronSim:
    if len(expression.split()) != _FIELDS:
        raise ScheduleError(
            f"The schedule {expression!r:.60} does not have five fields, as in '*/5 * * * *'."
        )
    try:
        return CronSim(expression, EPOCH)
    except CronSimError as error:
        raise ScheduleError(f"The schedule {expression!r:.60} cannot be read: {error}.") from error


def _field(values: list[int], size: int) -> str:
    """A list of numbers as a cron field, short where it is regular."""
    if values == list(range(size)):
        return "*"
    if len(values) > 1 and values == list(range(0, size, values[1])) and values[0] == 0:
        return f"*/{values[1]}"
    return ",".join(map(str, values))
