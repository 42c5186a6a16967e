"""The examples in the core's docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import passuntil.choices
import passuntil.estimator
import passuntil.fitter
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


def test_public_verbs_have_examples() -> None:
    finder = doctest.DocTestFinder()
    for verb in (passuntil.pass_rate, passuntil.fit_scaling_law):
        assert any(t.examples for t in finder.find(verb))
