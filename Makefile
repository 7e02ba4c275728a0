# `make demo` and `make test` work on a fresh clone with Python 3.11 and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
ENGINE ?= cpu
BIN := .venv/bin
INSTALLED := .venv/installed-$(ENGINE)
PINS := $(if $(filter gpu,$(ENGINE)),-gpu).txt

.PHONY: demo test lint site reference clean venv

demo: $(INSTALLED)
	$(BIN)/lmtx demo

# Tests start some hundred processes: what these import is compiled once, and kept. A call of Ray that waits takes
# no notice of a test's own limit: its process is ended, and says where it was.
test: $(INSTALLED)
	$(BIN)/python -m compileall -q lmtx_ray serve_apps jobs tests
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder \
		--max-worker-restart 0 -o faulthandler_timeout=500 -o faulthandler_exit_on_timeout=true

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

site: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

reference: $(INSTALLED)
	$(BIN)/python docs/generate.py

venv: $(INSTALLED)

# uv does not read pip's find-links setting, where a CPU build of torch may be kept. Compiled once here,
# as many processes import torch, and some environments tell Python not to keep what it compiles.
$(INSTALLED): pyproject.toml constraints$(PINS) overrides$(PINS)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	UV_FIND_LINKS="$${PIP_FIND_LINKS:-$$($(BIN)/python -m pip config get global.find-links 2>/dev/null || true)}" \
	$(BIN)/python -m uv pip install --quiet --python $(BIN)/python \
		--constraint constraints$(PINS) --override overrides$(PINS) --compile-bytecode \
		--editable '.[$(ENGINE),demo,dev]'
	touch $@

clean:
	rm -rf .venv runs site
