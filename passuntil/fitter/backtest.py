"""Rolling-origin backtest: fit the k smallest models, predict the next ones, for every k.

References
----------
.. [1] Tashman 2000, Int. J. Forecasting 16 (rolling origin).
.. [2] Gneiting & Raftery 2007, JASA 102, Eq. 43 (interval score).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from passuntil.errors import EstimationError, UsageError
from passuntil.estimator.dataset import measure_pu
from passuntil.estimator.exact import ExactRates
from passuntil.estimator.inputs import float_array
from passuntil.estimator.intervals import check_level
from passuntil.fitter.backtest_result import LOWEST, BacktestResult, BacktestRow, BacktestSummary
from passuntil.fitter.baselines import BASELINES
from passuntil.fitter.family import Family, Tallies, as_family
from passuntil.fitter.fit import ScalingFit
from passuntil.fitter.joint import TOKENS, fit_joint
from passuntil.fitter.loss_assisted import LOSSES, fit_loss_assisted
from passuntil.fitter.observations import check_guess_rate
from passuntil.fitter.scaling_law import FITS, fit_family
from passuntil.records.counts import whole_number

__all__ = ["BacktestResult", "BacktestRow", "BacktestSummary", "backtest"]

METHODS = ("combined", "mle", "instance", "saturating", "damped")
COVARIATES = {"loss_assisted": "losses", "joint": "n_tokens"}
"""Methods that need more than tallies, and what."""


def backtest(
    *,
    n_params: ArrayLike,
    tallies: Tallies,
    methods: Iterable[str] = METHODS,
    confidence_level: float = 0.9,
    max_steps: int = 2,
    truth: ArrayLike | None = None,
    guess_rate: float = 0.0,
    losses: ArrayLike | None = None,
    n_tokens: ArrayLike | None = None,
) -> BacktestResult:
    """Forecast every size from the smaller ones, by every method and baseline.

    Parameters
    ----------
    n_params, tallies, guess_rate
        As in `fit_scaling_law`; four sizes at least.
    methods : iterable of str
        Fits; the baselines "last value", "dataset OLS" and "instance OLS" always run.
    confidence_level : float
        Of the intervals.
    max_steps : int
        Sizes ahead, 1 or more.
    truth : array_like of float, shape (n_models,), optional
        PU to compare with, in the order of `n_params`; by default that of the tallies.
    losses, n_tokens
        As in `fit_scaling_law`, for "loss_assisted" and "joint" among the methods. A forecast
        sees the losses of the models it is fitted to, and the tokens of the model it is of.

    Returns
    -------
    BacktestResult

    Raises
    ------
    UsageError
        Fewer than four sizes, an unknown method, or one without its losses or tokens.

    Notes
    -----
    Fits to the k smallest models, for every k >= 3, forecast the next ones [1]_. A row's score is
    that of an interval of log PU, width + 2/(1 - level) times what it misses by [2]_.

    References
    ----------
    .. [1] Tashman 2000, Int. J. Forecasting 16.
    .. [2] Gneiting & Raftery 2007, JASA 102, Eq. 43.

    Examples
    --------
    >>> from passuntil.records import Tally
    >>> sizes = np.array([36e6, 109e6, 241e6, 499e6, 892e6])
    >>> rates = np.exp(-200 * sizes**-0.2)
    >>> tallies = [[Tally.fixed(passes=round(1e6 * p), trials=10**6)] for p in rates]
    >>> result = backtest(n_params=sizes, tallies=tallies, methods=["mle"])
    >>> [row.n_train for row in result.rows if row.method == "mle"]
    [3, 3, 4]
    """
    level = check_level(confidence_level)
    if isinstance(methods, str) or not isinstance(methods, Iterable):
        raise UsageError(f"methods: got {methods!r}; allowed: a sequence; write [{methods!r}].")
    methods = tuple(methods)
    if whole_number("max_steps", max_steps) < 1:
        raise UsageError(f"max_steps: got {max_steps}; allowed: 1 or more sizes ahead.")
    family = as_family(n_params, tallies)
    given = _given(n_params, methods, guess_rate, losses=losses, n_tokens=n_tokens)
    if len(family) < 4:
        raise UsageError(
            f"backtest: got {len(family)} sizes; allowed: four or more (three to fit, one to "
            "predict); measure more sizes."
        )
    measured = _measured(family, n_params, truth)
    rows: list[BacktestRow] = []
    skipped: list[tuple[str, int, str]] = []
    for k in range(3, len(family)):
        then = family.first(k)
        if then.n_params[0] == then.n_params[-1]:
            reason = "one size; allowed: two different ones to fit."
            skipped += [(method, k, reason) for method in (*methods, *BASELINES)]
            continue
        targets = [j for j in range(k, min(k + max_steps, len(family))) if measured[j] is not None]
        sizes = [float(family.n_params[j]) for j in targets]
        for method in (*methods, *BASELINES):
            try:
                ends, is_flagged = _forecasts(
                    then, method, dict(zip(targets, sizes, strict=True)), level, given
                )
            except EstimationError as error:
                skipped.append((method, k, str(error)))
                continue
            for j, (value, low, high) in zip(targets, ends, strict=True):
                real = float(measured[j] or 0.0)
                row = _score((value, low, high), real, level)
                size = float(family.n_params[j])
                rows.append(
                    BacktestRow(
                        method, k, j - k + 1, size, value, low, high, real, *row, is_flagged
                    )
                )
    return BacktestResult(tuple(rows), tuple(skipped), level)


def _measured(family: Family, n_params: ArrayLike, truth: ArrayLike | None) -> list[float | None]:
    if truth is None:
        return [
            measure_pu(t).value if isinstance(t, ExactRates) or t.trials.any() else None
            for t in family.tallies
        ]
    order = np.argsort(np.asarray(n_params, float), kind="stable")
    values = float_array("truth", truth, "give a PU of each model")
    if values.shape != order.shape:
        raise UsageError(
            f"truth: got shape {values.shape}; allowed: {order.shape}, a PU of each model."
        )
    return [float(v) for v in values[order]]


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """What fits take besides tallies, smallest model first."""

    guess_rate: float
    losses: NDArray[np.float64] | None
    n_tokens: NDArray[np.float64] | None


def _given(
    n_params: ArrayLike,
    methods: Sequence[str],
    guess_rate: float,
    *,
    losses: ArrayLike | None,
    n_tokens: ArrayLike | None,
) -> _Given:
    """Check the methods' names and needs, and sort what was given by size."""
    known = [*FITS, *COVARIATES]
    unknown = [m for m in methods if m not in known]
    if unknown:
        raise UsageError(f"methods: got {unknown}; allowed: {', '.join(known)}.")
    for method, value in (("loss_assisted", losses), ("joint", n_tokens)):
        if (method in methods) != (value is not None):
            raise UsageError(
                f"{COVARIATES[method]}: got {'none' if value is None else 'a value'} with methods "
                f"{', '.join(methods)}; allowed: with {method!r}, and only there."
            )
    order = np.argsort(np.asarray(n_params, float), kind="stable")
    table = None if losses is None else float_array("losses", losses, LOSSES)
    tokens = None if n_tokens is None else float_array("n_tokens", n_tokens, TOKENS)
    if table is not None and table.shape[1:] != order.shape:
        raise UsageError(
            f"losses: got shape {table.shape}; allowed: (n_instances, {len(order)}), a loss of "
            "each instance under each model."
        )
    if tokens is not None and tokens.shape != order.shape:
        raise UsageError(
            f"n_tokens: got shape {tokens.shape}; allowed: {order.shape}, one a model."
        )
    return _Given(
        check_guess_rate(guess_rate),
        None if table is None else table[:, order],
        None if tokens is None else tokens[order],
    )


