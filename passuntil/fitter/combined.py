"""The default forecast: a weighted pool of laws, each shown apart.

No single law survives every real family: straight lines overshoot where training data are fixed,
and level laws undershoot where they are not. The pool holds three shapes (straight, damped,
saturating) on two footings (every instance, the dataset's mean).

Within a footing a shape's share is its prior share times its evidence and the rolling-origin score
of the dataset's laws, both tempered where there are few sizes [2]_. The line is the claim of the
field [4]_ and has most of the prior; a bend has to be seen. The footings split by inverse variance
[1]_, so that means of first-pass tallies, which say little, do not dilute what the instances say.
The prior shares were chosen on simulated families, straight and bent
(benchmarks/coverage_forecast.py), not on a real one.

References
----------
.. [1] Bates & Granger 1969, OR 20 (pools of forecasts, inverse variance).
.. [2] Yao, Vehtari, Simpson & Gelman 2018, Bayesian Analysis 13 (pseudo-BMA, shrinkage).
.. [3] Gardner & McKenzie 1985, Management Science 31 (damped trends).
.. [4] Hu et al. 2023, arXiv 2310.03262, Eqs 1-4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from passuntil.errors import EstimationError
from passuntil.fitter.family import Family
from passuntil.fitter.fit import LawFit, PosteriorFit
from passuntil.fitter.instance import InstanceFit, fit_instances
from passuntil.fitter.lack_of_fit import LackOfFit, lack_of_fit
from passuntil.fitter.law_fit import fit_law
from passuntil.fitter.laws import LAWS, bounded_exp
from passuntil.fitter.mixture import HazardMixture
from passuntil.fitter.observations import Observations, no_peak, observe
from passuntil.fitter.prediction import Forecast, VarianceComponents

__all__ = ["CombinedFit", "fit_combined"]

Floats = NDArray[np.float64]
Part = LawFit | InstanceFit


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape of F(x): its names on both footings and its prior share."""

    instance: str
    dataset: str
    law: str
    share: float


SHAPES = {
    "straight": Shape("instance", "mle", "line", 0.75),
    "damped": Shape("instance_damped", "damped", "damped", 0.05),
    "saturating": Shape("instance_saturating", "saturating", "saturating", 0.20),
}
INSTANCE_SHARE = 0.75
"""Share of the instances' laws where both footings have one variance."""
SHRINK_SIZES = 6.0
"""Scores count as k / (k + this), k sizes (origins, for the rolling ones)."""
TELLING_EVIDENCE = 3.0
"""Nats for a shared bend of the instances that flag straight lines: odds of twenty to one."""


