import json
import re
import subprocess
import sys
from dataclasses import asdict

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from passuntil.config import Job, build_checkers, diff_jobs, identity, load_job, paths
from passuntil.errors import UsageError
from passuntil.ports import Decoding
from passuntil.steering import ForecastGoal, Goal
from passuntil.stopping import Mode, StopRule

JOB = """\
family:
  - {name: small, path: ./small, n_params: 20_480}
  - name: pythia-1.4b
    path: EleutherAI/pythia-1.4b
    n_params: 70e6
    held_out: true
tasks:
  - name: sums
    path: sums.jsonl
    format: answers
    checker: {kind: exact, extract: {pattern: '(\\d+)', take: last}}
    sampling: {max_tokens: 16}
  - name: code
    path: code.jsonl
    format: humaneval
budget: 1_000
"""
LINES = JOB.splitlines()
HUMANEVAL = {"task_id": "0", "prompt": "p", "canonical_solution": "", "test": "t"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "config.json").write_text("{}")
    (tmp_path / "sums.jsonl").write_text('{"id": "a", "prompt": "1+1=", "answer": "2"}\n')
    (tmp_path / "code.jsonl").write_text(json.dumps({**HUMANEVAL, "entry_point": "f"}))
    (tmp_path / "job.yaml").write_text(JOB)
    return tmp_path


