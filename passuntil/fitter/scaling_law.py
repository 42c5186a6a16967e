"""Fit a task scaling law to the tallies of a family, and predict a larger model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from passuntil.errors import EstimationError, UsageError, nearest
from passuntil.estimator.inputs import float_array
from passuntil.fitter.combined import fit_combined
from passuntil.fitter.family import Family, Tallies, as_family, mean_rate
from passuntil.fitter.fit import LawFit, OlsFit, ScalingFit
from passuntil.fitter.instance import fit_instances
from passuntil.fitter.joint import TOKENS, fit_joint
from passuntil.fitter.law_fit import fit_law
from passuntil.fitter.laws import LAWS
from passuntil.fitter.line import fit_line
from passuntil.fitter.loss_assisted import LOSSES, fit_loss_assisted
from passuntil.fitter.observations import check_guess_rate, no_peak, observe

__all__ = ["FITS", "fit_family", "fit_mle", "fit_scaling_law"]


def _fit_ols(family: Family, guess_rate: float) -> ScalingFit:
    if guess_rate:
        raise UsageError(
            "guess_rate: got a value with method='ols'; allowed: 'mle' and later fits; the paper's "
            "regression has none."
        )
    rates = []
    for size, array in zip(family.n_params, family.tallies, strict=True):
        rate = mean_rate(array)
        if not rate:
            raise EstimationError(
                f"ols: got PU = 0 for the model of {size:.4g} parameters; allowed: 0 < PU < 1 "
                "(F = log(-log 0) is infinite, and a clipped value would be made up); use "
                "method='mle', which takes zeros as they are, or leave the model out."
            )
        rates.append(rate)
    return OlsFit(family, "ols", 0.0, fit_line(family.n_params, rates), tuple(rates))


def _fit_posterior(law: str, method: str) -> Callable[[Family, float], LawFit]:
    def fit(family: Family, guess_rate: float) -> LawFit:
        observations = observe(family, guess_rate=guess_rate)
        if not observations.has_peak.any():
            raise no_peak(method, guess_rate)
        posterior = fit_law(LAWS[law], np.log(family.n_params), observations)
        return LawFit(family, method, guess_rate, posterior)

    return fit


def fit_mle(family: Family, guess_rate: float = 0.0) -> LawFit:
    """Return the line fitted to the counts.

    Parameters
    ----------
    family : Family
        From `as_family`.
    guess_rate : float
        Chance g of passing by guessing, 0 <= g < 1.

    Returns
    -------
    LawFit

    Examples
    --------
    >>> from passuntil import Tally
    >>> family = as_family([1e7, 1e8], [[Tally.fixed(passes=c, trials=1000)] for c in (2, 9)])
    >>> fit_mle(family).method
    'mle'
    """
    return _fit_posterior("line", "mle")(family, guess_rate)


def _fit_instance_damped(family: Family, guess_rate: float) -> ScalingFit:
    fit = fit_instances(family, guess_rate)
    return replace(fit, method="instance_damped", is_damped=True)


def _fit_instance_saturating(family: Family, guess_rate: float) -> ScalingFit:
    return fit_instances(family, guess_rate, is_bent=True)


FITS: dict[str, Callable[[Family, float], ScalingFit]] = {
    "mle": _fit_posterior("line", "mle"),
    "ols": _fit_ols,
    "saturating": _fit_posterior("saturating", "saturating"),
    "damped": _fit_posterior("damped", "damped"),
    "instance": fit_instances,
    "instance_damped": _fit_instance_damped,
    "instance_saturating": _fit_instance_saturating,
    "combined": fit_combined,
}


def fit_scaling_law(
    *,
    n_params: ArrayLike,
    tallies: Tallies,
    method: str = "mle",
    guess_rate: float = 0.0,
    losses: ArrayLike | None = None,
    n_tokens: ArrayLike | None = None,
) -> ScalingFit:
    """Fit the task scaling law to a family's tallies.

    Parameters
    ----------
    n_params : array_like of float, shape (n_models,)
        Sizes, any order; any covariate with a power law works (say which you mean:
        non-embedding or total parameters, compute, tokens).
    tallies : sequence of (TallyArray, iterable of Tally, or ExactRates)
        One entry per model, one tally or exact rate per instance.
    method : str
        "mle": binomial likelihood of the counts with log-log link and model-level scatter; zeros
        count as they are. "ols": the paper's regression on mean c/n. "saturating":
        -log PU = E + A N^-alpha. "damped": the line, its slope fading beyond the data.
        "instance", "instance_damped", "instance_saturating": the same shapes for every instance,
        pooled. "combined": all of these, weighted; the forecast to use. "loss_assisted":
        F = a_s + v log L_s with `losses`. "joint": -log PU = A N^-alpha + B D^-beta with
        `n_tokens`.
    guess_rate : float
        Chance g of passing by guessing, 0 <= g < 1: PU = g + (1 - g) exp(-c N^-alpha); known, and
        the same for every instance.
    losses : array_like of float, shape (n_instances, n_models), optional
        Losses of the gold answers, columns in the order of `n_params`; for "loss_assisted" alone.
    n_tokens : array_like of float, shape (n_models,), optional
        Training tokens, in the order of `n_params`; for "joint" alone.

    Returns
    -------
    ScalingFit
        With `alpha`, `c`, `predict(n_params, confidence_level=0.9)`, `lack_of_fit`.

    Raises
    ------
    UsageError
        Unequal lengths, bad sizes, a guess rate outside [0, 1), unknown method.
    EstimationError
        The tallies do not determine the fit: "ols" where PU is 0 or 1, no passes at all.

    Notes
    -----
    PU(N) = exp(-c N^-alpha), F(N) = log(-log PU) = log c - alpha log N [1]_, Eqs 3-4.

    References
    ----------
    .. [1] Hu et al. 2023, arXiv 2310.03262.

    Examples
    --------
    >>> import numpy as np
    >>> from passuntil.records import Tally
    >>> sizes = [36e6, 109e6, 241e6, 499e6, 892e6]
    >>> rates = np.exp(-200 * np.array(sizes) ** -0.2)
    >>> tallies = [[Tally.fixed(passes=round(1e7 * p), trials=10**7)] for p in rates]
    >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies)
    >>> round(fit.alpha, 2)
    0.2
    >>> forecast = fit.predict(2449e6)
    >>> forecast.low < 0.0707 < forecast.high
    True
    """
    family = as_family(n_params, tallies)
    guess_rate = check_guess_rate(guess_rate)
    extra = {"loss_assisted": ("losses", losses), "joint": ("n_tokens", n_tokens)}
    for owner, (name, value) in extra.items():
        if (value is None) == (method == owner):
            raise UsageError(
                f"{name}: got {'none' if value is None else 'a value'} with method={method!r}; "
                f"allowed: with method={owner!r}, and only there."
            )
    order = np.argsort(np.asarray(n_params, float), kind="stable")
    if losses is not None:
        array = float_array("losses", losses, LOSSES)
        # another shape is refused below, in words
        sorted_losses = array[:, order] if array.shape[1:] == order.shape else array
        return fit_loss_assisted(family, sorted_losses, guess_rate)
    if n_tokens is not None:
        tokens = float_array("n_tokens", n_tokens, TOKENS)
        return fit_joint(
            family, tokens[order] if tokens.shape == order.shape else tokens, guess_rate
        )
    return fit_family(family, method, guess_rate=guess_rate)


def fit_family(family: Family, method: str, *, guess_rate: float = 0.0) -> ScalingFit:
    """Return the fit of a checked family; see `fit_scaling_law`.

    Raises
    ------
    UsageError
        An unknown method.

    Examples
    --------
    >>> from passuntil import Tally
    >>> family = as_family([1e7, 1e8], [[Tally.fixed(passes=c, trials=1000)] for c in (2, 9)])
    >>> fit_family(family, "damped").method
    'damped'
    """
    if method not in FITS:
        names = [*FITS, "loss_assisted", "joint"]
        raise UsageError(
            f"method: got {method!r}; allowed: {', '.join(names)}." + nearest(str(method), names)
        )
    return FITS[method](family, check_guess_rate(guess_rate))
