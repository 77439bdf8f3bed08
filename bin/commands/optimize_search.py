"""A seeded search over parameters by optuna's TPE sampler: the same seed asks for the same settings.

Settings are asked for a batch at a time, whatever the number of cores, so that the answer depends on none of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from math import floor, log10
from typing import Final

import msgspec
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

from core.parameters import Number, Parameters
from core.walk_forward import Range, Scored

BATCH: Final = 8
STEPS: Final = 1_000
"""Of a fraction's range: what is asked for is rounded to about so many values."""

Evaluate = Callable[[Sequence[Parameters]], Sequence[Scored | None]]
"""What came of settings, in their order; None where they contradict each other."""


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """Different settings that were tried, in order, how many contradicted themselves, and what matters most."""

    tried: Sequence[Scored]
    left_out: int
    importance: Mapping[str, float]

    @property
    def best(self) -> Scored | None:
        scored = [each for each in self.tried if each.score is not None]
        return max(scored, key=lambda each: each.score or 0.0, default=None)


def search(
    space: Mapping[str, Range], *, trials: int, seed: int, first: Parameters, evaluate: Evaluate
) -> Searched:
    """`first` is tried before any other; a setting asked for again is not evaluated again."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {name: _distribution(each) for name, each in space.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True)
        )
    study.enqueue_trial({name: first[name] for name in space})
    known: dict[tuple[Number, ...], Scored | None] = {}
    for done in range(0, trials, BATCH):
        asked = [study.ask(distributions) for _ in range(min(BATCH, trials - done))]
        settings = [_rounded(trial.params, space) for trial in asked]
        keys = [tuple(each.values()) for each in settings]
        new = {key: each for key, each in zip(keys, settings, strict=True) if key not in known}
        known.update(zip(new, evaluate(list(new.values())), strict=True))
        for trial, key in zip(asked, keys, strict=True):
            scored = known[key]
            if scored is None or scored.score is None:
                study.tell(trial, state=TrialState.FAIL)
            else:
                study.tell(trial, scored.score)
    tried = [each for each in known.values() if each is not None]
    return Searched(tried=tried, left_out=len(known) - len(tried), importance=_importance(study, space))


def _distribution(each: Range) -> BaseDistribution:
    if each.whole:
        return IntDistribution(int(each.low), int(each.high))
    return FloatDistribution(float(each.low), float(each.high))


def _rounded(params: Mapping[str, float], space: Mapping[str, Range]) -> dict[str, Number]:
    """In the order of `space`; fractions with no more digits than their range is worth."""
    return {
        name: int(params[name]) if each.whole else _within(params[name], each) for name, each in space.items()
    }


def _within(value: float, each: Range) -> float:
    digits = max(0, -floor(log10(each.width / STEPS))) if each.width else 12
    return min(float(each.high), max(float(each.low), round(value, digits)))


def _importance(study: optuna.Study, space: Mapping[str, Range]) -> dict[str, float]:
    """Shares of 1, the largest first; equal ones where the study does not tell."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
        except (ValueError, RuntimeError):  # too few settings had a score
            return dict.fromkeys(space, 1 / len(space))
    return {**found, **dict.fromkeys((name for name in space if name not in found), 0.0)}