def problems(folder, text=JOB, overrides=()):
    """Return the lines of the error, each without the folder's name."""
    (folder / "job.yaml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_job(folder / "job.yaml", overrides)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def test_a_job_with_its_defaults(folder):
    job = load_job(folder / "job.yaml")
    assert job.name == "job"
    assert [m.name for m in job.family] == ["small", "pythia-1.4b"]
    assert [m.n_params for m in job.family] == [20_480, 70_000_000]
    assert [job.model_location(m) for m in job.family] == [
        folder / "small",
        "EleutherAI/pythia-1.4b",
    ]
    assert job.task_source(job.task("sums")).path == folder / "sums.jsonl"
    assert [i.id for i in job.instances("sums")] == ["a"]
    assert job.stop_rule() == StopRule(passes=1, min_samples=1, budget=1000)
    assert job.decoding("sums") == Decoding(max_tokens=16)
    assert job.decoding(job.task("code")) == Decoding(max_tokens=256)
    assert job.tasks[1].checker.kind == "code"
    assert job.engine.max_num_seqs == 256
    assert job.seeding == "per_sample"
    assert job.greedy is True


@pytest.mark.parametrize(
    ("file", "name"), [("my job.v2.yaml", "my-job.v2"), ("-é.yaml", "job"), ("x", "x")]
)
def test_the_name_defaults_to_the_file_made_fit(folder, file, name):
    (folder / "job.yaml").rename(folder / file)
    assert load_job(folder / file).name == name


def test_overrides_reach_every_level(folder):
    job = load_job(
        folder / "job.yaml",
        [
            "budget=2e3",
            "name=other",
            "sampling.temperature=0.8",
            "sampling.stop=[a, '\\n']",
            "tasks.sums.limit=16",
            "tasks.1.limit=8",
            "tasks.code.sampling.stop=[b]",
            "family.pythia-1.4b.n_params=5",
            "engine.max_num_seqs=64",
        ],
    )
    assert (job.name, job.budget) == ("other", 2000)
    assert [task.limit for task in job.tasks] == [16, 8]
    assert job.decoding("sums") == Decoding(16, temperature=0.8, stop=("a", "\\n"))
    assert job.decoding("code") == Decoding(256, temperature=0.8, stop=("b",))
    assert job.family[1].n_params == 5
    assert job.engine.max_num_seqs == 64


def test_plain_scalars_are_what_people_mean(folder):
    text = JOB.replace("    held_out: true", "    revision: 2024-01-01\n    n_tokens: 3e9")
    job = load_job(folder / "job.yaml", ["sampling.stop=[no, 1:30, 010, on]"])
    assert job.decoding("code").stop == ("no", "1:30", "010", "on")
    (folder / "job.yaml").write_text(text)
    model = load_job(folder / "job.yaml").family[1]
    assert (model.revision, model.n_tokens) == ("2024-01-01", 3e9)


def test_anchors_and_merges_work(folder):
    text = JOB + "sampling: &s {temperature: 0.5}\n"
    text = text.replace("sampling: {max_tokens: 16}", "sampling: {<<: {top_k: 3}, max_tokens: 16}")
    (folder / "job.yaml").write_text(text)
    job = load_job(folder / "job.yaml")
    assert job.decoding("sums") == Decoding(16, temperature=0.5, top_k=3)


@pytest.mark.parametrize(
    ("line", "new", "problem"),
    [
        ("budget: 1_000", "bugdet: 1", "16: bugdet: got the unknown key 'bugdet'; allowed: name, "
         "family, tasks, sampling, mode, samples, target_width, total_budget, forecast, "
         "sample_cost, passes, min_samples, budget, seed, seeding, greedy, keep_texts, "
         "models_at_once, engine, checker; rename or remove it. Did you mean 'budget'?"),
        ("budget: 1_000", "budget: ten", "16: budget: got 'ten'; allowed: a whole number; "
         "correct the value."),
        ("budget: 1_000", "budget: 1.5", "16: budget: got 1.5; allowed: "),
        ("budget: 1_000", "budget: true", "16: budget: got True; allowed: a whole number; "),
        ("budget: 1_000", "budget: 0", "16: budget: got 0; allowed: >= 1; correct the value."),
        ("budget: 1_000", "passes: 2\nbudget: 1", "16: passes: got 2; allowed: 1 ... budget=1; "
         "lower passes or raise budget."),
        ("budget: 1_000", "min_samples: 2\nbudget: 1", "16: min_samples: got 2; allowed: 1 ... "),
        ("budget: 1_000", "seed: -1", "16: seed: got -1; allowed: >= 0; "),
        ("budget: 1_000", "greedy: yes", "16: greedy: got 'yes'; allowed: true or false; "),
        ("budget: 1_000", "sampling: {temperature: 0}", "16: sampling.temperature: got 0; "
         "allowed: >= 0.01; "),
        ("budget: 1_000", "sampling:\n  top_p: .nan", "17: sampling.top_p: got nan; allowed: a "
         "finite number; "),
        ("budget: 1_000", "sampling:\n  stop: x", "17: sampling.stop: got 'x'; allowed: a list; "),
        ("budget: 1_000", "sampling:\n  stop: ['']", "17: sampling.stop.0: got ''; allowed: at "
         "least 1 characters; "),
        ("budget: 1_000", "sampling: 3", "16: sampling: got 3; allowed: a mapping of keys; "),
        ("budget: 1_000", "engine: {dtype: float33}", "16: engine.dtype: got 'float33'; allowed: "
         "'auto', 'float32', 'bfloat16' or 'float16'; correct the value. Did you mean 'float32'?"),
        ("budget: 1_000", "engine: {max_seqs: 1}", "16: engine.max_seqs: got the unknown key "
         "'max_seqs'; allowed: kind, dtype, max_num_seqs, "),
        ("budget: 1_000", "checker: {retrys: 1}", "16: checker.retrys: got the unknown key "
         "'retrys'; allowed: workers, retries, unsafe_no_sandbox; rename or remove it. Did you "
         "mean 'retries'?"),
        ("    n_params: 70e6", "    n_param: 1", "3: family.1.n_params: got nothing; allowed: a "
         "value, the key is required; add it."),
        ("    n_params: 70e6", "    n_params: x", "5: family.1.n_params: got 'x'; allowed: a "
         "whole number; "),
        ("    n_params: 70e6", "    n_params: 1\n    loss: -1", "6: family.1.loss: got -1; "
         "allowed: > 0.0; "),
        ("  - name: pythia-1.4b", "  - name: small", "3: family.1.name: got 'small' a second "
         "time (first: item 0); allowed: unique names; rename one."),
        ("  - name: pythia-1.4b", "  - name: a/b", "3: family.1.name: got 'a/b'; allowed: "
         "letters, digits"),
        ("  - name: pythia-1.4b", "  - name: 7", "3: family.1.name: got 7; allowed: text; quote "
         "it if it looks like a number; "),
        ("  - name: code", "  - name: sums", "13: tasks.1.name: got 'sums' a second time"),
        ("    format: humaneval", "    format: human", "15: tasks.1.format: got 'human'; allowed: "
         "answers, apps, bigbench, codecontests, gsm8k, harness, humaneval, livecodebench, math, "
         "mbpp, stdio; name the file's format. Did you mean 'humaneval'?"),
        ("    format: humaneval", "    format: humaneval\n    checker: {kind: cod}", "16: "
         "tasks.1.checker.kind: got 'cod'; allowed: 'exact', 'number', 'gsm8k', 'maths', "
         "'harness', 'code', 'custom'; correct the value. Did you mean 'code'?"),
        ("    format: humaneval", "    format: humaneval\n    checker: {kind: exact}", "16: "
         "tasks.1.checker: got kind 'exact' with format 'humaneval'; allowed: 'code', "
         "'custom'; "),
        ("    format: answers", "    format: answers\n    limit: 0", "11: tasks.0.limit: got 0; "),
        ("    sampling: {max_tokens: 16}", "    sampling: {max_token: 1}", "12: "
         "tasks.0.sampling.max_token: got the unknown key 'max_token'; allowed: temperature, "
         "top_p, top_k, max_tokens, stop; rename or remove it. Did you mean 'max_tokens'?"),
    ],
)  # fmt: skip
def test_a_problem_names_line_key_got_and_allowed(folder, line, new, problem):
    assert line in LINES
    text = JOB.replace(line + "\n", new + "\n")
    assert any(p.startswith(f"job.yaml:{problem}") for p in problems(folder, text))


@pytest.mark.parametrize(
    ("checker", "problem"),
    [
        ("{normalise: [strip, lowr]}", "checker.normalise: got 'lowr'; allowed: strip, "),
        ("{normalise: strip}", "checker.normalise: got 'strip'; allowed: a list; "),
        ("{extract: {pattern: '('}}", "checker.extract.pattern: got '(', which is malformed"),
        ("{extract: {pattern: a, group: 1}}", "checker.extract.group: got 1; allowed: 0, "),
        ("{extract: {pattern: a, takes: last}}", "checker.extract.takes: got the unknown key "
         "'takes'; allowed: pattern, take, group; rename or remove it. Did you mean 'take'?"),
        ("{extract: {pattern: a, take: lst}}", "checker.extract.take: got 'lst'; allowed: "),
        ("{extract: {take: last}}", "checker.extract.pattern: got nothing; allowed: a value, "),
        ("{kind: exact, require_ends: true}", "checker.require_ends: got the unknown key "),
        ("exact", "checker: got 'exact'; allowed: "),
    ],
)  # fmt: skip
def test_problems_of_an_exact_checker(folder, checker, problem):
    text = JOB.replace(LINES[10], f"    checker: {checker}")
    (line,) = problems(folder, text)
    assert line.startswith(f"job.yaml:11: tasks.0.{problem}")


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("builtin:smal", "got 'builtin:smal'; allowed: builtin:NAME with NAME a bundled model: "
         "large, small; correct the name. Did you mean 'small'?"),
        ("./nowhere", "got './nowhere'; allowed: builtin:NAME, an existing folder (relative to "
         "the job file), or a hub id such as EleutherAI/pythia-70m; there is no folder nowhere."),
        ("a/b/c", "got 'a/b/c'; allowed: "),
        ("empty", "got the folder empty; allowed: a folder with a model's config.json; "),
        ("job.yaml", "got the file job.yaml; allowed: a folder; give the model's folder."),
    ],
)  # fmt: skip
def test_a_missing_model(folder, monkeypatch, path, problem):
    for name in ("small", "large"):
        (folder / "demo/family" / name).mkdir(parents=True)
        (folder / "demo/family" / name / "config.json").write_text("{}")
    (folder / "empty").mkdir()
    monkeypatch.setattr(paths, "_DEMO", folder / "demo")
    (line,) = problems(folder, JOB.replace("EleutherAI/pythia-1.4b", path))
    assert line.startswith(f"job.yaml:4: family.1.path: {problem}")


