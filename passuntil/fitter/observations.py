"""What the tallies of a family say about log(-log PU), one likelihood per model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from passuntil.errors import EstimationError, UsageError
from passuntil.estimator.dataset import dataset_pass_rate, zero_limit
from passuntil.estimator.exact import ExactRates
from passuntil.estimator.inputs import one_number
from passuntil.fitter.family import Evidence, Family

__all__ = [
    "Observations",
    "from_hazard",
    "no_peak",
    "observe",
    "observe_one",
    "to_hazard",
]

Floats = NDArray[np.float64]
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(11)


def to_hazard(rate: ArrayLike, guess_rate: float = 0.0) -> Floats:
    """Return F = log(-log p), after taking the guess rate g out: p = (P - g)/(1 - g).

    Parameters
    ----------
    rate : array_like of float
        PU, between g and 1.
    guess_rate : float
        g, 0 <= g < 1.

    Raises
    ------
    EstimationError
        A rate at or below g, or at 1: F is infinite there.

    Examples
    --------
    >>> to_hazard([np.exp(-1.0), 0.0148]).round(3)
    array([0.   , 1.438])
    >>> to_hazard(0.0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    passuntil.errors.EstimationError: log(-log PU): got PU = 0.0; allowed: above 0 ...
    """
    p = (np.asarray(rate, float) - guess_rate) / (1 - guess_rate)
    if not ((p > 0) & (p < 1)).all():  # so that NaN is refused too
        raise EstimationError(
            f"log(-log PU): got PU = {np.asarray(rate).tolist()}; allowed: above "
            f"{guess_rate:g} and below 1; use method='mle', which takes zeros as they are."
        )
    return np.asarray(np.log(-np.log(p)), float)


def from_hazard(hazard: ArrayLike, guess_rate: float = 0.0) -> Floats:
    """Return P = g + (1 - g) exp(-exp(F)), the inverse of `to_hazard`.

    Parameters
    ----------
    hazard : array_like of float
        F, any shape.
    guess_rate : float
        g, 0 <= g < 1.

    Examples
    --------
    >>> from_hazard([0.0, 1.44]).round(4)
    array([0.3679, 0.0147])
    """
    f = np.clip(np.asarray(hazard, float), -700, 700)
    return np.asarray(guess_rate + (1 - guess_rate) * np.exp(-np.exp(f)), float)


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """Binomial evidence on PU, one row per model.

    Attributes
    ----------
    passes, trials : ndarray of float, shape (n_models,)
        Passes and trials of a binomial with the same estimate of PU and the same variance. Of an
        exact model: PU and 1, which give the rate and nothing else.
    guess_rate : float
        Chance g of passing by guessing; P = g + (1 - g) exp(-exp(F)).
    is_exact : ndarray of bool, shape (n_models,)
        Models whose PU is known without sampling noise: F is observed itself.

    Examples
    --------
    >>> from passuntil import Tally
    >>> from passuntil.fitter import as_family
    >>> family = as_family([1e7, 1e8], [[Tally.fixed(passes=c, trials=1000)] for c in (0, 9)])
    >>> found = observe(family)
    >>> found.rates, found.has_peak, found.hazard_sds.round(3)
    (array([0.   , 0.009]), array([False,  True]), array([ inf, 0.07]))
    """

    passes: Floats
    trials: Floats
    guess_rate: float
    is_exact: NDArray[np.bool_]

    def first(self, k: int) -> Observations:
        """Return the first k rows."""
        return Observations(self.passes[:k], self.trials[:k], self.guess_rate, self.is_exact[:k])

    @property
    def rates(self) -> Floats:
        """Estimates of PU, shape (n_models,)."""
        return self.passes / self.trials

    @property
    def has_peak(self) -> NDArray[np.bool_]:
        """Whether the likelihood of F has an inner maximum: guess rate < PU < 1."""
        return (self.rates > self.guess_rate * (1 + 1e-9)) & (self.passes < self.trials)

    @property
    def hazards(self) -> Floats:
        """F at the estimates; 0 where there is no peak (see `has_peak`)."""
        ok = self.has_peak
        out = np.zeros(len(self.passes))
        out[ok] = to_hazard(self.rates[ok], self.guess_rate)
        return out

    @property
    def hazard_sds(self) -> Floats:
        """Standard errors of `hazards`, by the delta method; infinite where there is no peak.

        0 of exact models.
        """
        ok, g = self.has_peak, self.guess_rate
        out = np.full(len(self.passes), np.inf)
        rate = self.rates[ok]
        p = (rate - g) / (1 - g)
        sd = np.sqrt(rate * (1 - rate) / self.trials[ok]) * ~self.is_exact[ok]
        out[ok] = sd / ((1 - g) * p * -np.log(p))
        return out

    def log_likelihood(self, hazard: Floats) -> Floats:
        """Return the log likelihood of each model's counts, F of shape (..., n_models).

        Not of exact models, which have no counts: see `marginal_log_likelihood`.
        """
        rise = np.exp(np.clip(hazard, -40, 40))
        g = self.guess_rate
        if g == 0:
            log_pass, log_fail = -rise, np.log(-np.expm1(-rise))
        else:
            log_pass = np.log(g + (1 - g) * np.exp(-rise))
            log_fail = np.log1p(-g) + np.log(-np.expm1(-rise))
        return np.asarray(self.passes * log_pass + (self.trials - self.passes) * log_fail, float)

    def marginal_log_likelihood(self, hazard: Floats, scatter: Floats) -> Floats:
        """Return log of the mean likelihood over F ~ Normal(hazard, scatter), each model.

        Parameters
        ----------
        hazard : ndarray of float, shape (n, n_models)
        scatter : ndarray of float, shape (n, 1)
            Standard deviation of model-level scatter, > 0.

        Notes
        -----
        Gauss-Hermite, centred where scatter and likelihood meet, so that precise tallies under
        wide scatter are not missed between nodes. Of an exact model, the normal density of its F.
        """
        ok = self.has_peak & ~self.is_exact
        prior_precision = 1 / scatter**2
        precision = np.where(ok, 1 / np.where(ok, self.hazard_sds, 1.0) ** 2, 0.0)
        total = prior_precision + precision
        center = (prior_precision * hazard + precision * self.hazards) / total
        spread = 1 / np.sqrt(total)
        f = center[..., None] + spread[..., None] * NODES
        log_prior = -0.5 * ((f - hazard[..., None]) / scatter[..., None]) ** 2
        value = np.moveaxis(self.log_likelihood(np.moveaxis(f, -1, 0)), 0, -1)
        exponent = value + log_prior + 0.5 * NODES**2
        top = exponent.max(-1, keepdims=True)
        inner = (np.exp(exponent - top) * NODE_WEIGHTS).sum(-1)
        log_scale = np.log(spread / scatter) - 0.5 * np.log(2 * np.pi)
        sampled = np.asarray(np.log(inner) + top[..., 0] + log_scale, float)
        if not self.is_exact.any():
            return sampled
        off = (self.hazards - hazard) / scatter
        exact = -0.5 * off**2 - np.log(scatter) - 0.5 * np.log(2 * np.pi)
        return np.where(self.is_exact, exact, sampled)


def observe(family: Family, *, guess_rate: float = 0.0) -> Observations:
    """Return the evidence of each model's tallies on its PU.

    Parameters
    ----------
    family : Family
        From `as_family`.
    guess_rate : float
        Chance g of passing by guessing, 0 <= g < 1.

    Returns
    -------
    Observations
        One row a model.

    Raises
    ------
    UsageError
        A guess rate outside its range.
    EstimationError
        Exact rates whose PU has no log(-log PU).

    Notes
    -----
    One instance: its own passes and trials. Several: the estimate of `dataset_pass_rate` and its
    sampling variance as effective counts. Nothing passed: no passes in as many trials as give the
    exact upper limit.

    Examples
    --------
    >>> from passuntil import Tally
    >>> from passuntil.fitter import as_family
    >>> family = as_family([1e7, 1e8], [[Tally.fixed(passes=c, trials=1000)] for c in (2, 9)])
    >>> observe(family).hazards.round(3)
    array([1.827, 1.55 ])
    """
    return _observe(family.tallies, check_guess_rate(guess_rate))


def no_peak(method: str, guess_rate: float) -> EstimationError:
    """Return the error of a family in which no model's F has a best value."""
    help_ = "sample more, or instances that pass neither never nor always"
    if guess_rate:
        help_ += "; check the guess rate"
    return EstimationError(
        f"{method}: got no model with a pass rate inside ({guess_rate:g}, 1); allowed: at least "
        f"one; {help_}."
    )


def check_guess_rate(guess_rate: float) -> float:
    """Return the guess rate, or raise UsageError for one outside [0, 1)."""
    g = one_number(guess_rate)
    if g is None or not 0 <= g < 1:
        raise UsageError(
            f"guess_rate: got {guess_rate!r}; allowed: a number, 0 <= g < 1; write 0.25 for one "
            "of four choices."
        )
    return g


def observe_one(tallies: Evidence, *, guess_rate: float = 0.0) -> Observations:
    """Return the evidence of one model's tallies on its PU, as one row."""
    return _observe((tallies,), guess_rate)


def _observe(tallies: Sequence[Evidence], guess_rate: float) -> Observations:
    passes, trials = np.array([_effective_counts(found) for found in tallies]).T
    is_exact = np.array([isinstance(found, ExactRates) for found in tallies])
    observations = Observations(passes, trials, guess_rate, is_exact)
    if (is_exact & ~observations.has_peak).any():
        off = is_exact & ~observations.has_peak
        raise EstimationError(
            f"exact rates: got PU = {observations.rates[off].tolist()} of {int(off.sum())} of "
            f"{len(off)} models; allowed: above {guess_rate:g} and below 1, where log(-log PU) is "
            "finite; leave those models out."
        )
    return observations


def _effective_counts(array: Evidence) -> tuple[float, float]:
    if isinstance(array, ExactRates):
        return array.mean, 1.0
    if not array.trials.any():
        return 0.0, 1e-9  # nothing sampled, nothing known
    if len(array) == 1:
        return float(array.passes[0]), float(array.trials[0])
    if not array.passes.any():
        limit = zero_limit(array, 0.95)
        return 0.0, float(np.log(0.05) / np.log1p(-limit)) if limit < 1 else 1e-9
    return dataset_pass_rate(array).effective_counts()
