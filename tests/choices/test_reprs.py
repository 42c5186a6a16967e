"""What a notebook shows of a result is a line, not its arrays."""

import pytest
from made import make_family

from passuntil.choices import analyse_choices, choice_scaling, correlate_with_compute, metric_scores

SCORES = make_family(n_models=6)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (SCORES, f"{SCORES.n_instances} instances of {SCORES.benchmark} with"),
        (metric_scores(SCORES, "accuracy"), "accuracy of"),
        (correlate_with_compute(SCORES)[0], "pearson of log p_vocab(correct) with compute, mean"),
        (choice_scaling(SCORES), "correct_slope=Mean(value="),
        (analyse_choices(SCORES, n_resamples=10), "6 models of made>: "),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_result_prints_in_a_line(shown: object, words: str) -> None:
    text = repr(shown)
    assert words in text
    assert "array(" not in text
    assert "\n" not in text