@pytest.mark.parametrize("path", ["./small", "builtin:small"])
def test_only_hub_models_have_revisions(folder, monkeypatch, path):
    (folder / "demo/family/small").mkdir(parents=True)
    (folder / "demo/family/small/config.json").write_text("{}")
    monkeypatch.setattr(paths, "_DEMO", folder / "demo")
    text = JOB.replace("EleutherAI/pythia-1.4b", f"{path}\n    revision: main")
    (line,) = problems(folder, text)
    assert line.startswith("job.yaml:5: family.1.revision: got 'main' for ")


def test_a_missing_task_file(folder, monkeypatch):
    (folder / "demo/tasks").mkdir(parents=True)
    (folder / "demo/tasks/pico-code.jsonl").write_text("")
    monkeypatch.setattr(paths, "_DEMO", folder / "demo")
    (line,) = problems(folder, JOB.replace("code.jsonl", "builtin:pico-cod"))
    assert line.startswith("job.yaml:14: tasks.1.path: got 'builtin:pico-cod'; allowed: ")
    assert line.endswith("bundled task: pico-code; correct the name. Did you mean 'pico-code'?")
    (line,) = problems(folder, JOB.replace("code.jsonl", "cod.jsonl"))
    assert line.startswith("job.yaml:14: tasks.1.path: got 'cod.jsonl'; allowed: builtin:NAME, hub")


