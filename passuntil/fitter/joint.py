"""The `joint` fit: a law of size and training tokens, -log PU = A N^-alpha + B D^-beta.

References
----------
.. [1] Krajewski et al. 2025, arXiv 2512.08894.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from passuntil.errors import UsageError
from passuntil.estimator.inputs import float_array, one_number
from passuntil.fitter.family import Family
from passuntil.fitter.fit import ScalingFit
from passuntil.fitter.lack_of_fit import LackOfFit
from passuntil.fitter.law_fit import LawPosterior, fit_law
from passuntil.fitter.laws import (
    ALPHA_LOG_CENTER,
    ALPHA_LOG_SD,
    SHARE_CENTER,
    SHARE_SD,
    Law,
    bounded_exp,
    normal_log_density,
)
from passuntil.fitter.mixture import HazardMixture
from passuntil.fitter.observations import check_guess_rate, no_peak, observe
from passuntil.fitter.prediction import Prediction, VarianceComponents

__all__ = ["JointFit", "fit_joint"]

Floats = NDArray[np.float64]
TOKENS = "write 20e9 for 20B, one number a model"
"""What to do where tokens are no numbers."""


def joint_hazard(theta: Floats, x: Floats, y: Floats) -> Floats:
    """Return F, shape (n, len(x)); x, y are log N and log D from those of the largest model.

    Parameters: F there, log alpha, log beta, log odds of the tokens' share of -log PU there.
    """
    share = expit(theta[:, 3:4])
    alpha, beta = (np.exp(np.clip(theta[:, i : i + 1], -6, 2)) for i in (1, 2))
    of_size = np.exp(np.clip(-alpha * x, -50, 50))
    of_tokens = np.exp(np.clip(-beta * y, -50, 50))
    return np.asarray(theta[:, :1] + np.log((1 - share) * of_size + share * of_tokens), float)


@dataclass(frozen=True, slots=True, eq=False)
class _HazardOfModels:
    """F of measured models: `joint_hazard` at their tokens. A class, since fits are pickled."""

    y: Floats

    def __call__(self, theta: Floats, x: Floats, x_last: float) -> Floats:
        return joint_hazard(theta, x - x_last, self.y)


def _start(x: Floats, f: Floats) -> Floats:
    return np.array([f[-1], ALPHA_LOG_CENTER, ALPHA_LOG_CENTER, SHARE_CENTER])


def _log_prior(theta: Floats) -> Floats:
    exponents = sum(normal_log_density(theta[:, i], ALPHA_LOG_CENTER, ALPHA_LOG_SD) for i in (1, 2))
    level = normal_log_density(theta[:, 0], 1.0, 2.0)
    return np.asarray(level + exponents + normal_log_density(theta[:, 3], SHARE_CENTER, SHARE_SD))


@dataclass(frozen=True, repr=False)
class JointFit(ScalingFit):
    """A law of size and tokens fitted to the counts, with model-level scatter.

    Attributes
    ----------
    n_tokens : ndarray of float, shape (n_models,)
        Training tokens, in the order of the family.
    posterior : LawPosterior
        Of (F at the largest model, log alpha, log beta, log odds of the tokens' share).

    Examples
    --------
    >>> from passuntil import Tally, fit_scaling_law
    >>> sizes, tokens = [36e6, 109e6, 241e6, 499e6], [7e9, 2e10, 5e10, 1e11]
    >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262)]
    >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies, method="joint", n_tokens=tokens)
    >>> more, fewer = (fit.predict(1e9, n_tokens=d).value for d in (1e12, 1e10))
    >>> more > fewer, fit.alpha > 0, fit.beta > 0
    (True, True, True)
    """

    n_tokens: Floats
    posterior: LawPosterior

    @property
    def alpha(self) -> float:
        """Exponent of size, at the mode."""
        return float(np.exp(self.posterior.draws.mode[1]))

    @property
    def beta(self) -> float:
        """Exponent of tokens, at the mode."""
        return float(np.exp(self.posterior.draws.mode[2]))

    @property
    def c(self) -> float:
        """Constant A of the size's part, at the mode."""
        f, _, _, odds = self.posterior.draws.mode[:4]
        return float(np.exp(f) * expit(-odds) * self.family.n_params[-1] ** self.alpha)

    @property
    def tokens_constant(self) -> float:
        """Constant B of the tokens' part, at the mode."""
        f, _, _, odds = self.posterior.draws.mode[:4]
        return float(np.exp(f) * expit(odds) * self.n_tokens[-1] ** self.beta)

    @property
    def lack_of_fit(self) -> LackOfFit:
        """Not tested: a straight line in size alone is not what was fitted."""
        return LackOfFit(None, None, "not enough data", "Sizes and tokens: no test of a line.")

    def predict(
        self, n_params: float, confidence_level: float = 0.9, n_tokens: float | None = None
    ) -> Prediction:
        """Return the forecast of PU of a model of this size, trained on so many tokens.

        Parameters
        ----------
        n_params : float
            Size, in the unit of the fitted ones.
        confidence_level : float
            Between 0 and 1.
        n_tokens : float, optional
            Training tokens; by default those of the largest measured model.

        Raises
        ------
        UsageError
            A size or a number of tokens that is not positive, or a level outside (0, 1).

        Examples
        --------
        >>> from passuntil import Tally, fit_scaling_law
        >>> sizes, tokens = [36e6, 109e6, 241e6, 499e6], [7e9, 2e10, 5e10, 1e11]
        >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262)]
        >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies, method="joint", n_tokens=tokens)
        >>> forecast = fit.predict(1e9, n_tokens=2e11)
        >>> forecast.low < 0.045 < forecast.high
        True
        """
        size, level, ratio = self._checked(n_params, confidence_level)
        tokens = float(self.n_tokens[-1]) if n_tokens is None else one_number(n_tokens)
        if tokens is None or not 0 < tokens < np.inf:
            raise UsageError(
                f"n_tokens: got {n_tokens!r}; allowed: a positive number; write 20e9 for 20B."
            )
        draws, scatter = self.posterior.draws, bounded_exp(self.posterior.draws.points[:, 4])
        x = np.log([size / self.family.n_params[-1]])
        y = np.log([tokens / self.n_tokens[-1]])
        mixture = HazardMixture(
            joint_hazard(draws.points[:, :4], x, y)[:, 0], scatter, draws.weights
        )
        new = float(draws.weights @ scatter**2)
        return Prediction.of_mixture(
            mixture,
            n_params=size,
            confidence_level=level,
            method=self.method,
            extrapolation=max(ratio, tokens / float(self.n_tokens.max())),
            components=VarianceComponents(0.0, 0.0, max(mixture.variance - new, 0.0), new),
            words=self._words(ratio),
            guess_rate=self.guess_rate,
        )


