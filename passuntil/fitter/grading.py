"""Sealed forecasts graded by what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from passuntil.errors import EstimationError
from passuntil.estimator.arrays import TallyArray, as_tally_array
from passuntil.estimator.dataset import PU, measure_pu
from passuntil.estimator.exact import ExactRates
from passuntil.fitter.mixture import HazardMixture
from passuntil.fitter.observations import Observations, observe_one, to_hazard
from passuntil.fitter.sealing import SealedForecast
from passuntil.records import Tally

__all__ = ["ForecastScore", "score"]


@dataclass(frozen=True, slots=True)
class ForecastScore:
    """A sealed forecast beside the measurement.

    Attributes
    ----------
    forecast_sha256 : str
    measured : PU
        PU of the new tallies with its interval.
    log_error : float or None
        log(forecast / measured); None where nothing passed.
    is_covered : bool
        Whether the forecast interval meets what was measured: holds the measured value, or where
        nothing passed, reaches below the upper limit.
    interval_score : float or None
        Of log PU; smaller is better.
    chance_below : float or None
        Forecast chance of a PU below the measured one, sampling noise included; near 0 or 1 is a
        surprise.
    words : str

    Examples
    --------
    >>> from passuntil import Tally, fit_scaling_law
    >>> sizes = [36e6, 109e6, 241e6, 499e6, 892e6]
    >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262, 390)]
    >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies)
    >>> from passuntil.fitter import score, seal
    >>> graded = score(seal(fit, 1.5e9), [Tally.fixed(passes=580, trials=10_000)])
    >>> graded.is_covered, round(graded.log_error, 2), round(graded.chance_below, 1)
    (True, -0.08, 0.8)
    """

    forecast_sha256: str
    measured: PU
    log_error: float | None
    is_covered: bool
    interval_score: float | None
    chance_below: float | None
    words: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        out = {name: getattr(self, name) for name in self.__slots__}
        out["measured"] = self.measured.to_json()
        return out


def score(
    forecast: SealedForecast,
    tallies: TallyArray | Iterable[Tally] | ExactRates,
    *,
    confidence_level: float = 0.9,
) -> ForecastScore:
    """Grade a sealed forecast with the tallies of the predicted model.

    Parameters
    ----------
    forecast : SealedForecast
    tallies : TallyArray, iterable of Tally, or ExactRates
        Of the predicted model, measured after the forecast.
    confidence_level : float
        Of the measured interval.

    Returns
    -------
    ForecastScore
        Log error log(forecast / measured), whether covered, the interval score in log PU (width +
        2/(1 - level) times the miss), and the chance of what was measured or less.

    Raises
    ------
    EstimationError
        The new tallies hold no samples.

    References
    ----------
    .. [1] Gneiting & Raftery 2007, JASA 102, Eq. 43 (interval score).

    Examples
    --------
    >>> from passuntil import fit_scaling_law
    >>> from passuntil.fitter import seal
    >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148)]
    >>> sealed = seal(fit_scaling_law(n_params=[36e6, 109e6, 241e6], tallies=tallies), 499e6)
    >>> score(sealed, [Tally.fixed(passes=262, trials=10_000)]).is_covered
    True
    """
    array = tallies if isinstance(tallies, ExactRates) else as_tally_array(tallies)
    measured = measure_pu(array, confidence_level=confidence_level)
    if measured.value is None:
        is_covered = forecast.low <= measured.high
        verb = "allows" if is_covered else "excludes"
        words = (
            f"Nothing passed: PU is below {measured.high:.3g}; the forecast "
            f"[{forecast.low:.3g}, {forecast.high:.3g}] {verb} it."
        )
        return ForecastScore(forecast.sha256, measured, None, is_covered, None, None, words)
    value = measured.value
    is_covered = forecast.low <= value <= forecast.high
    log_error = float(np.log(max(forecast.value, 1e-300) / value))
    tail = 2 / (1 - forecast.confidence_level)
    log_low, log_high, real = (
        float(np.log(max(v, 1e-6))) for v in (forecast.low, forecast.high, value)
    )
    miss = max(log_low - real, real - log_high, 0.0)
    chance = _chance_below(forecast, value, observe_one(array, guess_rate=forecast.guess_rate))
    words = (
        f"Forecast {forecast.value:.3g} [{forecast.low:.3g}, {forecast.high:.3g}], measured "
        f"{value:.3g} [{measured.low:.3g}, {measured.high:.3g}]: "
        f"{100 * float(np.expm1(log_error)):+.0f} %, {'inside' if is_covered else 'outside'} the "
        f"{forecast.confidence_level:.0%} interval."
    )
    return ForecastScore(
        forecast.sha256,
        measured,
        log_error,
        is_covered,
        log_high - log_low + tail * miss,
        chance,
        words,
    )


def _chance_below(
    forecast: SealedForecast, value: float, observation: Observations
) -> float | None:
    if not forecast.mixture or not observation.has_peak[0]:
        return None
    try:
        hazard = float(to_hazard(value, forecast.guess_rate))
    except EstimationError:
        return None
    means, sds, weights = np.array(forecast.mixture).T
    noise = float(observation.hazard_sds[0])
    wide = HazardMixture(means, np.hypot(sds, noise), weights)
    return 1.0 - wide.cdf(hazard)
