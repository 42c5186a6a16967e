"""Pass rates that were calculated, not sampled.

A task with one exact answer needs no samples: the probability of every token sequence that passes
can be asked for and summed. Such a rate has no sampling noise; what was left out of the sum is
bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from passuntil.errors import UsageError
from passuntil.estimator.inputs import one_number

__all__ = ["ExactRate", "ExactRates"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ExactRate:
    """A pass rate that was calculated from a model's probabilities; nothing was sampled.

    Attributes
    ----------
    value : float
        Summed probability of token sequences that pass, 0 <= value <= 1.
    unsummed : float
        Upper bound of the probability of passing sequences that are not in the sum;
        value + unsummed <= 1.

    Raises
    ------
    UsageError
        They are no probabilities.

    Examples
    --------
    >>> rate = ExactRate(value=0.25, unsummed=1e-9)
    >>> rate.value, rate.upper
    (0.25, 0.250000001)
    """

    value: float
    unsummed: float

    def __post_init__(self) -> None:
        for name in ("value", "unsummed"):
            number = one_number(getattr(self, name))
            if number is None:
                raise UsageError(
                    f"exact rate: got {name} {getattr(self, name)!r}; allowed: one number; give a "
                    "probability."
                )
            if not isinstance(getattr(self, name), int | float):  # those keep their digest
                object.__setattr__(self, name, number)
        if not (0 <= self.value <= 1 and self.unsummed >= 0 and self.upper <= 1 + 1e-9):
            raise UsageError(
                f"exact rate: got {self.value} and {self.unsummed} unsummed; allowed: "
                "probabilities that add up to at most 1."
            )

    @property
    def upper(self) -> float:
        """The pass rate is at least `value` and at most this."""
        return self.value + self.unsummed

    def to_json(self) -> Mapping[str, float]:
        """Return plain values."""
        return {"value": self.value, "unsummed": self.unsummed}


@dataclass(frozen=True, eq=False)
class ExactRates:
    """The exact pass rates of the instances of a dataset under one model.

    Stands where the tallies of a model stand, in `measure_pu` and in the fits. It has no passes
    and no trials.

    Parameters
    ----------
    rates : iterable of ExactRate
        One per instance, at least one.

    Raises
    ------
    UsageError
        Something else among them, or none.

    Examples
    --------
    >>> rates = ExactRates([ExactRate(0.25, 0.0), ExactRate(0.5, 1e-9)])
    >>> rates.mean, len(rates)
    (0.375, 2)
    >>> rates.values, round(rates.mean_unsummed, 12)
    (array([0.25, 0.5 ]), 5e-10)
    """

    rates: tuple[ExactRate, ...]

    def __init__(self, rates: Iterable[ExactRate]) -> None:
        object.__setattr__(self, "rates", tuple(rates))
        for place, rate in enumerate(self.rates):
            if not isinstance(rate, ExactRate):
                raise UsageError(
                    f"exact rates: got {rate!r} at position {place}; allowed: ExactRate; write "
                    "ExactRate(value=..., unsummed=0.0)."
                )
        if not self.rates:
            raise UsageError("exact rates: got none; allowed: one per instance, at least one.")

    def __repr__(self) -> str:
        return f"<ExactRates of {len(self)} instances: PU {self.mean:.4g}>"

    def __len__(self) -> int:
        return len(self.rates)

    def __iter__(self) -> Iterator[ExactRate]:
        return iter(self.rates)

    @cached_property
    def values(self) -> Floats:
        """Summed probabilities, shape (n_instances,)."""
        return np.array([rate.value for rate in self.rates])

    @property
    def mean(self) -> float:
        """PU, the mean pass rate, without what was not summed."""
        return float(self.values.mean())

    @property
    def mean_unsummed(self) -> float:
        """PU is at least `mean` and at most this much more."""
        return float(np.mean([rate.unsummed for rate in self.rates]))