def test_bundled_jobs_models_and_tasks_are_found_by_name(folder, monkeypatch):
    (folder / "demo/jobs").mkdir(parents=True)
    (folder / "demo/family/tiny").mkdir(parents=True)
    (folder / "demo/family/tiny/config.json").write_text("{}")
    (folder / "demo/tasks").mkdir()
    (folder / "sums.jsonl").rename(folder / "demo/tasks/sums.jsonl")
    text = JOB.replace("./small", "builtin:tiny").replace("sums.jsonl", "builtin:sums")
    (folder / "demo/jobs/demo.yaml").write_text(
        text.replace("code.jsonl", str(folder / "code.jsonl"))
    )
    monkeypatch.setattr(paths, "_DEMO", folder / "demo")
    job = load_job("builtin:demo")
    assert job.name == "demo"
    assert job.model_location(job.family[0]) == folder / "demo/family/tiny"
    assert job.task_source(job.tasks[0]).path == folder / "demo/tasks/sums.jsonl"
    with pytest.raises(UsageError, match=r"bundled job: demo; .*Did you mean 'demo'\?"):
        load_job("builtin:deno")


def test_all_problems_are_reported_at_once(folder):
    text = JOB.replace("budget: 1_000", "budget: x\nbudget: y\nsed: 1").replace("sums.j", "sum.j")
    lines = problems(folder, text, ["tasks.sums.limit=x", "tasks.sum.limit=1"])
    assert [line.split(" got ")[0] for line in lines] == [
        "job.yaml:17: budget:",
        "override tasks.sum.limit=1: tasks:",
        "job.yaml:9: tasks.0.path:",
        "override tasks.sums.limit=x: tasks.0.limit:",
        "job.yaml:17: budget:",
        "job.yaml:18: sed:",
    ]
    assert "(first at job.yaml:16)" in lines[0]
    assert lines[1].endswith("Did you mean 'sums'?")


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("budget", "got no key and value; allowed: key=value such as budget=2000; "),
        ("=3", "got no key and value; "),
        ("bugdet=3", "bugdet: got the unknown key 'bugdet'; "),
        ("budget=x", "budget: got 'x'; allowed: a whole number; "),
        ("budget=[1", "got malformed YAML: "),
        ("tasks.9.limit=1", "tasks: got '9'; allowed: sums, code, 0, 1; name an item"),
        ("tasks.sum.limit=1", "tasks: got 'sum'; "),
        ("budget.low=1", "got a key below budget, which is 1000; "),
        ("sampling={temperature: 0}", "sampling.temperature: got 0; "),
        ("engine={dtype: auto, dtype: auto}", "dtype: got the key a second time; "),
    ],
)
def test_problems_of_overrides(folder, override, problem):
    (line,) = problems(folder, JOB, [override])
    assert line.startswith(f"override {override}: {problem}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1\nb: 2", "2:2: got malformed YAML: while parsing a flow sequence expected ',' or"),
        ("a: 'x", "1:6: got malformed YAML: while scanning a quoted scalar found unexpected end"),
        ("a: 1\n\tb: 2", "2:1: got malformed YAML: "),
        ("a: 1\n---\nb: 2", "2:1: got malformed YAML: expected a single document"),
        ("a: *b", "1:4: got malformed YAML: found undefined alias"),
        ("a: &b [*b]", "1:4: got malformed YAML: an alias refers to what contains it"),
        ("a: !!python/name:os.system x", "1:4: got malformed YAML: could not determine"),
        ("a: !!int x", "1:4: got malformed YAML: 'x' is no int; "),
        ("? [a]\n: 1", "1:3: got malformed YAML: a key is not plain text"),
        ("a: \x07", "1:4: got malformed YAML: a control character"),
        ("- a", "1: got a list; allowed: a mapping of keys "),
    ],
)
def test_malformed_yaml_names_line_and_column(folder, text, problem):
    (line,) = problems(folder, text)
    assert line.startswith(f"job.yaml:{problem}")


