"""The fitter on a run: laws, forecasts, plans, tests of curvature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from passuntil.config import ModelSpec
from passuntil.errors import EstimationError, UsageError, nearest
from passuntil.fitter import (
    BacktestResult,
    EmergenceResult,
    JointFit,
    LossAssistedFit,
    Plan,
    Prediction,
    ScalingFit,
    as_family,
    backtest,
    emergence,
    fit_scaling_law,
    plan,
)
from passuntil.fitter.backtest import METHODS as BACKTESTED
from passuntil.fitter.scaling_law import FITS
from passuntil.runner.losses import loss_table, read_losses
from passuntil.runner.record import RunRecord

__all__ = [
    "LAW",
    "Covariate",
    "LossSource",
    "backtest_of",
    "emergence_of",
    "fit_task",
    "plan_task",
    "predict_task",
]

# The law of the tables and the plot: one line with an exponent. Forecasts weigh several laws.
LAW: Final = "mle"
LOSS_ASSISTED: Final = "loss_assisted"
METHODS: Final = (*FITS, LOSS_ASSISTED, "joint")


class Covariate(StrEnum):
    """What F may be set against."""

    N_PARAMS = "n_params"
    COMPUTE = "compute"
    LOSS = "loss"

    def axis(self, value: float) -> float:
        """Return what grows as models grow: the value, or the inverse of a loss."""
        return 1 / value if self is Covariate.LOSS else value


@dataclass(frozen=True, slots=True)
class LossSource:
    """Where the losses of gold answers are.

    Attributes
    ----------
    path : Path
        A file or folder that `read_losses` takes.
    task : str or None
        The name they are stored under, where it is not that of the fitted task.
    """

    path: Path
    task: str | None = None

    def table(self, run: RunRecord, task: str, models: Sequence[str]) -> NDArray[np.float64]:
        """Return the losses of a task's instances under these models."""
        instances = list(run.tasks[run.job.family[0].name, task].instances)
        return loss_table(read_losses(self.path, self.task or task), models, instances)


def fit_task(
    run: RunRecord,
    task: str,
    *,
    method: str = LAW,
    covariate: Covariate = Covariate.N_PARAMS,
    include_held_out: bool = False,
    losses: LossSource | None = None,
) -> ScalingFit:
    """Fit the law of one task to the models of a run.

    Raises
    ------
    EstimationError
        The tallies do not determine the fit.
    UsageError
        The job gives no such covariate for a model, the method lacks its losses or tokens, or
        there is no such method.
    """
    _check_methods([method], covariate, losses)
    models, tallies = run.family(task, include_held_out=include_held_out)
    if len(models) < 2:
        going_on = [
            model.name
            for model in run.job.family
            if (found := run.tasks[model.name, task]).is_begun and not found.is_finished
        ]
        remedy = "sample more models."
        if going_on:
            remedy = f"run the job to its end first: {', '.join(going_on)} are not finished."
        raise EstimationError(
            f"{task}: got all samples of {len(models)} models; allowed: at least 2 (3 or more for "
            f"an interval that means something); {remedy}"
        )
    return fit_scaling_law(
        n_params=[_covariate(model, covariate) for model in models],
        tallies=tallies,
        method=method,
        n_tokens=[_tokens(model) for model in models] if method == "joint" else None,
        losses=losses.table(run, task, [m.name for m in models]) if losses is not None else None,
    )


def predict_task(
    fit: ScalingFit,
    size: float,
    confidence_level: float,
    *,
    n_tokens: float | None = None,
    losses: NDArray[np.float64] | None = None,
) -> Prediction:
    """Return the forecast of a fit, with the tokens or the losses of the model to predict.

    Raises
    ------
    UsageError
        Tokens for a fit other than `joint`, or losses for one other than `loss_assisted`.
    """
    if isinstance(fit, JointFit) and losses is None:
        return fit.predict(size, confidence_level, n_tokens=n_tokens)
    if isinstance(fit, LossAssistedFit) and n_tokens is None:
        return fit.predict(size, confidence_level, losses=losses)
    if n_tokens is not None or losses is not None:
        is_tokens = n_tokens is not None and not isinstance(fit, JointFit)
        name, owner = ("--n-tokens", "joint") if is_tokens else ("--losses-of", LOSS_ASSISTED)
        raise UsageError(
            f"{name}: got a value with --method {fit.method}; allowed: with --method {owner} only; "
            f"name that method, or leave {name} out."
        )
    return fit.predict(size, confidence_level)


