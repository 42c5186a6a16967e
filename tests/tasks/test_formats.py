"""Every format reads a file as it is published, and makes the harness's prompts of it."""

import base64
import json
import pickle
import zlib
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from passuntil.errors import UsageError
from passuntil.records import ExactAnswer
from passuntil.tasks import FORMATS, Shots, TaskSource, load_problems, load_task, task_digest

GOLDEN = Path(__file__).parents[1] / "golden" / "harness"
OWN = json.loads((GOLDEN / "golden.json").read_text())["own"]


def prompts(source, name):
    return [instance.prompt for instance in load_task("t", source, name)]


@pytest.fixture
def write(tmp_path):
    def write(name, value):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
        return path

    return write


SAME_AS_HARNESS = [
    ("gsm8k", "gsm8k", "gsm8k_test.jsonl", Shots(5, GOLDEN / "gsm8k_train.jsonl", draw="seeded")),
    ("humaneval", "humaneval", "humaneval.jsonl", None),
    ("mbpp", "mbpp", "mbpp_test.jsonl", Shots(3, GOLDEN / "mbpp_prompt.jsonl")),
    ("minerva_math_algebra", "math", "math_test.jsonl", Shots(2, GOLDEN / "math_train.jsonl")),
    ("bigbench_date_understanding_generate_until", "bigbench", "bigbench_hub.jsonl", None),
]


@pytest.mark.parametrize(("task", "name", "file", "shots"), SAME_AS_HARNESS)
def test_prompts_and_stop_strings_are_those_of_the_harness(task, name, file, shots):
    rows = OWN[task]["rows"]
    assert prompts(TaskSource(GOLDEN / file, shots=shots), name) == [row["prompt"] for row in rows]
    if name not in ("humaneval", "bigbench"):  # theirs are written in the ready jobs
        assert list(FORMATS[name].stop) == rows[0]["generation"]["until"]


def test_gsm8k():
    source = GOLDEN / "gsm8k_test.jsonl"
    problems = load_problems("t", source, "gsm8k")
    assert [p.instance.id for p in problems] == ["0", "1", "2"]
    assert [p.instance.target.accepted for p in problems] == [("1,400",), ("-6",), ("144",)]
    assert problems[0].solution.endswith("\n#### 1,400")


def test_math(write):
    targets = [i.target.accepted for i in load_task("t", GOLDEN / "math_test.jsonl", "math")]
    assert targets == [(r"\frac{7}{8}",), ("7",), (r"(-\infty,2)",)]
    math500 = {
        "problem": "p",
        "solution": r"so \boxed{1} or \boxed{2}",
        "answer": "2",
        "subject": "Algebra",
        "level": 5,
        "unique_id": "test/algebra/1.json",
    }
    (instance,) = load_task("t", write("m.json", [math500]), "math")
    assert instance.id == "test/algebra/1.json"
    assert instance.target == ExactAnswer(("2",))
    del math500["answer"]
    path = write("m.json", [{**math500, "solution": r"\boxed{2"}])
    with pytest.raises(UsageError, match=r"m.json:1: solution: got .* and no answer; allowed"):
        load_task("t", path, "math")


def test_mbpp_plain_and_sanitised(write):
    first, second = load_problems("t", GOLDEN / "mbpp_test.jsonl", "mbpp")
    assert first.instance.id == "901"
    assert first.instance.target.entry_point == "count_even"
    assert "candidate" not in first.instance.prompt
    assert "import math" in second.instance.target.test
    assert second.solution.startswith("import math")
    sanitised = {
        "source_file": "x",
        "task_id": 2,
        "prompt": "Write a function that adds.",
        "code": "def add(a, b):\n  return a + b",
        "test_imports": ["import math"],
        "test_list": ["assert add(1, 2) == 3"],
    }
    (instance,) = load_task("t", write("s.json", [sanitised]), "mbpp")
    assert "assert add(1, 2) == 3\n[BEGIN]\n" in instance.prompt
    assert "import math" in instance.target.test


def test_humaneval_of_evalplus_from_a_hub_like_parquet_file(tmp_path):
    rows = [json.loads(line) for line in (GOLDEN / "humaneval.jsonl").read_text().splitlines()]
    path = tmp_path / "test.parquet"
    table = pyarrow.Table.from_pylist([{**row, "base_input": [[1]]} for row in rows])
    pyarrow.parquet.write_table(table, path)
    assert load_task("t", path, "humaneval") == load_task(
        "t", GOLDEN / "humaneval.jsonl", "humaneval"
    )