def test_files_that_are_no_job(folder):
    assert problems(folder, "") == [
        "job.yaml: family: got nothing; allowed: a value, the key is required; add it.",
        "job.yaml: tasks: got nothing; allowed: a value, the key is required; add it.",
    ]
    (folder / "job.yaml").write_bytes(b"name: a\nb: \xff")
    with pytest.raises(UsageError, match=r"job.yaml:2: got the byte 0xff, which is not UTF-8"):
        load_job(folder / "job.yaml")
    with pytest.raises(UsageError, match=r"job file: got '.*no.yaml', which is no file; allowed"):
        load_job(folder / "no.yaml")


def test_a_family_needs_a_model_to_forecast_from(folder):
    assert problems(folder, JOB.replace("20_480", "1, held_out: true")) == [
        "job.yaml:1: family: got only models with held_out: true; allowed: at least one that is "
        "not; a forecast needs models to start from."
    ]
    lines = problems(folder, "family: []\ntasks:\n")
    assert lines[0].startswith("job.yaml:1: family: got an empty list; allowed: at least one")
    assert lines[1].startswith("job.yaml:2: tasks: got null; allowed: a list; ")


def test_an_unknown_task_names_the_nearest(folder):
    job = load_job(folder / "job.yaml")
    with pytest.raises(UsageError, match=r"got 'sum'; allowed: sums, code; .*mean 'sums'\?"):
        job.decoding("sum")


def test_a_recorded_job_is_read_back_without_its_files(folder):
    job = load_job(folder / "job.yaml")
    record = json.loads(json.dumps(job.to_json()))
    again = Job.from_json(record, folder)
    assert again == job
    for file in ("sums.jsonl", "code.jsonl"):
        (folder / file).unlink()
    again = Job.from_json(record)
    assert again.to_json() == record
    assert again.fingerprint() == job.fingerprint()


@pytest.mark.parametrize(
    ("overrides", "keys"),
    [
        (["engine.max_num_seqs=1", "checker.workers=3", "checker.retries=9", "name=x"], []),
        (["family.small.n_params=7", "greedy=false"], []),
        (["sampling.max_tokens=256", "tasks.code.sampling.max_tokens=256"], []),
        (["sampling.max_tokens=7"], ["tasks.code.sampling.max_tokens"]),
        (["tasks.sums.limit=1"], ["tasks.sums.limit"]),
        (["budget=2000", "passes=2", "seed=1"], ["passes", "budget", "seed"]),
        (["seeding=engine", "engine.dtype=float32"], ["seeding", "engine.dtype"]),
        (["mode=fixed", "samples=9"], ["passes", "min_samples", "budget", "samples", "mode"]),
        (["mode=target", "target_width=0.1"], ["passes", "target_width", "total_budget", "mode"]),
        (["tasks.sums.checker.extract.take=first"], ["tasks.sums.checker.extract.take"]),
        (["family.pythia-1.4b.revision=step1"], ["family.pythia-1.4b.revision"]),
        (["family.small.name=tiny"], ["family.small.path", "family.small.revision",
                                      "family.tiny.path", "family.tiny.revision"]),
    ],
)  # fmt: skip
def test_what_decides_samples_and_verdicts_is_the_fingerprint(folder, overrides, keys):
    old = load_job(folder / "job.yaml")
    new = load_job(folder / "job.yaml", overrides)
    lines = diff_jobs(old.to_json(), new.to_json())
    assert [line.split(": ")[0] for line in lines] == keys
    assert (old.fingerprint() == new.fingerprint()) == (not keys)


