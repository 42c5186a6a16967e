"""The default forecast: a weighted pool of laws, each shown apart.

No single law survives every real family: straight lines overshoot where training data are fixed,
and level laws undershoot where they are not. The pool holds three shapes (straight, damped,
saturating) on two footings (the dataset's mean, every instance), and weighs them by how well they
explain the measured sizes and how well they foretold each next one, shrunk towards equal.

References
----------
.. [1] Bates & Granger 1969, OR 20 (pools of forecasts, inverse variance).
.. [2] Yao, Vehtari, Simpson & Gelman 2018, Bayesian Analysis 13 (pseudo-BMA, shrinkage).
.. [3] Gardner & McKenzie 1985, Management Science 31 (damped trends).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from passuntil.errors import EstimationError
from passuntil.fitter.fit import LackOfFit, PosteriorFit, ScalingFit, lack_of_fit
from passuntil.fitter.instance import InstanceFit, fit_instances
from passuntil.fitter.law_fit import fit_law
from passuntil.fitter.laws import LAWS
from passuntil.fitter.observations import Family, Observations, observe
from passuntil.fitter.prediction import HazardMixture, Prediction, VarianceComponents

__all__ = ["CombinedFit", "fit_combined"]

Floats = NDArray[np.float64]
SHRINK_SIZES = 6.0
"""Weights move from equal as K / (K + this), K sizes (origins, for the backtest)."""
MOST_ORIGINS = 3
"""The latest origins count: they are nearest to the forecast, and each costs two fits."""
LARGEST_ROLLING = 4000
"""Instances x models up to which instance laws are refitted at every origin."""
TELLING_EVIDENCE = 3.0
"""Nats for a shared bend of the instances that flag straight lines: odds of twenty to one."""
Part = PosteriorFit | InstanceFit


@dataclass(frozen=True)
class CombinedFit(ScalingFit):
    """A pool of laws.

    Attributes
    ----------
    parts : mapping of str to ScalingFit
        Every law of the pool, fitted.
    scores : mapping of str to float
        Log score of each law: shrunk evidence plus shrunk rolling-origin log density.
    """

    parts: Mapping[str, Part]
    scores: Mapping[str, float]

    @cached_property
    def observations(self) -> Observations:
        """The evidence of each model on PU."""
        return observe(self.family, guess_rate=self.guess_rate)

    @cached_property
    def lack_of_fit(self) -> LackOfFit:
        """Whether straight lines hold: the mean's line, or a bend the instances share."""
        verdict = lack_of_fit(np.log(self.family.n_params), self.observations)
        if verdict.verdict == "bends" or "instance_saturating" not in self.parts:
            return verdict
        gain = _evidence(self.parts["instance_saturating"]) - _evidence(self.parts["instance"])
        if gain < TELLING_EVIDENCE:
            return verdict
        words = (
            f"The instances' laws level off together ({gain:.1f} nats of evidence for a shared "
            "bend): straight lines overshoot, do not read theirs alone."
        )
        return LackOfFit(verdict.p_scatter, verdict.p_curvature, "bends", words)

    def weights(self, n_params: float) -> dict[str, float]:
        """Return each law's weight in the forecast of a size; they sum to 1.

        Within a footing by score; between footings also by inverse variance, so that a footing
        which the data hardly inform (means of first-pass tallies) does not dilute the other.
        """
        names = list(self.parts)
        variances = {n: self.parts[n].mixture(n_params).variance for n in names}
        logs = {n: self.scores[n] for n in names}
        for footing in ("instance", "dataset"):
            group = [n for n in names if n.startswith("instance") == (footing == "instance")]
            if group:
                share = np.exp([logs[n] for n in group] - logsumexp([logs[n] for n in group]))
                mean = float(share @ [variances[n] for n in group])
                for n in group:
                    logs[n] -= np.log(mean)
        total = logsumexp(list(logs.values()))
        return {n: float(np.exp(v - total)) for n, v in logs.items()}

    def mixture(self, n_params: float) -> HazardMixture:
        """Return the pooled forecast distribution of F."""
        weights = self.weights(n_params)
        parts = [self.parts[n].mixture(n_params) for n in weights]
        return HazardMixture.pooled(parts, np.array(list(weights.values())))

    def components(self, n_params: float) -> VarianceComponents:
        """Return the variance of the forecast F, by source; `law` is the spread between laws."""
        weights = self.weights(n_params)
        share = np.array(list(weights.values()))
        inner = [self.parts[n].components(n_params) for n in weights]
        means = np.array([self.parts[n].mixture(n_params).mean for n in weights])
        names = ("sampling", "instances", "fit", "model_scatter")
        sums = [float(share @ [getattr(c, name) for c in inner]) for name in names]
        law = float(share @ (means - share @ means) ** 2)
        return VarianceComponents(sums[0], sums[1], sums[2], sums[3], law)

    @property
    def alpha(self) -> float:
        """Local exponent at the largest measured size, pooled by weight."""
        weights = self.weights(float(self.family.n_params[-1]))
        return float(sum(w * self.parts[n].alpha for n, w in weights.items()))

    @property
    def c(self) -> float:
        """Constant of the power law that touches the pool at the largest measured size."""
        n = float(self.family.n_params[-1])
        return float(np.exp(self.mixture(n).mean + self.alpha * np.log(n)))

    def predict(self, n_params: float, confidence_level: float = 0.9) -> Prediction:
        """Return the pooled forecast; see `ScalingFit.predict`."""
        size, level, ratio = self._checked(n_params, confidence_level)
        return Prediction.of_mixture(
            self.mixture(size),
            n_params=size,
            confidence_level=level,
            method=self.method,
            extrapolation=ratio,
            components=self.components(size),
            words=self._words(ratio),
            guess_rate=self.guess_rate,
        )


