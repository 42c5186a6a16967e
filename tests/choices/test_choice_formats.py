"""Choice formats: prompts and choices equal those of lm-evaluation-harness, recorded in golden."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from passuntil.choices.formats import read_choices
from passuntil.choices.job import ChoiceTask, load_choice_job, read_harness_choices
from passuntil.config.paths import bundled
from passuntil.errors import UsageError
from passuntil.tasks.harness import read_harness_task

GOLDEN = Path(__file__).parents[1] / "golden" / "choices"
RECORD = json.loads((GOLDEN / "golden.json").read_text())
BUNDLED = sorted(bundled("choice task"))


def local_task(name: str, folder: Path, data: Path | None = None) -> Path:
    """Write a task that includes the bundled one and reads the rows of the golden folder."""
    bundled_file = bundled("choice task")[name]
    config = read_harness_task(bundled_file).config
    split = config.test_split or config.validation_split
    file = folder / f"{name}.yaml"
    file.write_text(
        f"include: {bundled_file}\ndataset_path: json\ndataset_name: null\n"
        f"dataset_kwargs: {{data_files: {{{split}: {data or GOLDEN / f'{name}.jsonl'}}}}}\n"
    )
    return file


@pytest.mark.parametrize("name", [name for name in BUNDLED if name != "mmlu"])
def test_bundled_task_asks_what_the_harness_asks(name: str, tmp_path: Path) -> None:
    found = read_harness_choices(read_harness_task(local_task(name, tmp_path)))
    asked = [[i, *pair] for i, instance in enumerate(found) for pair in instance.pairs]
    assert asked == RECORD["prompts"][name]


def test_mmlu_asks_what_the_harness_asks_of_each_subject(tmp_path: Path) -> None:
    found = read_harness_choices(read_harness_task(local_task("mmlu", tmp_path)))
    rows = [json.loads(line) for line in (GOLDEN / "mmlu.jsonl").read_text().splitlines()]
    for row, instance in zip(rows, found, strict=True):
        golden = RECORD["prompts"][f"mmlu/{row['subject']}"]
        assert [list(pair) for pair in instance.pairs] == [pair for _, *pair in golden]


def test_correct_choices_are_read(tmp_path: Path) -> None:
    correct = {
        name: [
            i.correct for i in read_harness_choices(read_harness_task(local_task(name, tmp_path)))
        ]
        for name in BUNDLED
    }
    assert correct == {
        "arc_challenge": [0, 1],
        "arc_easy": [0, 0, 0],
        "hellaswag": [3, 0],
        "mathqa": [0, 1],
        "mc_taco": [1, 0],
        "mmlu": [1, 1],
        "openbookqa": [3, 1],
        "piqa": [0, 1],
        "sciq": [3, 3],
        "siqa": [1, 0],
    }


def test_mathqa_options_end_at_the_first_comma_as_in_the_harness(tmp_path: Path) -> None:
    first, _ = read_harness_choices(read_harness_task(local_task("mathqa", tmp_path)))
    assert first.texts == ("10", "12.5", "15", "1", "none of these")


def test_every_bundled_job_names_bundled_tasks_and_has_compute() -> None:
    for name in bundled("choice job"):
        job = load_choice_job(f"builtin:{name}")
        for task in job.tasks:
            assert job.task_file(task).is_file()
    names = {t.name for t in load_choice_job("builtin:schaeffer").tasks}
    assert names == set(BUNDLED)


def test_plain_rows_are_read_with_every_spelling(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(
        '{"id": "a", "prompt": "Q", "choices": ["x", "y"], "answer_index": 1}\n'
        '{"task_id": "b", "context": "Q", "choices": ["x", "y"], "answer": "x"}\n'
        '{"query": "Q", "endings": ["x", "y", "z"], "label": 2, "more": 0}\n'
        '{"question": "Q", "choices": ["x", "y"]}\n'
    )
    found = read_choices(file, delimiter=" ")
    assert [i.id for i in found] == ["a", "b", "2", "3"]
    assert [i.correct for i in found] == [1, 0, 2, None]
    assert found[2].pairs == (("Q", " x"), ("Q", " y"), ("Q", " z"))
    assert [i.id for i in read_choices(file, limit=2)] == ["a", "b"]


def test_parquet_is_read(tmp_path: Path) -> None:
    table = pyarrow.table({"context": ["Q"], "choices": [["x", "y"]], "label": [1]})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    (instance,) = read_choices(tmp_path / "t.parquet")
    assert (instance.texts, instance.correct) == (("x", "y"), 1)


def test_bundled_pico_choice_is_read() -> None:
    found = read_choices(bundled("task")["pico-choice"])
    assert len(found) == 64
    assert all(instance.correct is not None for instance in found)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('{"prompt": "Q"}', "choices: got nothing"),
        ('{"prompt": "Q", "choices": ["x"]}', "got choices"),
        ('{"prompt": "Q", "choices": ["x", ""]}', "choices.1: got ''"),
        ('{"prompt": "Q", "choices": ["x", "y"], "label": 2}', "got the correct choice 2"),
        ('{"prompt": "Q", "choices": ["x", "y"], "answer": "z"}', "answer: got 'z'"),
        ('{"prompt": 3, "choices": ["x", "y"]}', "prompt: got 3"),
    ],
)
def test_a_broken_row_is_named(row: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text('{"prompt": "Q", "choices": ["x", "y"]}\n' + row + "\n")
    with pytest.raises(UsageError) as caught:
        read_choices(file)
    assert "row 2" in str(caught.value)
    assert words in str(caught.value)


def test_a_name_given_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text('{"id": "a", "prompt": "Q", "choices": ["x", "y"]}\n' * 2)
    with pytest.raises(UsageError, match="twice: a"):
        read_choices(file)


def test_a_harness_task_has_its_own_delimiter() -> None:
    with pytest.raises(ValueError, match="target_delimiter"):
        ChoiceTask(name="arc", path="builtin:arc_easy", delimiter=" ")