def _check_methods(methods: Sequence[str], covariate: Covariate, losses: LossSource | None) -> None:
    """Refuse methods that there are not, and those that lack what they need."""
    for method in methods:
        if method not in METHODS:
            raise UsageError(
                f"method: got {method!r}; allowed: {', '.join(METHODS)}; name one of these."
                f"{nearest(method, METHODS)}"
            )
    if "joint" in methods and covariate is not Covariate.N_PARAMS:
        raise UsageError(
            f"method joint: got --against {covariate}; allowed: n_params, beside the tokens of the "
            "job; leave --against out."
        )
    if (LOSS_ASSISTED in methods) != (losses is not None):
        named = f"--method {', '.join(methods)}" if methods else "no --method"
        given = "no --losses" if losses is None else f"--losses with {named}"
        raise UsageError(
            f"method: got {given}; allowed: --losses with --method {LOSS_ASSISTED}, and only "
            "there; give a file of the gold answers' losses (model, instance, loss), a choice run "
            "or a run with method: likelihood."
        )


def _tokens(model: ModelSpec) -> float:
    if model.n_tokens is None:
        raise UsageError(
            f"{model.name}: got no n_tokens in the job; allowed with --method joint: training "
            "tokens of every model; add them to the job file."
        )
    return float(model.n_tokens)


def backtest_of(
    run: RunRecord,
    task: str,
    *,
    covariate: Covariate = Covariate.N_PARAMS,
    confidence_level: float,
    methods: Sequence[str] = (),
    losses: LossSource | None = None,
) -> BacktestResult:
    """Forecast every measured model of a task from the smaller ones, held-out models included.

    Parameters
    ----------
    run, task, covariate, confidence_level, losses
        As in `fit_task`; losses beyond the fitted models are extrapolated, never looked up.
    methods : sequence of str
        Those to compare; none: all that need neither losses nor tokens.
    """
    _check_methods(methods, covariate, losses)
    models, tallies = run.family(task, include_held_out=True)
    return backtest(
        n_params=[_covariate(model, covariate) for model in models],
        tallies=tallies,
        methods=methods or BACKTESTED,
        confidence_level=confidence_level,
        n_tokens=[_tokens(model) for model in models] if "joint" in methods else None,
        losses=losses.table(run, task, [m.name for m in models]) if losses is not None else None,
    )


def emergence_of(
    run: RunRecord, task: str, *, covariate: Covariate, confidence_level: float
) -> EmergenceResult:
    """Test one task for curvature against size, compute or pre-training loss, all models included.

    Raises
    ------
    UsageError
        The job gives no such value for a model.
    """
    models, tallies = run.family(task, include_held_out=True)
    values = [_covariate(model, covariate) for model in models]
    return emergence(n_params=values, tallies=tallies, confidence_level=confidence_level)


def _covariate(model: ModelSpec, covariate: Covariate) -> float:
    value = getattr(model, covariate.value)
    if value is None:
        raise UsageError(
            f"{model.name}: got no {covariate} in the job; allowed with --against {covariate}: one "
            "for every model; add it to the job file."
        )
    return covariate.axis(float(value))


def plan_task(
    run: RunRecord,
    task: str,
    n_params: float,
    *,
    new_sizes: Sequence[float],
    confidence_level: float,
    include_held_out: bool,
) -> Plan:
    """Plan how to narrow a forecast, at the speed the run measured."""
    models, tallies = run.family(task, include_held_out=include_held_out)
    family = as_family([m.n_params for m in models], tallies)
    speeds = [run.speeds[m.name] for m in models if m.name in run.speeds]
    # of models side by side each has its share; runs from before it was recorded have the whole
    seconds = sum(speed.get("share_seconds", speed["seconds"]) for speed in speeds)
    per_second = sum(speed["samples"] for speed in speeds) / seconds if seconds else None
    return plan(
        family,
        n_params,
        confidence_level=confidence_level,
        new_sizes=new_sizes,
        samples_per_second=per_second,
    )