@dataclass(frozen=True, repr=False)
class CombinedFit(PosteriorFit):
    """A pool of laws.

    Attributes
    ----------
    parts : mapping of str to PosteriorFit
        Every law of the pool, fitted.
    shares : mapping of str to float
        Share of each law within its footing; the laws of a footing sum to 1.
    left_out : str
        Why the laws of the instances are not in the pool; empty where they are, and where there
        is one instance, of which the dataset's laws are those.

    Examples
    --------
    >>> import numpy as np
    >>> from passuntil import fit_scaling_law
    >>> from passuntil.estimator import TallyArray
    >>> sizes, spread = np.array([36e6, 109e6, 241e6, 499e6, 892e6]), np.linspace(-1, 1, 9)
    >>> rates = np.exp(-np.exp(np.log(200) + spread - 0.2 * np.log(sizes)[:, None]))
    >>> passes = np.rint(10_000 * rates).astype(int)  # (n_models, n_instances)
    >>> tallies = [TallyArray.fixed(passes=row, trials=10_000) for row in passes]
    >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies, method="combined")
    >>> for name in ("mle", "instance"):
    ...     print(f"{name}: {fit.parts[name].predict(2449e6).value:.3f}")
    mle: 0.123
    instance: 0.123
    >>> round(fit.predict(2449e6).value, 2)
    0.12
    """

    parts: Mapping[str, Part]
    shares: Mapping[str, float]
    left_out: str = ""

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"parts": dict(self.parts), "shares": dict(self.shares)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        views = {name: MappingProxyType(state[name]) for name in ("parts", "shares")}
        self.__dict__.update(state | views)  # views have no pickle of their own

    @property
    def observations(self) -> Observations:
        """The evidence of each model on PU."""
        line = self.parts["mle"]
        assert isinstance(line, LawFit), "the dataset's line is always in the pool"
        return line.observations

    @cached_property
    def lack_of_fit(self) -> LackOfFit:
        """Whether straight lines hold: the mean's line, or a bend the instances share."""
        verdict = lack_of_fit(np.log(self.family.n_params), self.observations)
        if verdict.verdict == "bends" or "instance_saturating" not in self.parts:
            return verdict
        gain = self.parts["instance_saturating"].log_evidence - self.parts["instance"].log_evidence
        if gain < TELLING_EVIDENCE:
            return verdict
        words = (
            f"The instances' laws level off together ({gain:.1f} nats of evidence for a shared "
            "bend): straight lines overshoot, do not read theirs alone."
        )
        return LackOfFit(verdict.p_scatter, verdict.p_curvature, "bends", words)

    def weights(self, n_params: float) -> dict[str, float]:
        """Return each law's weight in the forecast of a size; they sum to 1.

        Parameters
        ----------
        n_params : float
            Size, in the unit of the fitted ones.

        Examples
        --------
        >>> import numpy as np
        >>> from passuntil import fit_scaling_law
        >>> from passuntil.estimator import TallyArray
        >>> sizes, spread = np.array([36e6, 109e6, 241e6, 499e6, 892e6]), np.linspace(-1, 1, 9)
        >>> rates = np.exp(-np.exp(np.log(200) + spread - 0.2 * np.log(sizes)[:, None]))
        >>> passes = np.rint(10_000 * rates).astype(int)  # (n_models, n_instances)
        >>> tallies = [TallyArray.fixed(passes=row, trials=10_000) for row in passes]
        >>> fit = fit_scaling_law(n_params=sizes, tallies=tallies, method="combined")
        >>> weights = fit.weights(2449e6)
        >>> max(weights, key=weights.get), round(sum(weights.values()), 6)
        ('instance', 1.0)
        """
        return self._weights({n: p.mixture(n_params) for n, p in self.parts.items()})

    def _weights(self, mixtures: Mapping[str, HazardMixture]) -> dict[str, float]:
        pull: dict[str, float] = {}
        for group in _footings(mixtures):
            prior = INSTANCE_SHARE if "instance" in group else 1 - INSTANCE_SHARE
            variance = sum(self.shares[n] * mixtures[n].variance for n in group)
            pull |= {n: prior * self.shares[n] / variance for n in group}
        total = sum(pull.values())
        return {n: value / total for n, value in pull.items()}

    def forecast(self, n_params: float) -> Forecast:
        """Return the pooled distribution of F; the component `law` is the spread between laws."""
        found = {n: part.forecast(n_params) for n, part in self.parts.items()}
        weights = self._weights({n: f.mixture for n, f in found.items()})
        share = np.array(list(weights.values()))
        parts = [found[n] for n in weights]
        means = np.array([f.mixture.mean for f in parts])
        sums = [
            float(share @ [getattr(f.components, name) for f in parts])
            for name in ("sampling", "instances", "fit", "model_scatter")
        ]
        law = float(share @ (means - share @ means) ** 2)
        return Forecast(
            HazardMixture.pooled([f.mixture for f in parts], share),
            VarianceComponents(sums[0], sums[1], sums[2], sums[3], law),
        )

    def _words(self, extrapolation: float) -> str:
        return f"{super()._words(extrapolation)} {self.left_out}".rstrip()

    @property
    def alpha(self) -> float:
        """Local exponent at the largest measured size, pooled by weight."""
        weights = self.weights(float(self.family.n_params[-1]))
        return float(sum(w * self.parts[n].alpha for n, w in weights.items()))

    @property
    def c(self) -> float:
        """Constant of the power law that touches the pool at the largest measured size."""
        n = float(self.family.n_params[-1])
        return float(bounded_exp(self.mixture(n).mean + self.alpha * np.log(n)))


