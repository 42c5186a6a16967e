"""The values that cross a function inside passuntil: instances, samples, verdicts, tallies."""

from passuntil.records.instance import CodeTests, ExactAnswer, Instance, Target
from passuntil.records.sample import (
    Completion,
    FinishReason,
    SampleKey,
    Verdict,
    sample_seeds,
)
from passuntil.records.tally import Outcome, Tally

__all__ = [
    "CodeTests",
    "Completion",
    "ExactAnswer",
    "FinishReason",
    "Instance",
    "Outcome",
    "SampleKey",
    "Tally",
    "Target",
    "Verdict",
    "sample_seeds",
]
