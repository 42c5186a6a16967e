# make install   only the environment
# make demo   small models predict a bigger one, on this machine
# make test   format, lint, types, layers and the whole test suite but its slow part
# make slow   the slow part
# Both create .venv first if it is not there.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: install demo test slow lint clean help

help:
	@sed -n 's/^# make/make/p' Makefile

install: $(READY)

demo: $(READY)
	$(BIN)/passuntil demo

test: $(READY)
	$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -m "not slow"

# Minutes to hours: coverage, a hundred kills, the attack suite at full length.
slow: $(READY)
	$(BIN)/python -m pytest -m slow

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(READY): pyproject.toml docker/install.sh docker/constraints.txt
	PYTHON="$(PYTHON)" VENV="$(VENV)" bash docker/install.sh
	touch $@

clean:
	rm -rf $(VENV)