def fit_combined(family: Family, guess_rate: float = 0.0) -> CombinedFit:
    """Return the pool of laws.

    Instance laws need the same instances under every model, two or more, no exact rate of 0 and
    not a guess rate beside exact rates; otherwise the pool has the dataset's laws only, and
    `left_out` says why.

    Parameters
    ----------
    family : Family
        From `as_family`.
    guess_rate : float
        Chance g of passing by guessing, 0 <= g < 1.

    Returns
    -------
    CombinedFit

    Raises
    ------
    EstimationError
        No model with a pass rate inside (g, 1).

    Examples
    --------
    >>> from passuntil import Tally
    >>> from passuntil.fitter import as_family
    >>> tallies = [[Tally.fixed(passes=c, trials=10_000)] for c in (21, 72, 148)]
    >>> sorted(fit_combined(as_family([36e6, 109e6, 241e6], tallies)).parts)
    ['damped', 'mle', 'saturating']
    """
    observations = observe(family, guess_rate=guess_rate)
    parts, left_out = _fit_parts(family, guess_rate, observations)
    k = len(family)
    rolling, n_origins = _rolling_scores(family, observations)
    shares: dict[str, float] = {}
    for group in _footings(parts):
        scores = [
            np.log(shape.share)
            + k / (k + SHRINK_SIZES) * parts[n].log_evidence
            + n_origins / (n_origins + SHRINK_SIZES) * rolling[name]
            for n, (name, shape) in zip(group, SHAPES.items(), strict=True)
        ]
        shares |= dict(zip(group, np.exp(scores - logsumexp(scores)).tolist(), strict=True))
    return CombinedFit(
        family, "combined", guess_rate, MappingProxyType(parts), MappingProxyType(shares), left_out
    )


def _footings(parts: Mapping[str, object]) -> list[list[str]]:
    """Return the names of the laws of each footing there is, in the order of `SHAPES`."""
    both = [[s.dataset for s in SHAPES.values()], [s.instance for s in SHAPES.values()]]
    return [group for group in both if group[0] in parts]


def _fit_parts(
    family: Family, guess_rate: float, observations: Observations
) -> tuple[dict[str, Part], str]:
    """Return the laws there are, and why those of the instances are not, if they could be."""
    if not observations.has_peak.any():
        raise no_peak("combined", guess_rate)
    x = np.log(family.n_params)
    parts: dict[str, Part] = {}
    for shape in SHAPES.values():
        posterior = fit_law(LAWS[shape.law], x, observations, n_draws=512)
        parts[shape.dataset] = LawFit(family, shape.dataset, guess_rate, posterior)
    if max(len(t) for t in family.tallies) == 1:
        return parts, ""
    try:
        line = fit_instances(family, guess_rate)
    except EstimationError as error:
        return parts, f"The instances' laws are left out ({error})"
    parts["instance"] = line
    parts["instance_damped"] = replace(line, method="instance_damped", is_damped=True)
    parts["instance_saturating"] = fit_instances(family, guess_rate, is_bent=True, near=line)
    return parts, ""


def _rolling_scores(family: Family, observations: Observations) -> tuple[dict[str, float], int]:
    """Return the sum over origins k >= 3 of each shape's log density of the next measured F."""
    x = np.log(family.n_params)
    scores = dict.fromkeys(SHAPES, 0.0)
    n_origins = 0
    for k in range(3, len(family)):
        then = observations.first(k)
        if not observations.has_peak[k] or not then.has_peak.any():
            continue
        n_origins += 1
        noise = float(observations.hazard_sds[k])
        for name, shape in SHAPES.items():
            found = fit_law(LAWS[shape.law], x[:k], then, n_draws=256).hazard_at(float(x[k]))[1]
            wide = HazardMixture(found.means, np.hypot(found.sds, noise), found.weights)
            scores[name] += wide.log_density(float(observations.hazards[k]))
    return scores, n_origins
