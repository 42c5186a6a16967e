"""Everything about one benchmark under one family, in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from passuntil.choices.averaging import Mean, mean_of
from passuntil.choices.by_choice import ChoiceForecast, forecast_choices
from passuntil.choices.chain import ChainLoss, chain_loss
from passuntil.choices.choice_count import ChoiceCountEffect, choice_count_effect
from passuntil.choices.coefficients import CorrelationKind, correlation_kinds
from passuntil.choices.correlation import Correlations, correlate_with_compute
from passuntil.choices.extrapolation import Extrapolation
from passuntil.choices.held_out import extrapolate
from passuntil.choices.incorrect import ChoiceScaling, CoVariation, choice_scaling, co_variation
from passuntil.choices.metrics import available_metrics, metric_scores
from passuntil.choices.scores import ChoiceScores
from passuntil.errors import EstimationError

__all__ = ["ChoiceAnalysis", "analyse_choices"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class ChoiceAnalysis:
    """See `analyse_choices`.

    Attributes
    ----------
    scores : ChoiceScores
        What was analysed: models in the order of compute, instances whose correct choice is known.
    n_unknown : int
        Instances left out because their correct choice is not known.
    means : mapping of metric name to tuple of Mean
        Mean score over instances, one per model.
    correlations : tuple of Correlations
        Every metric whose inputs are there, every kind.
    chains : mapping of kind to ChainLoss
    scaling, co_variation, largest, rolling, by_choice, counts
        The parts, None where `reasons` says why there is none.
    reasons : mapping of part to str

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.arange(6.0)  # log10 of compute, from 1e18
    >>> slopes = np.array([1.4, 0.9, 0.9, 0.9])  # the first choice is correct
    >>> logs = -9 + slopes * x[:, None, None] + rng.normal(0, 1, (6, 40, 4))
    >>> scores = ChoiceScores.of(
    ...     np.minimum(logs, 0), models=list("abcdef"), compute=10 ** (18 + x), correct=[0] * 40)
    >>> found = analyse_choices(scores, n_resamples=50)
    >>> round(found.means["accuracy"][-1].value, 3), len(found.words)
    (0.975, 7)
    >>> print(found.words[0].split(":")[0])
    Reproduced
    """

    scores: ChoiceScores
    n_unknown: int
    means: Mapping[str, tuple[Mean, ...]]
    correlations: tuple[Correlations, ...]
    chains: Mapping[CorrelationKind, ChainLoss]
    scaling: ChoiceScaling | None
    co_variation: CoVariation | None
    largest: Extrapolation | None
    rolling: Extrapolation | None
    by_choice: ChoiceForecast | None
    counts: ChoiceCountEffect | None
    reasons: Mapping[str, str]

    def __repr__(self) -> str:
        verdict = self.chains["pearson"].verdict
        return f"<ChoiceAnalysis of {self.scores!r}: {verdict}; see .words>"

    def correlation(self, metric: str, kind: CorrelationKind = "pearson") -> Correlations:
        """Return one of the correlations.

        Parameters
        ----------
        metric : str
            A name of `METRICS`.
        kind : {"pearson", "spearman", "kendall"}

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> x = np.arange(6.0)  # log10 of compute, from 1e18
        >>> slopes = np.array([1.4, 0.9, 0.9, 0.9])  # the first choice is correct
        >>> logs = -9 + slopes * x[:, None, None] + rng.normal(0, 1, (6, 40, 4))
        >>> scores = ChoiceScores.of(
        ...     np.minimum(logs, 0), models=list("abcdef"), compute=10 ** (18 + x),
        ...     correct=[0] * 40)
        >>> found = analyse_choices(scores, n_resamples=50).correlation("accuracy", "kendall")
        >>> round(found.mean, 2), found.n_constant
        (0.51, 1)
        """
        return next(c for c in self.correlations if (c.metric.name, c.kind) == (metric, kind))

    @property
    def words(self) -> tuple[str, ...]:
        """The verdict, one finding each, for a person."""
        found = [self.chains["pearson"].words]
        parts = (self.largest, self.rolling, self.by_choice)
        found += [part.words for part in parts if part is not None]
        others = (self.scaling, self.co_variation, self.counts)
        found += [part.words for part in others if part is not None]
        found += [f"{part}: {reason}" for part, reason in self.reasons.items()]
        if self.n_unknown:
            found.append(f"{self.n_unknown} instances left out: no known correct choice.")
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        parts = {
            "choice_scaling": self.scaling,
            "co_variation": self.co_variation,
            "extrapolation_largest": self.largest,
            "extrapolation_rolling": self.rolling,
            "forecast_by_choice": self.by_choice,
            "number_of_choices": self.counts,
        }
        return {
            "benchmark": self.scores.benchmark,
            "family": self.scores.family,
            "n_instances": self.scores.n_instances,
            "n_unknown": self.n_unknown,
            "models": [
                {
                    "name": model,
                    "compute": float(self.scores.compute[m]),
                    "means": {metric: mean[m].to_json() for metric, mean in self.means.items()},
                }
                for m, model in enumerate(self.scores.models)
            ],
            "verdict": self.chains["pearson"].verdict,
            "words": list(self.words),
            "correlations": [found.to_json() for found in self.correlations],
            "chains": {kind: chain.to_json() for kind, chain in self.chains.items()},
            **{name: None if part is None else part.to_json() for name, part in parts.items()},
            "reasons": dict(self.reasons),
        }


def analyse_choices(
    scores: ChoiceScores, *, held_out: int = 1, n_resamples: int = 1000, seed: int = 0
) -> ChoiceAnalysis:
    """Return every analysis of one benchmark under one family.

    Parameters
    ----------
    scores : ChoiceScores
        Three models or more that differ in compute; instances whose correct choice is unknown are
        left out and counted.
    held_out : int
        Largest models that the others forecast.
    n_resamples, seed : int
        Of the bootstrap, the draws and the subsets of choices.

    Returns
    -------
    ChoiceAnalysis

    Raises
    ------
    EstimationError
        Fewer than 3 models, or no instance with a known correct choice.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.arange(6.0)
    >>> logs = -9 + x[:, None, None] + rng.normal(0, 0.7, (6, 40, 4))
    >>> found = analyse_choices(ChoiceScores.of(
    ...     np.minimum(logs, 0), models=list("abcdef"), compute=10 ** (18 + x), correct=[0] * 40))
    >>> found.chains["pearson"].verdict, sorted(found.reasons)
    ('partly reproduced', [])
    """
    known = np.array([index is not None for index in scores.correct])
    if not known.any():
        raise EstimationError(
            f"{scores.benchmark}: got no instance with a known correct choice; allowed: one or "
            "more; give the index of the correct choice."
        )
    kept = scores.take_instances(known).by_compute()
    reasons: dict[str, str] = {}

    def part(name: str, make: Callable[[], T]) -> T | None:
        """Return a part, or note why the data do not give it."""
        try:
            return make()
        except EstimationError as error:
            reasons[name] = str(error)
            return None

    names = available_metrics(kept)
    return ChoiceAnalysis(
        kept,
        int((~known).sum()),
        {name: tuple(mean_of(row) for row in metric_scores(kept, name).values) for name in names},
        correlate_with_compute(kept, metrics=names),
        {kind: chain_loss(kept, kind=kind) for kind in correlation_kinds()},
        part("scaling of choices", lambda: choice_scaling(kept)),
        part("co-variation", lambda: co_variation(kept)),
        part(
            "held-out forecast",
            lambda: extrapolate(kept, held_out=held_out, n_resamples=n_resamples, seed=seed),
        ),
        part(
            "rolling forecasts",
            lambda: extrapolate(kept, design="rolling", n_resamples=n_resamples, seed=seed),
        ),
        part("forecast by choice", lambda: forecast_choices(kept, seed=seed)),
        part("number of choices", lambda: choice_count_effect(kept, seed=seed)),
        reasons,
    )
