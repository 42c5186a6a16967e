"""Tallies to pass rates: of one instance, of many, of a dataset. Needs numpy and scipy only."""

from passuntil.estimator.arrays import TallyArray
from passuntil.estimator.beta_binomial import BetaBinomial, fit_beta_binomial
from passuntil.estimator.dataset import PU, DatasetPassRate, dataset_pass_rate, measure_pu
from passuntil.estimator.inspect_logs import read_inspect
from passuntil.estimator.intervals import Interval
from passuntil.estimator.mixing import MixingDistribution, fit_mixing
from passuntil.estimator.outcomes import OutcomeTable, tallies_from_outcomes
from passuntil.estimator.pass_at_k import pass_at_k
from passuntil.estimator.rate import PassRate, PassRates, pass_rate
from passuntil.estimator.readers import read_evalplus, read_human_eval, read_lm_eval

__all__ = [
    "PU",
    "BetaBinomial",
    "DatasetPassRate",
    "Interval",
    "MixingDistribution",
    "OutcomeTable",
    "PassRate",
    "PassRates",
    "TallyArray",
    "dataset_pass_rate",
    "fit_beta_binomial",
    "fit_mixing",
    "measure_pu",
    "pass_at_k",
    "pass_rate",
    "read_evalplus",
    "read_human_eval",
    "read_inspect",
    "read_lm_eval",
    "tallies_from_outcomes",
]