EMOJI = {
    "canary": "-",
    "name": "emoji_movie",
    "description": "Guess popular movies from their emoji descriptions",
    "keywords": ["riddle"],
    "append_choices_to_input": True,
    "preferred_score": "multiple_choice_grade",
    "metrics": ["multiple_choice_grade", "exact_str_match"],
    "examples": [
        {
            "input": "What movie does this emoji describe? 🚢🧊",
            "target_scores": {"titanic": 1, "jaws": 0, "rocky": 0},
            "target": "titanic",
        },
        {
            "input": "What movie does this emoji describe? 🥊",
            "target_scores": {"jaws": 0, "rocky": 1},
            "target": "rocky",
        },
    ],
}


def test_bigbench_with_choices(write):
    path = write("emoji_movie/task.json", EMOJI)
    first, second = load_problems("t", path, "bigbench")
    # the order of numpy's RandomState(42), which BIG-bench shows choices in
    assert first.instance.prompt == (
        "Q: What movie does this emoji describe? 🚢🧊\n"
        "  choice: jaws\n  choice: rocky\n  choice: titanic\nA:"
    )
    assert first.instance.target == ExactAnswer(("titanic",))
    assert second.solution == " rocky"
    shots = TaskSource(path, shots=Shots(1, path))
    one = load_task("t", shots, "bigbench")
    assert one[0].prompt == f"{second.instance.prompt} rocky\n\n{first.instance.prompt}"
    assert one[1].prompt == f"{first.instance.prompt} titanic\n\n{second.instance.prompt}"


def test_bigbench_targets_without_choices_shown(write):
    date = {
        **EMOJI,
        "append_choices_to_input": False,
        "task_prefix": "Infer the date. ",
        "example_input_prefix": "\nDate: ",
        "example_output_prefix": "\nIs: ",
        "examples": [
            {"input": "a", "target_scores": {"1/1": 0, "2/2": 1, "3/3": 1}},
            {"input": "a", "target_scores": {"1/1": 0, "2/2": 1, "3/3": 1}},
            {"input": "b", "target": ["x", "y"]},
        ],
    }
    first, second = load_task("t", write("date/task.json", date), "bigbench")
    assert first.prompt == "Infer the date. \nDate: a\nIs:"
    assert first.target.accepted == ("2/2", "3/3")
    assert second.target.accepted == ("x", "y")
    path = write("date/task.json", date)
    (shown, _) = load_task("t", TaskSource(path, shots=Shots(1, path)), "bigbench")
    assert shown.prompt == "Infer the date. \nDate: b\nIs: x\n\nDate: a\nIs:"
    broken = {**date, "examples": [{"input": "a"}]}
    with pytest.raises(UsageError, match=r"example 1: target: got nothing; allowed: target or"):
        load_task("t", write("date/task.json", broken), "bigbench")


def test_bigbench_subtasks(write):
    head = {key: value for key, value in EMOJI.items() if key != "examples"}
    path = write("icl/task.json", {**head, "name": "unnatural_in_context_learning"})
    with pytest.raises(UsageError, match=r"no \*/task.json beside it; .* fetch the whole folder"):
        load_task("t", path, "bigbench")
    for name in ("identity", "dates"):
        sub = {**head, "name": name, "example_input_prefix": "", "example_output_prefix": "!"}
        inputs = [f"Input: {i}\nOutput: {name}" for i in ((1, 2) if name == "dates" else (1,))]
        examples = [{"input": text, "target": "1"} for text in (*inputs, inputs[0])]
        write(f"icl/{name}/task.json", {**sub, "examples": examples})
    before = task_digest(path, "bigbench")
    instances = load_task("t", path, "bigbench")
    assert [i.id for i in instances] == ["dates/1", "identity/1", "dates/2"]  # in turns
    assert instances[0].prompt == "Input: 1\nOutput: dates!"
    write("icl/dates/task.json", {**head, "examples": [{"input": "i", "target": "o"}]})
    assert task_digest(path, "bigbench") != before


