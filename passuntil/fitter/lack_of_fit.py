"""Whether a straight line holds over the measured sizes, and if not, how it fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import chdtrc, stdtr

from passuntil.fitter.observations import Observations

__all__ = ["LackOfFit", "lack_of_fit"]


@dataclass(frozen=True, slots=True)
class LackOfFit:
    """Whether the line holds within sampling noise, and if not, how it fails.

    Attributes
    ----------
    p_scatter : float or None
        Chance of residuals this large from sampling noise alone.
    p_curvature : float or None
        Chance of bending this much if models scatter around a straight line.
    verdict : str
        "holds", "scatter", "bends" or "not enough data".
    words : str
        The verdict for a person.

    Examples
    --------
    >>> from passuntil import Tally, fit_scaling_law
    >>> sizes = [36e6, 109e6, 241e6, 499e6, 892e6]
    >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148, 262, 390)]
    >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies)
    >>> fit.lack_of_fit.verdict, fit.lack_of_fit.is_flagged
    ('holds', False)
    >>> print(fit.lack_of_fit.words)
    The line holds within sampling noise (p = 1) over 5 sizes.
    """

    p_scatter: float | None
    p_curvature: float | None
    verdict: str
    words: str

    @property
    def is_flagged(self) -> bool:
        """Whether the line fails."""
        return self.verdict in ("scatter", "bends")

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {name: getattr(self, name) for name in self.__slots__}


def lack_of_fit(x: np.ndarray[Any, Any], observations: Observations) -> LackOfFit:
    """Test the straight line: residuals against sampling noise, and a quadratic term.

    Parameters
    ----------
    x : ndarray of float, shape (n_models,)
        Log sizes.
    observations : Observations
        Of the same models.

    Returns
    -------
    LackOfFit

    Examples
    --------
    Five sizes on an arch, each known to a few per cent:

    >>> passes = np.array([1e3, 3e3, 4e3, 3.5e3, 2e3])
    >>> seen = Observations(passes, np.full(5, 1e4), 0.0, np.zeros(5, bool))
    >>> found = lack_of_fit(np.log([1e7, 3e7, 1e8, 3e8, 1e9]), seen)
    >>> found.verdict, found.is_flagged
    ('bends', True)
    """
    ok = observations.has_peak
    # exact rates have no noise: then all that is left over is scatter
    z, f, sd = x[ok], observations.hazards[ok], np.maximum(observations.hazard_sds[ok], 1e-6)
    if len(np.unique(z)) < 3:
        return LackOfFit(
            None, None, "not enough data", "Fewer than three measured sizes: the law is untested."
        )
    design = np.stack([np.ones_like(z), z - z.mean()], 1) / sd[:, None]
    residual = f / sd - design @ np.linalg.lstsq(design, f / sd, rcond=None)[0]
    df = len(z) - 2
    chi2 = float(residual @ residual)
    p_scatter = float(chdtrc(df, chi2))
    p_curvature = _curvature_p(z, f, sd) if df > 1 else None
    if p_curvature is not None and p_curvature < 0.05 and p_scatter < 0.05:
        verdict, words = (
            "bends",
            (
                "The measured sizes bend away from a straight line "
                f"(p = {p_curvature:.2g}): do not read the line's forecast alone."
            ),
        )
    elif p_scatter < 0.01:
        verdict, words = (
            "scatter",
            (
                "The measured sizes scatter around the line by more than sampling noise "
                f"(p = {p_scatter:.2g}): the law is only roughly true here, and more samples "
                "will not mend it."
            ),
        )
    else:
        verdict, words = (
            "holds",
            (f"The line holds within sampling noise (p = {p_scatter:.2g}) over {len(z)} sizes."),
        )
    return LackOfFit(p_scatter, p_curvature, verdict, words)


def _curvature_p(z: Any, f: Any, sd: Any) -> float:
    """Return the two-sided p of a quadratic term; noise inflated to what it leaves over."""
    u = (z - z.mean()) / np.ptp(z)
    df = len(z) - 3
    design = np.stack([np.ones_like(u), u, u**2], 1)
    noise = sd
    for _ in range(2):  # first to see what is left over, then with that as model scatter
        root = np.linalg.inv((design / noise[:, None] ** 2).T @ design)
        beta = root @ (design.T @ (f / noise**2))
        left = float((((f - design @ beta) / sd) ** 2).sum()) / df
        noise = np.sqrt(sd**2 + max(left - 1, 0.0) * float(np.mean(sd**2)))
    t = abs(float(beta[2])) / float(np.sqrt(root[2, 2]))
    return float(2 * stdtr(df, -t))
