"""The command line: help, JSON, and one clear message for every bad input."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from simulated import JOB

from passuntil import cli
from passuntil.cli import common
from passuntil.runner.record import RunRecord

COMMANDS = (
    *("run", "demo", "show", "fit", "predict", "score"),
    *("backtest", "emergence", "plan", "verify", "recheck", "replay", "export", "choices"),
    "inspect",
    *("doctor", "version"),
)


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *argv: object):
    """Return exit code, standard output and standard error of a command line."""
    monkeypatch.setattr("sys.argv", ["passuntil", *map(str, argv)])
    code = 0
    try:
        cli.main()
    except SystemExit as exit_:
        code = exit_.code or 0
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def passuntil(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(common.console, "width", 160)
    monkeypatch.setattr(common.errors, "width", 400)
    return lambda *argv: call(monkeypatch, capsys, *argv)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(passuntil, command: str) -> None:
    code, out, _ = passuntil(command, "--help")
    assert code == 0
    assert "Usage" in out
    assert len(out.splitlines()) > 5


def test_commands_listed_are_all(passuntil) -> None:
    _, out, _ = passuntil("--help")
    names = {command.name or command.callback.__name__ for command in cli.app.registered_commands}
    assert names == set(COMMANDS)
    assert all(name in out for name in names)


def test_show_json_is_one_object_with_every_model(passuntil, finished_run: Path) -> None:
    code, out, _ = passuntil("show", finished_run, "--json")
    assert code == 0
    shown = json.loads(out)
    (task,) = shown["tasks"]
    assert [m["model"] for m in task["models"]] == ["small", "middle", "large", "huge"]
    values = [m["pu"]["value"] for m in task["models"]]
    assert all(0 < value < 1 for value in values)
    (forecast,) = shown["forecasts"]
    assert forecast["is_intact"]
    assert forecast["measured"]["value"] == values[-1]


def test_show_prints_tables_law_and_forecast(passuntil, finished_run: Path) -> None:
    code, out, _ = passuntil("show", finished_run)
    assert code == 0
    for expected in ("answers: stop at 1 passing", "huge *", "-log PU =", "sealed first"):
        assert expected in out


@pytest.mark.parametrize("width", [60, 80])
def test_no_number_is_cut_on_a_narrow_terminal(
    passuntil, finished_run: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setattr(common.console, "width", width)
    _, narrow, _ = passuntil("show", finished_run)
    assert "…" not in narrow


def test_fit_and_predict_agree_with_the_library(passuntil, finished_run: Path) -> None:
    _, out, _ = passuntil("fit", finished_run, "--json", "--method", "ols")
    fit = json.loads(out)["fits"]["answers"]
    code, out, _ = passuntil(
        "predict", finished_run, "--n-params", "5e6", "--method", "ols", "--json"
    )
    assert code == 0
    prediction = json.loads(out)["predictions"]["answers"]
    assert prediction["value"] == pytest.approx(math.exp(-fit["c"] * 5e6 ** -fit["alpha"]))
    assert prediction["confidence_level"] == 0.9


def test_predict_level_widens_the_interval(passuntil, finished_run: Path) -> None:
    widths = []
    for level in ("0.5", "0.9", "0.99"):
        _, out, _ = passuntil(
            "predict", finished_run, "--n-params", "3e6", "--confidence-level", level, "--json"
        )
        prediction = json.loads(out)["predictions"]["answers"]
        widths.append(prediction["high"] - prediction["low"])
    assert widths == sorted(widths)


def test_predict_names_its_model_by_the_covariate(passuntil, finished_run: Path) -> None:
    for options, words in (
        ((), "got no --n-params"),
        (("--against", "loss"), "add --at"),
        (("--n-params", "nan"), "finite --n-params"),
        (("--n-params", "1e6", "--confidence-level", "2"), "confidence_level: got 2.0"),
        (("--at", "1e20"), "--n-params"),
        (("--against", "compute", "--n-params", "1e9"), "--at"),
        (("--against", "compute", "--at", "1e20"), "no compute in the job"),
    ):
        code, _, err = passuntil("predict", finished_run, *options)
        assert code == 2
        assert words in err


def test_held_out_models_enter_a_fit_only_when_asked(passuntil, finished_run: Path) -> None:
    _, out, _ = passuntil("fit", finished_run, "--json")
    assert len(json.loads(out)["fits"]["answers"]["n_params"]) == 3
    _, out, _ = passuntil("fit", finished_run, "--json", "--include-held-out")
    assert len(json.loads(out)["fits"]["answers"]["n_params"]) == 4


def test_sealed_forecast_is_graded(passuntil, finished_run: Path, tmp_path: Path) -> None:
    sealed = tmp_path / "forecast.json"
    code, out, _ = passuntil("predict", finished_run, "--n-params", "1e6", "--seal", sealed)
    assert code == 0
    assert "Sealed in" in out
    code, _, err = passuntil("predict", finished_run, "--n-params", "1e6", "--seal", sealed)
    assert code == 2
    assert "exists" in err
    code, out, _ = passuntil("score", sealed, finished_run, "--json")
    assert code == 0
    (score,) = json.loads(out)["scores"]
    assert (score["task"], score["model"]) == ("answers", "huge")
    assert isinstance(score["is_covered"], bool)
    changed = sealed.read_text().replace('"confidence_level": 0.9', '"confidence_level": 0.8')
    assert changed != sealed.read_text()
    sealed.write_text(changed)
    code, _, err = passuntil("score", sealed, finished_run)
    assert code == 2
    assert "seal" in err


def test_backtest_prints_and_plots(passuntil, finished_run: Path, tmp_path: Path) -> None:
    code, out, _ = passuntil("backtest", finished_run, "--plot", tmp_path / "backtest.png")
    assert code == 0
    assert "last value" in out
    assert "combined" in out
    assert (tmp_path / "backtest.png").stat().st_size > 10_000


def test_emergence_with_few_sizes_says_so(passuntil, finished_run: Path) -> None:
    code, out, _ = passuntil("emergence", finished_run, "--json")
    assert code == 0
    assert json.loads(out)["emergence"]["answers"]["verdict"] == "not enough data"
    code, _, err = passuntil("emergence", finished_run, "--against", "loss")
    assert code == 2
    assert "no loss in the job" in err


def test_plan_names_samples_and_hours(passuntil, finished_run: Path) -> None:
    code, out, _ = passuntil(
        "plan", finished_run, "--n-params", "1e6", "--new-size", "5e5", "--json"
    )
    assert code == 0
    plan = json.loads(out)["plans"]["answers"]
    assert plan["least_log_width"] <= plan["log_width"]
    assert [option["is_new"] for option in plan["options"]].count(True) == 1


def test_files_to_write_need_their_folder(passuntil, finished_run: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    for command in (
        ("predict", finished_run, "--n-params", "1e6", "--seal", gone / "forecast.json"),
        ("backtest", finished_run, "--plot", gone / "plot.png"),
    ):
        code, out, err = passuntil(*command)
        assert (code, out) == (2, "")
        assert f"there is no folder {gone}" in err


def test_what_is_no_forecast_is_not_scored(passuntil, finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("[]")
    for name, words in (("gone.json", "cannot be read (No such file"), ("other.json", "holds no")):
        code, _, err = passuntil("score", tmp_path / name, finished_run)
        assert code == 2
        assert words in err
        assert "check the path" in err or "seal the forecast anew" in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--n-params", "-5"), "n_params: got -5.0"),
        (("--n-params", "1e6", "--confidence-level", "2"), "confidence_level: got 2.0"),
        (("--n-params", "1e6", "--new-size", "0"), "new_sizes: got 0.0"),
    ],
)
def test_plan_refuses_what_is_no_size_or_level(
    passuntil, finished_run: Path, options: tuple[str, ...], words: str
) -> None:
    code, out, err = passuntil("plan", finished_run, *options, "--json")
    assert (code, out) == (2, "")
    assert words in err


def test_doctor_json(passuntil) -> None:
    code, out, _ = passuntil("doctor", "--json")
    assert code == 0
    names = [finding["name"] for finding in json.loads(out)["findings"]]
    assert names == ["engine", "GPU", "isolation", "Ray", "bundled models"]


def test_dry_run_prints_job_and_cost_and_makes_nothing(passuntil, tmp_path: Path) -> None:
    code, out, _ = passuntil(
        "run", "builtin:demo", "--dry-run", "-o", tmp_path / "run", "budget=500"
    )
    assert code == 0
    assert "budget: 500" in out
    assert "at most" in out
    assert not (tmp_path / "run").exists()


def test_dry_run_refuses_a_total_budget_below_the_floor(passuntil) -> None:
    demo = ("run", "builtin:demo", "--dry-run", "mode=target", "min_samples=100")
    code, out, err = passuntil(*demo, "total_budget=1599")
    assert (code, out) == (2, "")
    assert "16 instances of pico-code, 1600" in err
    code, out, _ = passuntil(*demo, "total_budget=1600")
    assert code == 0
    assert out.count("9.6k") == 4  # least and most of both tasks: 6 models x 1,600


def test_dry_run_shows_the_plan_of_a_forecast(passuntil) -> None:
    demo = ("run", "builtin:demo", "--dry-run", "mode=target", "min_samples=10", "forecast=2e7")
    code, out, err = passuntil(*demo, "total_budget=799")
    assert (code, out) == (2, "")
    assert "16 instances of pico-code under each of 5 models, 800" in err
    code, out, _ = passuntil(*demo, "total_budget=8000")
    assert code == 0
    assert "Steered by the forecast of 20M parameters: a first round of 10 samples" in out
    assert out.count("9.6k") == 2  # most of both tasks: 8,000, and 1,600 of the held-out model


def test_dry_run_says_which_tasks_are_calculated(passuntil) -> None:
    _, out, _ = passuntil("run", "builtin:demo", "--dry-run", "tasks.pico-answer.method=likelihood")
    (row,) = [line for line in out.splitlines() if line.startswith("│ pico-answer")]
    assert [cell.strip() for cell in row.strip("│").split("│")][3:] == [
        "calculated",
        "none",
        "none",
    ]


def test_dry_run_names_the_keys_its_mode_leaves_aside(passuntil) -> None:
    demo = ("run", "builtin:demo", "--dry-run")
    for options, expected in (
        (("mode=fixed", "samples=50", "budget=200"), "Not used in mode fixed: "),
        (("mode=target", "target_width=0.5", "passes=3"), "Not used in mode target: passes"),
    ):
        code, out, err = passuntil(*demo, *options)
        assert code == 0, err
        assert expected in out
    assert "Not used" not in passuntil(*demo)[1]


JOB_WITH_FILE = JOB.replace("builtin:pico-answer", "tasks.jsonl")

BAD_INPUT = {
    "malformed YAML": (JOB + "\n  - [", r"job.yaml:\d+"),
    "unknown key": (
        JOB.replace("budget:", "buget:"),
        r"job.yaml:\d+: buget.*Did you mean 'budget'",
    ),
    "missing model": (
        JOB.replace("builtin:pico-20k", "no/such/model"),
        r"job.yaml:\d+.*no/such/model",
    ),
    "unknown bundled model": (JOB.replace("builtin:pico-20k", "builtin:pico-20m"), r"pico-20k"),
    "floor above budget": (JOB.replace("min_samples: 20", "min_samples: 3000"), "min_samples"),
    "missing task file": (JOB_WITH_FILE, r"tasks.jsonl"),
}


@pytest.mark.parametrize("what", BAD_INPUT)
def test_bad_job_files(passuntil, tmp_path: Path, what: str) -> None:
    text, expected = BAD_INPUT[what]
    (tmp_path / "job.yaml").write_text(text)
    code, _, err = passuntil("run", tmp_path / "job.yaml", "-o", tmp_path / "run")
    assert code == 2
    assert "UsageError" in err
    assert "Traceback" not in err
    assert re.search(expected, err), err
    assert not (tmp_path / "run").exists()


def test_broken_line_of_a_task_file(passuntil, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(JOB_WITH_FILE)
    good = '{"task_id": "a", "prompt": "1+1=", "answer": "2"}\n'
    (tmp_path / "tasks.jsonl").write_text(good + '{"task_id": "b", "prompt": \n' + good)
    code, _, err = passuntil("run", tmp_path / "job.yaml", "-o", tmp_path / "run")
    assert code == 2
    assert "tasks.jsonl:2" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["show", "fit"])
def test_folder_without_a_run(passuntil, tmp_path: Path, command: str) -> None:
    code, _, err = passuntil(command, tmp_path)
    assert code == 2
    assert "which has no ledger.sqlite; allowed" in err


def test_unknown_task_and_method(passuntil, finished_run: Path) -> None:
    code, _, err = passuntil("show", finished_run, "--task", "answer")
    assert code == 2
    assert "Did you mean 'answers'" in err
    code, _, err = passuntil("fit", finished_run, "--method", "msle")
    assert code == 2
    assert "Did you mean 'mle'" in err
    for method, lacking in (("joint", "got no n_tokens"), ("loss_assisted", "got no --losses")):
        code, _, err = passuntil("fit", finished_run, "--method", method)
        assert code == 2
        assert lacking in err


def test_losses_of_gold_answers(passuntil, finished_run: Path, tmp_path: Path) -> None:
    instances = RunRecord.load(finished_run).tasks["small", "answers"].instances
    lines = ["model,instance,loss"]
    for k, model in enumerate(("small", "middle", "large", "huge")):
        lines += [f"{model},{name},{(1 + place) * 0.7**k}" for place, name in enumerate(instances)]
    (tmp_path / "losses.csv").write_text("\n".join(lines))
    given = ("--method", "loss_assisted", "--losses", tmp_path / "losses.csv")
    code, out, _ = passuntil("fit", finished_run, *given, "--json")
    assert code == 0
    assert json.loads(out)["fits"]["answers"]["method"] == "loss_assisted"
    asked = ("predict", finished_run, *given, "--n-params", "1e6", "--json")
    values = []
    for own in ((), ("--losses-of", "huge")):
        code, out, _ = passuntil(*asked, *own)
        assert code == 0
        values.append(json.loads(out)["predictions"]["answers"]["value"])
    assert values[0] != values[1]
    code, out, _ = passuntil("backtest", finished_run, *given, "--json")
    assert code == 0
    rows = json.loads(out)["backtests"]["answers"]["rows"]
    assert {row["method"] for row in rows} >= {"loss_assisted", "last value"}
    code, _, err = passuntil("predict", finished_run, "--n-params", "1e6", "--losses-of", "huge")
    assert code == 2
    assert "add --losses FILE" in err


def test_code_problem_whose_own_solution_fails(passuntil, tmp_path: Path) -> None:
    problem = {
        "task_id": "x/0",
        "prompt": "def f(x):\n",
        "canonical_solution": "    return x\n",
        "test": "def check(candidate):\n    assert candidate(1) == 2\n",
        "entry_point": "f",
    }
    (tmp_path / "tasks.jsonl").write_text(json.dumps(problem) + "\n")
    text = JOB_WITH_FILE.replace("format: answers", "format: humaneval")
    text = text.replace("    checker: {normalise: []}\n", "")
    (tmp_path / "job.yaml").write_text(text)
    code, _, err = passuntil("run", tmp_path / "job.yaml", "-o", tmp_path / "run")
    assert code == 2
    assert "x/0" in err
    assert "canonical solution" in err