def _forecasts(
    then: Family, method: str, sizes: dict[int, float], level: float, given: _Given
) -> tuple[list[tuple[float, float, float]], bool]:
    """Return value, low and high of the models at these positions, and whether flagged."""
    if method in BASELINES:
        found = [BASELINES[method](then, n, level) for n in sizes.values()]
        return [(b.value, b.low, b.high) for b in found], False
    k = len(then)
    fit: ScalingFit
    if method == "joint" and given.n_tokens is not None:
        fit = joint = fit_joint(then, given.n_tokens[:k], given.guess_rate)
        tokens = given.n_tokens
        predicted = [joint.predict(n, level, n_tokens=float(tokens[j])) for j, n in sizes.items()]
    else:
        fit = (
            fit_loss_assisted(then, given.losses[:, :k], given.guess_rate)
            if method == "loss_assisted" and given.losses is not None
            else fit_family(then, method, guess_rate=0.0 if method == "ols" else given.guess_rate)
        )
        predicted = [fit.predict(n, level) for n in sizes.values()]
    return [(p.value, p.low, p.high) for p in predicted], fit.lack_of_fit.is_flagged


def _score(
    ends: tuple[float, float, float], real: float, level: float
) -> tuple[float, bool, float]:
    """Return log error, whether covered, and interval score."""
    value, low, high = ends
    log_low, log_high, log_real = (float(np.log(max(v, LOWEST))) for v in (low, high, real))
    miss = max(log_low - log_real, log_real - log_high, 0.0)
    return (
        float(np.log(max(value, LOWEST))) - log_real,
        low <= real <= high,
        log_high - log_low + 2 / (1 - level) * miss,
    )
