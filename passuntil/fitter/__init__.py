"""Task scaling laws: fit a family's tallies, predict a larger model. Needs numpy and scipy only."""

from passuntil.fitter.backtest import BacktestResult, backtest
from passuntil.fitter.digest import tallies_digest
from passuntil.fitter.emergence import EmergenceResult, emergence
from passuntil.fitter.family import Family, as_family
from passuntil.fitter.fit import ScalingFit
from passuntil.fitter.grading import ForecastScore, score
from passuntil.fitter.instance import InstancePredictions
from passuntil.fitter.joint import JointFit
from passuntil.fitter.lack_of_fit import LackOfFit
from passuntil.fitter.line import Line, fit_line
from passuntil.fitter.loss_assisted import LossAssistedFit
from passuntil.fitter.mixture import HazardMixture
from passuntil.fitter.planning import Plan, plan
from passuntil.fitter.prediction import Prediction, VarianceComponents
from passuntil.fitter.scaling_law import fit_scaling_law
from passuntil.fitter.sealing import SealedForecast, seal, seal_prediction

__all__ = [
    "BacktestResult",
    "EmergenceResult",
    "Family",
    "ForecastScore",
    "HazardMixture",
    "InstancePredictions",
    "JointFit",
    "LackOfFit",
    "Line",
    "LossAssistedFit",
    "Plan",
    "Prediction",
    "ScalingFit",
    "SealedForecast",
    "VarianceComponents",
    "as_family",
    "backtest",
    "emergence",
    "fit_line",
    "fit_scaling_law",
    "plan",
    "score",
    "seal",
    "seal_prediction",
    "tallies_digest",
]