APPS = {
    "problem_id": 7,
    "question": "Print the sum of the two numbers.",
    "solutions": json.dumps(["print(sum(map(int, input().split())))"]),
    "input_output": json.dumps({"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]}),
    "difficulty": "introductory",
    "starter_code": "",
}


def test_apps(write):
    (problem,) = load_problems("t", write("a.json", [APPS]), "apps")
    assert problem.instance.id == "7"
    assert problem.instance.prompt == (
        "\nQUESTION:\nPrint the sum of the two numbers.\nUse Standard Input format\nANSWER:\n"
    )
    assert "('1 2\\n', '3\\n')" in problem.instance.target.test
    assert problem.solution == "print(sum(map(int, input().split())))"


def test_apps_calls(write):
    cases = {"fn_name": "add", "inputs": [[1, 2], [3, 4]], "outputs": [[3], [7]]}
    row = {**APPS, "input_output": json.dumps(cases), "starter_code": "def add(a, b):\n\t"}
    (problem,) = load_problems("t", write("a.json", [row]), "apps")
    assert problem.instance.prompt == (
        "\nQUESTION:\nPrint the sum of the two numbers.\ndef add(a, b):\n\t\n"
        "Use Call-Based format\nANSWER:\n"
    )
    assert problem.instance.target.entry_point == ".add"
    assert "[[[1, 2], [3]], [[3, 4], [7]]]" in problem.instance.target.test
    for wrong in ({"outputs": [[3]]}, {"inputs": [1, 2]}):
        row = {**APPS, "input_output": json.dumps({**cases, **wrong})}
        with pytest.raises(UsageError, match=r"a.json:1: input_output: got 2 inputs and"):
            load_task("t", write("a.json", [row]), "apps")
    row = {**APPS, "input_output": json.dumps({**cases, "inputs": 5})}
    with pytest.raises(UsageError, match=r"a.json:1: input_output: got inputs or outputs that are"):
        load_task("t", write("a.json", [row]), "apps")
    row = {**APPS, "input_output": json.dumps({**cases, "fn_name": "class"})}
    with pytest.raises(UsageError, match=r"a.json:1: .*the function 'class'"):
        load_task("t", write("a.json", [row]), "apps")


def test_codecontests(write):
    row = {
        "name": "1_A. Sum",
        "description": "Print the sum.",
        "public_tests": {"input": ["1 2\n"], "output": ["3\n"]},
        "private_tests": {"input": ["2 2\n"], "output": ["4\n"]},
        "generated_tests": {"input": [], "output": []},
        "solutions": {"language": [2, 3], "solution": ["int main", "print(3)"]},
        "time_limit": {"seconds": 1, "nanos": 0},
    }
    (problem,) = load_problems("t", write("c.json", [row]), "codecontests")
    assert problem.solution == "print(3)"
    assert "('2 2\\n', '4\\n')" in problem.instance.target.test


def livecodebench(private):
    return {
        "question_title": "Sum",
        "question_content": "Print the sum.",
        "question_id": "abc1_a",
        "starter_code": "",
        "public_test_cases": json.dumps([{"input": "1 2", "output": "3", "testtype": "stdin"}]),
        "private_test_cases": private,
        "metadata": "{}",
    }


def packed(value):
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


def test_livecodebench(write):
    cases = json.dumps([{"input": "2 2", "output": "4", "testtype": "stdin"}])
    for private in (cases, packed(cases)):
        path = write("l.json", [livecodebench(private)])
        (problem,) = load_problems("t", path, "livecodebench")
        assert problem.solution is None
        assert "('2 2', '4')" in problem.instance.target.test


def test_livecodebench_calls(write):
    cases = [{"input": '[1, 2]\n"x"', "output": "true", "testtype": "functional"}]
    row = {
        **livecodebench("[]"),
        "starter_code": "class Solution:\n    def has(self, a: List[int], b: str):\n        ",
        "public_test_cases": json.dumps(cases),
        "metadata": json.dumps({"func_name": "has"}),
    }
    (problem,) = load_problems("t", write("l.json", [row]), "livecodebench")
    assert problem.instance.target.entry_point == ".has"
    assert '[[[[1, 2], "x"], true]]' in problem.instance.target.test
    assert "class Solution:" in problem.instance.prompt
    with pytest.raises(UsageError, match=r"l.json:1: metadata: got '\{\}' beside starter_code"):
        load_task("t", write("l.json", [{**row, "metadata": "{}"}]), "livecodebench")
    for metadata in ("[]", '{"func_name": 3}'):
        with pytest.raises(UsageError, match=r"l.json:1: metadata: got"):
            load_task("t", write("l.json", [{**row, "metadata": metadata}]), "livecodebench")
    halves = json.dumps([{"input": "1"}])
    with pytest.raises(UsageError, match=r"l.json:1: test_cases: got a case without"):
        load_task("t", write("l.json", [{**row, "public_test_cases": halves}]), "livecodebench")


class Evil:
    def __reduce__(self):
        return (print, ("run",))


def test_livecodebench_unpickles_text_only(write, capsys):
    path = write("l.json", [livecodebench(packed(Evil()))])
    with pytest.raises(UsageError, match=r"got a pickled builtins\.print; .*do not use it"):
        load_task("t", path, "livecodebench")
    path = write("l.json", [livecodebench("bm90aGluZw==")])
    with pytest.raises(UsageError, match="allowed: JSON, or base64 of zlib"):
        load_task("t", path, "livecodebench")
    assert capsys.readouterr().out == ""


def test_stdio(write):
    row = {"task_id": "s", "prompt": "Print 1.", "inputs": [""], "outputs": ["1\n"]}
    (problem,) = load_problems("t", write("s.json", [row]), "stdio")
    assert problem.instance.prompt == "Print 1."
    with pytest.raises(UsageError, match="1 inputs and 0 outputs"):
        load_task("t", write("s.json", [{**row, "outputs": []}]), "stdio")


def test_harness():
    problems = load_problems("t", GOLDEN / "filters.yaml", "harness")
    assert problems[0].instance.target == ExactAnswer(("pear", "a pear"))
    assert problems[0].solution == " pear"
    with pytest.raises(UsageError, match="output_type: got 'multiple_choice'; allowed: generate_"):
        load_task("t", GOLDEN / "choices.yaml", "harness")


def test_digest_covers_all_that_makes_the_prompts(tmp_path):
    files = {f.name: f.read_bytes() for f in GOLDEN.iterdir() if f.suffix in (".yaml", ".jsonl")}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    task = tmp_path / "filters.yaml"
    seen = {task_digest(task, "harness")}
    for name in ("filters.yaml", "base.yaml", "quiz.jsonl"):
        (tmp_path / name).write_bytes(files[name] + b"\n")
        seen.add(task_digest(task, "harness"))
    assert len(seen) == 4
    source = tmp_path / "gsm8k_test.jsonl"
    train = tmp_path / "gsm8k_train.jsonl"
    digests = {
        task_digest(TaskSource(source, shots=shots), "gsm8k")
        for shots in (None, Shots(1, train), Shots(2, train), Shots(2, train, draw="seeded"))
    }
    assert len(digests) == 4
    train.write_bytes(files["gsm8k_train.jsonl"] + b"\n")
    assert task_digest(TaskSource(source, shots=Shots(1, train)), "gsm8k") not in digests


@pytest.mark.parametrize(
    ("name", "shots", "message"),
    [
        ("gsm8k", Shots(1), "shots.path: got nothing; allowed: the file"),
        ("gsm8k", Shots(9, GOLDEN / "gsm8k_train.jsonl"), "shots.n: got 9 examples with 7 to"),
        ("humaneval", Shots(1, GOLDEN / "humaneval.jsonl"), "shots: got examples with a format"),
    ],
)
def test_examples_that_cannot_be(name, shots, message):
    file = GOLDEN / ("humaneval.jsonl" if name == "humaneval" else "gsm8k_test.jsonl")
    with pytest.raises(UsageError, match=message):
        load_task("t", TaskSource(file, shots=shots), name)


def test_a_hub_data_set_without_the_package_names_the_install_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(UsageError, match=r"'openai/gsm8k'.*pip install 'passuntil\[hub\]'"):
        load_task("t", "hub:openai/gsm8k", "gsm8k")


class FakeDatasets:
    """Stands in for the package, which is no dependency of the tests; records the call."""

    def __init__(self, rows):
        self.rows, self.calls = rows, []

    def load_dataset(self, *arguments, **options):
        self.calls.append((arguments, options))
        if self.rows is None:
            raise ConnectionError("no network")
        return self

    def to_list(self):
        return self.rows


def test_a_hub_data_set(monkeypatch):
    rows = [json.loads(line) for line in (GOLDEN / "gsm8k_test.jsonl").read_text().splitlines()]
    fake = FakeDatasets(rows)
    monkeypatch.setitem(__import__("sys").modules, "datasets", fake)
    source = TaskSource("hub:openai/gsm8k", revision="abc", shots=Shots(1))
    found = prompts(source, "gsm8k")
    assert found[0].count("Question:") == 2
    assert fake.calls == [
        (("openai/gsm8k", "main"), {"split": "test", "revision": "abc"}),
        (("openai/gsm8k", "main"), {"split": "train", "revision": "abc"}),
    ]
    digest = task_digest(source, "gsm8k")
    fake.rows = rows[:2]
    assert task_digest(source, "gsm8k") != digest
    fake.rows = None
    with pytest.raises(UsageError, match=r"'openai/gsm8k \(main\)', split 'test': .*no network"):
        load_task("t", source, "gsm8k")
