# `make run` and `make test` are all that a fresh machine with Python needs; the rest is for those who work on vtune.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-dev

.PHONY: run test test-slow faults audit lint types app bench screenshots browser clean

run: $(READY)
	$(BIN)/python experiments/digits.py

test: $(READY) browser
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-slow: $(READY) browser
	$(BIN)/python -m pytest -m slow

# Every test that tries faults, slow ones too, and the table of what was tried: it goes into docs/promises.md.
faults: $(READY)
	rm -f build/faults.jsonl
	$(BIN)/python -m pytest -m faults tests
	$(BIN)/python tests/faults/report.py --write

# Known holes in what vtune depends on, by a tool in an environment of its own. It asks PyPI, and fails where that does
# not answer for every package.
audit: $(READY)
	test -x build/audit/bin/pip-audit || { $(PYTHON) -m venv build/audit && build/audit/bin/python -m pip install -q pip-audit; }
	$(BIN)/python -m pip freeze --exclude-editable > build/audit/requirements.txt
	build/audit/bin/pip-audit --strict --no-deps --disable-pip -r build/audit/requirements.txt

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(READY)
	$(BIN)/mypy

app: $(READY)
	$(BIN)/vtune app

bench: $(READY)
	$(BIN)/python experiments/bench_drivers.py

screenshots: $(READY) browser
	$(BIN)/python tests/app/screenshots.py build/screenshots

# The browser tests drive Debian's Chromium; without it, and without the right to install it, they are skipped by name.
browser:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } \
		|| echo "no chromium here: browser tests will be skipped"

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