def test_modes_name_their_rule(folder):
    fixed = load_job(folder / "job.yaml", ["mode=fixed", "samples=30"])
    assert (fixed.stop_rule(), fixed.goal()) == (StopRule.fixed(30), None)
    target = load_job(folder / "job.yaml", ["mode=target", "target_width=0.1", "total_budget=2e6"])
    assert target.stop_rule().mode is Mode.TARGET
    assert target.goal() == Goal(relative_width=0.1, total_budget=2_000_000)
    again = Job.from_json(json.loads(json.dumps(target.to_json())))
    assert again.goal() == target.goal()
    assert again.fingerprint() == target.fingerprint()


def test_a_forecast_steers_the_models_that_are_not_held_out(folder):
    keys = ["mode=target", "forecast=7e9", "total_budget=100", "target_width=0.2"]
    with pytest.raises(UsageError, match="forecast: got models of 1 size that are not held out"):
        load_job(folder / "job.yaml", keys)
    keys.append("family.pythia-1.4b.held_out=false")
    job = load_job(folder / "job.yaml", keys)
    assert job.forecast_goal() == ForecastGoal(7e9, 0.2, 100)
    assert [job.goal(model) for model in (None, *job.family)] == [None, None, None]
    assert Job.from_json(json.loads(json.dumps(job.to_json()))).forecast_goal() is not None
    for change, key in (
        ("forecast=8e9", "forecast"),
        ("sample_cost=n_params", "sample_cost"),
        ("family.small.n_params=3", "family.small.n_params"),
    ):
        other = load_job(folder / "job.yaml", [*keys, change])
        assert [line.split(": ")[0] for line in diff_jobs(job.to_json(), other.to_json())] == [key]
    with pytest.raises(UsageError, match="forecast: got neither target_width nor total_budget"):
        load_job(folder / "job.yaml", ["mode=target", "forecast=7e9"])
    with pytest.raises(UsageError, match=r"forecast: got 7000000000\.0 with mode: until"):
        load_job(folder / "job.yaml", ["forecast=7e9"])
    with pytest.raises(UsageError, match="sample_cost: got n_params without forecast; allowed"):
        load_job(folder / "job.yaml", ["sample_cost=n_params"])


def test_jobs_recorded_before_the_modes_are_the_same_jobs(folder):
    new = load_job(folder / "job.yaml").to_json()
    old = {k: v for k, v in new.items() if k not in ("mode", "samples", "target_width",
                                                     "total_budget")}  # fmt: skip
    assert diff_jobs(old, new) == []
    assert Job.from_json(old).fingerprint() == Job.from_json(new).fingerprint()


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["samples=5"], "samples: got 5 with mode: until; allowed with mode: fixed only"),
        (["mode=fixed"], "samples: got none with mode: fixed; allowed: how many to draw"),
        (["mode=fixed", "samples=5", "total_budget=9"], "total_budget: got 9 with mode: fixed"),
        (["mode=target"], "target: got neither target_width nor total_budget"),
        (["mode=target", "target_width=0"], "target_width: got 0"),
        (["mode=targt"], "mode: got 'targt'; allowed: 'until', 'fixed' or 'target'"),
    ],
)
def test_a_mode_without_what_it_needs_is_refused(folder, overrides, problem):
    with pytest.raises(UsageError, match=re.escape(problem)):
        load_job(folder / "job.yaml", overrides)


def test_a_changed_task_file_is_a_different_job(folder):
    old = load_job(folder / "job.yaml")
    (folder / "sums.jsonl").write_text('{"id": "a", "prompt": "1+1=", "answer": "3"}\n')
    new = load_job(folder / "job.yaml")
    (line,) = diff_jobs(old.to_json(), new.to_json())
    assert line.startswith("tasks.sums.digest: was ")
    assert diff_jobs(old.to_json(), old.to_json()) == []


def test_diff_says_was_and_is(folder):
    old = load_job(folder / "job.yaml").to_json()
    new = load_job(folder / "job.yaml", ["sampling.stop=[a]", "budget=5"]).to_json()
    assert diff_jobs(old, new) == [
        "budget: was 1000, is 5",
        'tasks.sums.sampling.stop: was [], is ["a"]',
        'tasks.code.sampling.stop: was [], is ["a"]',
    ]


