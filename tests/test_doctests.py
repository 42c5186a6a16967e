"""The examples in the core's docstrings run."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import passuntil.choices
import passuntil.estimator
import passuntil.fitter
import passuntil.planning
import passuntil.records
import passuntil.steering
import passuntil.stopping

PACKAGES = (
    passuntil.choices,
    passuntil.estimator,
    passuntil.fitter,
    passuntil.records,
    passuntil.steering,
    passuntil.stopping,
)


def core_modules() -> list[str]:
    names = ["passuntil.planning"]
    for package in PACKAGES:
        names += [m.name for m in pkgutil.iter_modules(package.__path__, package.__name__ + ".")]
    return names


@pytest.mark.parametrize("name", core_modules())
def test_docstring_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def examples(thing: object) -> list[doctest.Example]:
    """Return what runs of the examples of a function, or of a class and its methods."""
    return [
        example
        for test in doctest.DocTestFinder().find(thing, name="x", globs={})
        for example in test.examples
        if not example.options.get(doctest.SKIP)
    ]


def exported() -> list[str]:
    """Return the classes and functions that users import from the core's packages."""
    return [
        f"{package.__name__}.{name}"
        for package in (passuntil, passuntil.planning, *PACKAGES)
        for name in package.__all__
        if inspect.isclass(getattr(package, name)) or inspect.isfunction(getattr(package, name))
    ]


@pytest.mark.parametrize("name", exported())
def test_public_names_have_a_running_example(name: str) -> None:
    package, _, thing = name.rpartition(".")
    assert examples(getattr(importlib.import_module(package), thing))


def test_a_name_without_one_is_noticed() -> None:
    class Bare:
        """No example.

        >>> 1 / 0  # doctest: +SKIP
        """

    assert not examples(Bare)


RESULTS = (
    passuntil.Tally,
    passuntil.choices.ChoiceScores,
    passuntil.estimator.BetaBinomial,
    passuntil.estimator.DatasetPassRate,
    passuntil.estimator.MixingDistribution,
    passuntil.estimator.OutcomeTable,
    passuntil.estimator.PassRate,
    passuntil.estimator.PassRates,
    passuntil.estimator.TallyArray,
    passuntil.fitter.BacktestResult,
    passuntil.fitter.Family,
    passuntil.fitter.HazardMixture,
    passuntil.fitter.JointFit,
    passuntil.fitter.Line,
    passuntil.fitter.LossAssistedFit,
    passuntil.fitter.Prediction,
    passuntil.fitter.ScalingFit,
    passuntil.fitter.SealedForecast,
    passuntil.stopping.StopRule,
)


@pytest.mark.parametrize("result", RESULTS)
def test_every_method_of_what_users_hold_has_one(result: type) -> None:
    """The class's own example shows its fields; what is called has an example of its own."""
    for name, member in vars(result).items():
        function = member.__func__ if isinstance(member, classmethod) else member
        if inspect.isfunction(function) and not name.startswith("_") and name != "to_json":
            assert examples(function), name
