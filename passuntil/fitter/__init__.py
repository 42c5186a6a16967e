"""Task scaling laws: fit a family's tallies, predict a larger model. Needs numpy and scipy only."""

from passuntil.fitter.backtest import BacktestResult, backtest
from passuntil.fitter.digest import tallies_digest
from passuntil.fitter.emergence import EmergenceResult, emergence
from passuntil.fitter.fit import LackOfFit, ScalingFit
from passuntil.fitter.line import Line, fit_line
from passuntil.fitter.prediction import HazardMixture, Prediction, VarianceComponents
from passuntil.fitter.scaling_law import fit_scaling_law

__all__ = [
    "BacktestResult",
    "EmergenceResult",
    "HazardMixture",
    "LackOfFit",
    "Line",
    "Prediction",
    "ScalingFit",
    "VarianceComponents",
    "backtest",
    "emergence",
    "fit_line",
    "fit_scaling_law",
    "tallies_digest",
]