def test_code_limits_are_those_of_the_code_checker(folder):
    from passuntil.checkers.code import CodeLimits  # noqa: PLC0415

    spec = load_job(folder / "job.yaml").tasks[1].checker
    assert spec.model_dump(exclude={"kind", "batches", "unverified"}) == asdict(CodeLimits())
    text = JOB.replace("format: humaneval", "format: humaneval\n    checker: {memory_bytes: 1e8}")
    (line,) = problems(folder, text)
    assert line.startswith(
        "job.yaml:16: tasks.1.checker.memory_bytes: got 100000000.0; allowed: >= "
    )


def test_code_tasks_with_equal_limits_share_a_jail(folder, monkeypatch):
    from passuntil.checkers import code  # noqa: PLC0415

    made = []
    monkeypatch.setattr(code, "CodeChecker", lambda **options: made.append(options) or object())
    text = JOB + "checker: {workers: 3}\n"
    for name in ("same", "other"):
        text = text.replace(
            "budget:", f"  - {{name: {name}, path: code.jsonl, format: humaneval}}\nbudget:"
        )
    (folder / "job.yaml").write_text(text)
    job = load_job(folder / "job.yaml", ["tasks.other.checker.cpu_time_s=2"])
    checkers = build_checkers(job)
    assert checkers["code"] is checkers["same"]
    assert checkers["code"] is not checkers["other"]
    assert [m["limits"].cpu_time_s for m in made] == [0.1, 2]
    assert [m["n_workers"] for m in made] == [3, 3]


def test_exact_checkers_are_built_from_their_specs(folder):
    text = "\n".join(LINES[:12])
    (folder / "job.yaml").write_text(text)
    job = load_job(folder / "job.yaml", ["tasks.sums.checker.normalise=[strip, lower]"])
    (name, checker), *rest = build_checkers(job).items()
    assert (name, rest) == ("sums", [])
    described = checker.describe()
    assert described["normalise"] == ["strip", "lower"]
    assert described["extract"] == {"pattern": r"(\d+)", "take": "last", "group": 1}


NUMBERS = st.integers(1, 2**40)
FLOATS = st.floats(0.01, 1, allow_subnormal=False)
# PyYAML writes YAML 1.1 and leaves 0E0 without quotes, which in YAML 1.2 is a number
TEXTS = st.text(min_size=1).filter(lambda text: not re.fullmatch(r"[-+.\d]+[eE][-+\d]+", text))


@settings(max_examples=50, deadline=None)
@given(
    budget=NUMBERS,
    temperature=FLOATS,
    stop=st.lists(TEXTS),
    n_params=st.lists(NUMBERS, min_size=1, max_size=4),
    limit=st.none() | NUMBERS,
)
def test_a_job_survives_yaml_and_json(tmp_path_factory, budget, temperature, stop, n_params, limit):
    folder = tmp_path_factory.mktemp("job")
    (folder / "t.jsonl").write_text("")
    data = {
        "family": [
            {"name": f"m{i}", "path": "org/m", "n_params": n} for i, n in enumerate(n_params)
        ],
        "tasks": [{"name": "t", "path": "t.jsonl", "format": "answers", "limit": limit}],
        "budget": budget,
        "sampling": {"temperature": temperature, "stop": stop},
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(data), "utf-8")
    job = load_job(folder / "job.yaml")
    assert (job.budget, job.sampling.temperature) == (budget, temperature)
    assert job.decoding("t").stop == tuple(stop)
    assert [m.n_params for m in job.family] == n_params
    assert Job.from_json(json.loads(json.dumps(job.to_json())), folder) == job


def test_importing_job_files_loads_no_engine():
    code = "import sys, passuntil.config; print({'torch', 'vllm', 'transformers'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_keys_that_came_later_keep_the_fingerprint_at_their_default() -> None:
    job = load_job("builtin:demo")
    record = job.to_json()
    older = json.loads(json.dumps(record))
    code = next(task for task in older["tasks"] if task["checker"]["kind"] == "code")["checker"]
    del code["batches"], code["unverified"]
    assert identity.fingerprint(older) == job.fingerprint()
    assert diff_jobs(older, record) == []
    code["unverified"] = True
    assert identity.fingerprint(older) != job.fingerprint()
