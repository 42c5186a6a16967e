"""Pass rates down to 1e-5, and forecasts of larger models from small ones."""

from passuntil.estimator import pass_rate
from passuntil.fitter import fit_scaling_law
from passuntil.records import Tally

__all__ = ["Tally", "fit_scaling_law", "pass_rate"]

__version__ = "0.1.0"
