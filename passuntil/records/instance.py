"""A problem of a benchmark, and what its completions are judged against."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CodeTests", "ExactAnswer", "Instance", "Target"]


@dataclass(frozen=True, slots=True)
class ExactAnswer:
    """What an exact-match checker compares with.

    Parameters
    ----------
    accepted : tuple of str
        Accepted answers, at least one.

    Examples
    --------
    >>> ExactAnswer(accepted=("42", "forty-two"))
    ExactAnswer(accepted=('42', 'forty-two'))
    """

    accepted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CodeTests:
    r"""What a code checker runs, in HumanEval's format [1]_.

    The judged program is ``prompt + completion``; ``test`` defines ``check(candidate)`` and is
    called with the function named ``entry_point``.

    Parameters
    ----------
    prompt : str
        Source that precedes the completion. It can differ from what the model reads.
    test : str
        Source that defines ``check(candidate)``.
    entry_point : str
        Name of the function under test.
    canonical_solution : str
        A completion that passes.
    least_cpu_time_s : float
        CPU time that every completion has at least, in seconds: for problems whose
        `canonical_solution` is a stand-in that says nothing of what a real one takes.

    References
    ----------
    .. [1] Chen et al. 2021, "Evaluating Large Language Models Trained on Code", arXiv 2107.03374.

    Examples
    --------
    >>> tests = CodeTests(
    ...     prompt="def double(x):\n",
    ...     test="def check(candidate):\n    assert candidate(2) == 4\n",
    ...     entry_point="double",
    ...     canonical_solution="    return 2 * x\n",
    ... )
    >>> (tests.prompt + tests.canonical_solution).splitlines()
    ['def double(x):', '    return 2 * x']
    """

    prompt: str
    test: str
    entry_point: str
    canonical_solution: str
    least_cpu_time_s: float = 0.0


Target = ExactAnswer | CodeTests


@dataclass(frozen=True, slots=True)
class Instance:
    """One problem of a benchmark.

    Parameters
    ----------
    task : str
        Name of the task it belongs to.
    id : str
        Name within the task.
    prompt : str
        Text the model continues.
    target : ExactAnswer or CodeTests
        What its completions are judged against.

    Examples
    --------
    >>> question = Instance("sums", "sums/0", "3 + 4 =", ExactAnswer(("7",)))
    >>> question.id, question.target.accepted
    ('sums/0', ('7',))
    """

    task: str
    id: str
    prompt: str
    target: Target