def fit_joint(family: Family, n_tokens: ArrayLike, guess_rate: float = 0.0) -> JointFit:
    """Return the fit of -log PU = A N^-alpha + B D^-beta [1]_.

    Parameters
    ----------
    family : Family
    n_tokens : array_like of float, shape (n_models,)
        Training tokens D > 0, models in the order of the family (smallest first). Where all are
        equal, the second part is a constant, and beta is what the prior says.
    guess_rate : float
        Chance g of passing by guessing.

    Raises
    ------
    UsageError
        Tokens of another shape, or not positive.
    EstimationError
        No model with a pass rate inside (g, 1).

    Examples
    --------
    >>> from passuntil.fitter import as_family
    >>> from passuntil.records import Tally
    >>> sizes = np.array([36e6, 109e6, 241e6, 499e6, 892e6])
    >>> tokens = np.array([8e9, 2e9, 40e9, 9e9, 100e9])
    >>> rates = np.exp(-(100 * sizes**-0.22 + 60 * tokens**-0.15))
    >>> tallies = [[Tally.fixed(passes=round(1e7 * p), trials=10**7)] for p in rates]
    >>> forecast = fit_joint(as_family(sizes, tallies), tokens).predict(2e9, n_tokens=1e11)
    >>> truth = float(np.exp(-(100 * 2e9**-0.22 + 60 * 1e11**-0.15)))
    >>> forecast.low < truth < forecast.high
    True
    """
    tokens = float_array("n_tokens", n_tokens, TOKENS)
    guess_rate = check_guess_rate(guess_rate)
    if tokens.shape != family.n_params.shape or not (np.isfinite(tokens) & (tokens > 0)).all():
        raise UsageError(
            f"n_tokens: got {tokens.tolist()}; allowed: {len(family)} positive numbers, one a "
            "model."
        )
    observations = observe(family, guess_rate=guess_rate)
    if not observations.has_peak.any():
        raise no_peak("joint", guess_rate)
    law = Law(
        "joint",
        4,
        _HazardOfModels(np.log(tokens / tokens[-1])),
        _log_prior,
        _start,
        (0.1, 0.3, 0.3, 0.7),
    )
    posterior = fit_law(law, np.log(family.n_params), observations)
    return JointFit(family, "joint", guess_rate, tokens, posterior)