def fit_combined(family: Family, guess_rate: float = 0.0) -> CombinedFit:
    """Return the pool of laws.

    Instance laws need the same instances under every model and no guess rate; otherwise the pool
    has the dataset's laws only.
    """
    parts = _fit_parts(family, guess_rate, has_instances=True)
    k = len(family)
    shrink = k / (k + SHRINK_SIZES)
    scores = dict.fromkeys(parts, 0.0)
    for footing in (True, False):
        group = [n for n in parts if n.startswith("instance") == footing]
        evidence = np.array([_evidence(parts[n]) for n in group])
        for n, value in zip(group, shrink * (evidence - evidence.max(initial=0.0)), strict=True):
            scores[n] += float(value)
        if group:
            top = logsumexp([scores[n] for n in group])
            for n in group:
                scores[n] -= float(top)
    rolling, n_origins = _rolling_scores(family, guess_rate, parts)
    if n_origins:
        shrink = n_origins / (n_origins + SHRINK_SIZES)
        for n, value in rolling.items():
            scores[n] += shrink * value
    return CombinedFit(
        family, "combined", guess_rate, MappingProxyType(parts), MappingProxyType(scores)
    )


def _evidence(part: Part) -> float:
    return (
        part.draws.log_evidence
        if isinstance(part, InstanceFit)
        else (part.posterior.draws.log_evidence)
    )


def _fit_parts(
    family: Family,
    guess_rate: float,
    *,
    has_instances: bool,
    near: Mapping[str, Part] = MappingProxyType({}),
) -> dict[str, Part]:
    observations = observe(family, guess_rate=guess_rate)
    if not observations.has_peak.any():
        raise EstimationError(
            "combined: got no model with a pass rate inside (g, 1); allowed: at least one; sample "
            "more, or easier instances."
        )
    x = np.log(family.n_params)
    parts: dict[str, Part] = {}
    for name, law in (("mle", "line"), ("damped", "damped"), ("saturating", "saturating")):
        posterior = fit_law(LAWS[law], x, observations, n_draws=512)
        parts[name] = PosteriorFit(family, name, guess_rate, posterior)
    n_instances = {len(t) for t in family.tallies}
    if has_instances and not guess_rate and len(n_instances) == 1 and max(n_instances) > 1:
        # at an origin of the backtest a quick fit from the whole data's mode is enough
        n_draws = 64 if near else 256
        line = fit_instances(family, n_draws=n_draws, near=_instance(near, "instance"))
        parts["instance"] = line
        parts["instance_damped"] = replace(line, method="instance_damped", is_damped=True)
        parts["instance_saturating"] = fit_instances(
            family,
            is_bent=True,
            n_draws=n_draws,
            near=_instance(near, "instance_saturating") or line,
        )
    return parts


def _instance(parts: Mapping[str, Part], name: str) -> InstanceFit | None:
    part = parts.get(name)
    return part if isinstance(part, InstanceFit) else None


def _rolling_scores(
    family: Family, guess_rate: float, parts: Mapping[str, Part]
) -> tuple[dict[str, float], int]:
    """Return the sum over origins k >= 3 of each law's log density of the next measured F."""
    observations = observe(family, guess_rate=guess_rate)
    scores = dict.fromkeys(parts, 0.0)
    n_origins = 0
    is_small = sum(len(t) for t in family.tallies) <= LARGEST_ROLLING
    for k in range(max(3, len(family) - MOST_ORIGINS), len(family)):
        if not observations.has_peak[k] or not observations.has_peak[:k].any():
            continue
        n_origins += 1
        then = _fit_parts(family.first(k), guess_rate, has_instances=is_small, near=parts)
        noise = float(observations.hazard_sds[k])
        logs = {}
        for name, part in then.items():
            mix = part.mixture(float(family.n_params[k]))
            wide = HazardMixture(mix.means, np.hypot(mix.sds, noise), mix.weights)
            logs[name] = wide.log_density(float(observations.hazards[k]))
        even = float(np.mean(list(logs.values())))
        for name in scores:
            scores[name] += logs.get(name, even)
    return scores, n_origins
