"""Tallies to pass rates: of one instance, of many, of a dataset. Needs numpy and scipy only."""

from passuntil.estimator.arrays import TallyArray
from passuntil.estimator.dataset import PU, DatasetPassRate, dataset_pass_rate, measure_pu
from passuntil.estimator.intervals import Interval
from passuntil.estimator.mixing import MixingDistribution, fit_mixing
from passuntil.estimator.rate import PassRate, PassRates, pass_rate

__all__ = [
    "PU",
    "DatasetPassRate",
    "Interval",
    "MixingDistribution",
    "PassRate",
    "PassRates",
    "TallyArray",
    "dataset_pass_rate",
    "fit_mixing",
    "measure_pu",
    "pass_rate",
]
