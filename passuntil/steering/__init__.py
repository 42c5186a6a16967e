"""Where the next samples go, and when there are enough: target mode. Pure."""

from passuntil.fitter.design import allocate
from passuntil.steering.dataset import Goal, Steering
from passuntil.steering.forecast import Decision, ForecastGoal, decide

__all__ = ["Decision", "ForecastGoal", "Goal", "Steering", "allocate", "decide"]
