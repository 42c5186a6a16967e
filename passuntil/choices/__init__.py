"""Log-likelihoods of the choices of multiple-choice tasks, and what becomes of them with scale.

These names need numpy and scipy only; `job`, `formats`, `score` and `store`, which make the
log-likelihoods, are imported by themselves. A worked example is in the README beside this file.
"""

from passuntil.choices.analysis import ChoiceAnalysis, analyse_choices
from passuntil.choices.by_choice import ChoiceForecast, forecast_choices
from passuntil.choices.chain import ChainLoss, chain_loss
from passuntil.choices.choice_count import ChoiceCountEffect, choice_count_effect
from passuntil.choices.coefficients import correlate
from passuntil.choices.correlation import Correlations, correlate_with_compute
from passuntil.choices.extrapolation import Extrapolation
from passuntil.choices.harness import read_lm_eval_choices
from passuntil.choices.held_out import extrapolate
from passuntil.choices.incorrect import (
    ChoiceScaling,
    CoVariation,
    choice_scaling,
    co_variation,
)
from passuntil.choices.metrics import CHAIN, METRICS, MetricScores, metric_scores
from passuntil.choices.scores import ChoiceScores

__all__ = [
    "CHAIN",
    "METRICS",
    "ChainLoss",
    "ChoiceAnalysis",
    "ChoiceCountEffect",
    "ChoiceForecast",
    "ChoiceScaling",
    "ChoiceScores",
    "CoVariation",
    "Correlations",
    "Extrapolation",
    "MetricScores",
    "analyse_choices",
    "chain_loss",
    "choice_count_effect",
    "choice_scaling",
    "co_variation",
    "correlate",
    "correlate_with_compute",
    "extrapolate",
    "forecast_choices",
    "metric_scores",
    "read_lm_eval_choices",
]
