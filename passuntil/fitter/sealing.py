"""Forecasts sealed before the truth is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from passuntil.errors import UsageError
from passuntil.fitter.fit import ScalingFit
from passuntil.fitter.prediction import Prediction

__all__ = ["SealedForecast", "seal", "seal_prediction"]

FORMAT = "passuntil forecast 1"


@dataclass(frozen=True, slots=True)
class SealedForecast:
    """A forecast with the hash of the tallies it was made from.

    Attributes
    ----------
    task : str
        What was forecast.
    method : str
    n_params : float
        Size of the predicted model.
    value, low, high, confidence_level : float
        The forecast of PU.
    trained_on : tuple of float
        Sizes it was fitted to.
    tallies_sha256 : str
        `tallies_digest` of those tallies, smallest model first.
    guess_rate : float
    words : str
    mixture : tuple of (float, float, float)
        Mean, sd and weight of each component of the distribution of F.

    Examples
    --------
    >>> from passuntil import Tally, fit_scaling_law
    >>> sizes = [36e6, 109e6, 241e6, 499e6, 892e6]
    >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262, 390)]
    >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies)
    >>> from passuntil.fitter import seal
    >>> sealed = seal(fit, 2449e6, task="sums")
    >>> sealed.task, round(sealed.value, 3), len(sealed.tallies_sha256), len(sealed.sha256)
    ('sums', 0.071, 64, 64)
    """

    task: str
    method: str
    n_params: float
    value: float
    low: float
    high: float
    confidence_level: float
    trained_on: tuple[float, ...]
    tallies_sha256: str
    guess_rate: float
    words: str
    mixture: tuple[tuple[float, float, float], ...] = field(repr=False)

    def _content(self) -> dict[str, Any]:
        content = asdict(self)
        content["trained_on"] = list(self.trained_on)
        content["mixture"] = [list(row) for row in self.mixture]
        return content

    @property
    def sha256(self) -> str:
        """SHA-256, in hex, of the forecast as canonical JSON."""
        text = json.dumps(self._content(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return plain values with the forecast's own hash.

        Examples
        --------
        >>> from passuntil import Tally, fit_scaling_law
        >>> sizes = [36e6, 109e6, 241e6, 499e6, 892e6]
        >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262, 390)]
        >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies)
        >>> from passuntil.fitter import seal
        >>> seal(fit, 2449e6).to_json()["format"]
        'passuntil forecast 1'
        """
        return {"format": FORMAT, **self._content(), "sha256": self.sha256}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Return the forecast that `to_json` wrote.

        Parameters
        ----------
        plain : mapping
            What `to_json` gave, or ``json.load`` of its file.

        Raises
        ------
        UsageError
            Not a forecast, or changed since it was sealed.

        Examples
        --------
        A forecast that was touched up afterwards is no forecast:

        >>> from passuntil import Tally, fit_scaling_law
        >>> sizes = [36e6, 109e6, 241e6, 499e6, 892e6]
        >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262, 390)]
        >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies)
        >>> from passuntil.fitter import seal
        >>> plain = seal(fit, 2449e6).to_json()
        >>> SealedForecast.from_json(plain | {"value": 0.2})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        passuntil.errors.UsageError: forecast: got content of hash ...; use the original.
        """
        content = {k: v for k, v in plain.items() if k not in ("format", "sha256")}
        if plain.get("format") != FORMAT or set(content) != set(cls.__dataclass_fields__):
            raise UsageError(
                f"forecast: got format {plain.get('format')!r}; allowed: {FORMAT!r}, as `predict "
                "--seal` writes it."
            )
        content["trained_on"] = tuple(content["trained_on"])
        content["mixture"] = tuple(tuple(row) for row in content["mixture"])
        sealed = cls(**content)
        if sealed.sha256 != plain.get("sha256"):
            raise UsageError(
                f"forecast: got content of hash {sealed.sha256[:12]} under the seal "
                f"{str(plain.get('sha256'))[:12]}; allowed: an unchanged file; use the original."
            )
        return sealed


def seal(
    fit: ScalingFit, n_params: float, *, task: str = "", confidence_level: float = 0.9
) -> SealedForecast:
    """Return the fit's forecast of a size, ready to be written before that size is measured.

    Parameters
    ----------
    fit : ScalingFit
    n_params : float
        Size to forecast.
    task : str
        Name for the reader.
    confidence_level : float
        Of the interval.

    Returns
    -------
    SealedForecast

    Raises
    ------
    UsageError
        A size that is not positive, or a level outside (0, 1).

    Notes
    -----
    The hash is the SHA-256 of the forecast as canonical JSON, with the hash of the tallies it was
    made from in it: neither can be changed afterwards without showing.

    Examples
    --------
    >>> from passuntil import Tally, fit_scaling_law
    >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148)]
    >>> fit = fit_scaling_law(n_params=[36e6, 109e6, 241e6], tallies=tallies)
    >>> sealed = seal(fit, 499e6)
    >>> SealedForecast.from_json(sealed.to_json()) == sealed
    True
    """
    return seal_prediction(fit, fit.predict(n_params, confidence_level), task=task)


def seal_prediction(fit: ScalingFit, forecast: Prediction, *, task: str = "") -> SealedForecast:
    """Return a forecast that a fit gave, sealed.

    For fits that take more than a size: `fit.predict(n_params, n_tokens=...)`, and
    `fit.predict(n_params, losses=...)`.

    Parameters
    ----------
    fit : ScalingFit
    forecast : Prediction
        From `fit.predict`.
    task : str
        Name for the reader.

    Returns
    -------
    SealedForecast

    Examples
    --------
    >>> from passuntil import Tally, fit_scaling_law
    >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148)]
    >>> sizes, tokens = [36e6, 109e6, 241e6], [1e9, 2e9, 4e9]
    >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies, method="joint", n_tokens=tokens)
    >>> seal_prediction(fit, fit.predict(499e6, n_tokens=8e9)).n_params
    499000000.0
    """
    mixture: tuple[tuple[float, float, float], ...] = ()
    if forecast.distribution is not None:
        thin = forecast.distribution.thinned(50)
        rows = zip(thin.means.tolist(), thin.sds.tolist(), thin.weights.tolist(), strict=True)
        mixture = tuple(rows)
    return SealedForecast(
        task,
        fit.method,
        forecast.n_params,
        forecast.value,
        forecast.low,
        forecast.high,
        forecast.confidence_level,
        tuple(fit.family.n_params.tolist()),
        fit.digest,
        fit.guess_rate,
        forecast.words,
        mixture,
    )
