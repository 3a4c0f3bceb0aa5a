# Two commands: `make study` runs every notebook, `make test` runs every test.
# Each first makes what it needs. For those who change the code: `make lint` says what style and
# types have to say, `make format` mends the style.
# Choose another interpreter with `make study PYTHON=python3.12`.

PYTHON ?= python3
VENV ?= .venv
BUDGET ?= quick
OUT ?= runs/study
WORKERS ?= 2
CELL_TIMEOUT ?= 600

IN_VENV := $(VENV)/bin/python
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
NOTEBOOKS = $(wildcard notebooks/*.ipynb)
# What hours of training fill is not among them.
NOT_TIMED = $(addprefix benchmarks/,timing.py train_alike.py alike.py density.py head_volumes.py)
BENCHMARKS = $(filter-out $(NOT_TIMED),$(wildcard benchmarks/[a-z]*.py))

.PHONY: study test lint format bench lab notebooks clean

study: $(STAMP)
	$(IN_VENV) -m deqlab run --budget $(BUDGET) --out $(OUT)

# One thread a worker: two workers that both use all cores slow each other down.
# loadscope keeps the cells of one notebook in one kernel.
test: $(STAMP)
	@$(if $(NOTEBOOKS),,echo "no notebooks yet: only tests/ is run")
	@OMP_NUM_THREADS=1 $(IN_VENV) -m pytest -n $(WORKERS) --dist loadscope \
	    --cov --cov-report=term:skip-covered \
	    --nbval-lax --nbval-current-env --nbval-cell-timeout=$(CELL_TIMEOUT) tests $(NOTEBOOKS)

lint: $(DEV_STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(IN_VENV) -m mypy

format: $(DEV_STAMP)
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .

bench: $(STAMP)
	$(IN_VENV) -m pip install -c constraints.txt -e '.[lab,test,bench]'
	@for script in $(BENCHMARKS); do echo "== $$script"; $(IN_VENV) $$script || exit 1; done

lab: $(STAMP)
	$(IN_VENV) -m jupyterlab --notebook-dir=notebooks

# Runs the notebooks in place, to commit their outputs.
notebooks: $(STAMP)
	$(IN_VENV) -m nbconvert --to notebook --execute --inplace \
	    --ExecutePreprocessor.store_widget_state=False \
	    --ExecutePreprocessor.record_timing=False $(NOTEBOOKS)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "deqlab needs Python 3.11 or newer, but PYTHON=$(PYTHON) is" \
	         "$$($(PYTHON) --version 2>&1 | head -n 1)." \
	         "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	$(IN_VENV) -m pip install -c constraints.txt -e '.[lab,test]'
	@touch $@

# On top of the other, so that neither command undoes the other's work.
$(DEV_STAMP): $(STAMP)
	$(IN_VENV) -m pip install -c constraints.txt -e '.[lab,test,dev]'
	@touch $@

clean:
	rm -rf .venv runs build deqlab.egg-info .pytest_cache .mypy_cache .ruff_cache .coverage
	find deqlab tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
