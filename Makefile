# Colobus. `make demo` shows it working, `make test` proves it; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
PY := .venv/bin/python
ROOT := $(filter 0,$(shell id -u))
CACHE := $(or $(COLOBUS_CACHE_DIR),$(if $(ROOT),/var/cache/colobus,$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/colobus))
STATE := $(or $(COLOBUS_DEVCLOUD_DIR),$(if $(ROOT),/var/lib/colobus,$(or $(XDG_STATE_HOME),$(HOME)/.local/state)/colobus)/devcloud)
export UV_CACHE_DIR := $(CACHE)/uv
export PYTHONUNBUFFERED := 1

.PHONY: help init lock lint format test lane-cloud lane-metal lane-faults test-fast test-extended test-storage test-compose test-gateway test-diskless faults soak demo up down status models bench

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15

init: .venv/.ready ## the virtual environment, made from the system's Python 3.11

.venv/.ready: requirements.lock Makefile
	@./bootstrap "$(CACHE)"
	@touch $@

lock: ## pin the dependencies anew
	$(PY) -m uv pip compile -q pyproject.toml --extra services --extra dev --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --python /usr/bin/python3 -o requirements.lock
	$(PY) -m uv pip compile -q pyproject.toml --extra services --constraint requirements.lock \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
	  --python /usr/bin/python3 -o requirements-services.lock

lint: init ## ruff, mypy strict, import-linter
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

format: init ## let ruff format and fix what it can
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

# Without what brings up more than broker and database.
STORAGE := tests/integration/devcloud tests/integration/iscsi_worker tests/integration/baremetal_worker
QUICK := -n 4 --dist loadfile $(STORAGE:%=--ignore %) tests/unit tests/contract tests/integration

# Left out of `make test` (decision 0058): devcloud's own stand-ins by themselves (clusters and apps
# use them there), whether benchmarks run, and kills of one after the other, and in mid-burst.
EXTENDED := tests/integration/devcloud/test_kubernetes_clusters.py \
  tests/end_to_end/devcloud/balancers tests/end_to_end/devcloud/test_magnum.py \
  tests/end_to_end/test_benchmarks.py tests/end_to_end/test_crashes.py tests/faults/test_mid_burst.py

# The lanes go side by side, each with a cloud of its own, and are about as long. They keep two cores
# busy: what takes less of a processor ends sooner, what merely waits does not.
CLUSTERS := tests/end_to_end/clusters
METAL := tests/end_to_end/devcloud tests/end_to_end/machines tests/end_to_end/test_fifty.py \
  tests/end_to_end/test_volumes.py
# Those of machines need its cloud; for those of replicas it has the time.
METAL_FAULTS := tests/faults/test_machines.py tests/faults/test_replicas.py
METAL_STATE := $(STATE)-metal
FAULTS_STATE := $(STATE)-faults
LANES ?= 3
lane = --durations=40 --durations-min=5 2>&1 | sed -u 's/^/$@: /'

test: init ## what every change is tested by, on the real parts; sets them up; LANES=1 where memory is short
	$(PY) -m pytest $(QUICK)
	@$(MAKE) --no-print-directory -j $(LANES) lane-metal lane-cloud lane-faults

without = $(patsubst %,--ignore %,$(1) $(EXTENDED))

lane-cloud:
	$(PY) -m pytest --maxfail=2 $(call without,$(METAL) $(CLUSTERS)) tests/end_to_end $(lane)

lane-faults: export COLOBUS_DEVCLOUD_DIR := $(FAULTS_STATE)
lane-faults:
	$(PY) -m pytest --maxfail=2 $(CLUSTERS) $(lane)
	$(PY) -m pytest --maxfail=2 $(call without,$(METAL_FAULTS)) tests/faults $(lane)

lane-metal: export COLOBUS_DEVCLOUD_DIR := $(METAL_STATE)
lane-metal:
	$(PY) -m pytest $(call without) $(STORAGE) $(lane)
	$(PY) -m pytest --maxfail=2 $(call without) $(METAL) $(lane)
	$(PY) -m pytest --maxfail=2 $(METAL_FAULTS) $(lane)

test-extended: init ## stand-ins for Kubernetes and load balancers by themselves, benchmarks, single kills
	$(PY) -m pytest $(EXTENDED)

test-storage: init ## Ceph, the iSCSI target, Kubernetes, Ironic, and the workers that own them
	$(PY) -m pytest $(STORAGE)

test-compose: init ## the image and compose.yaml, with a container engine of its own where there is none
	$(PY) -m pytest tests/compose

test-gateway: init ## the iscsi_worker before the real ceph-iscsi, in a VM; RECORD=1 keeps its answers
	$(PY) -m pytest --timeout=1200 tests/gateway $(if $(RECORD),--record-exchanges)

test-diskless: init ## a real Debian on a machine without a disk, and one for arm64; needs root
	$(PY) -m pytest --log-cli-level=INFO tests/diskless

test-fast: init ## unit, contract, and integration against RabbitMQ and PostgreSQL
	$(PY) -m pytest --hypothesis-profile=quick $(QUICK)

SEED ?= 1
COUNT ?= 100
OF ?= seeds
faults: init ## a burst under the faults of one seed: make faults SEED=17 [OF=machines|stacks|replicas]
	$(PY) -m tests.faults.schedule $(SEED) $(OF)
	COLOBUS_FAULT_SEEDS=$(SEED) $(PY) -m pytest tests/faults/test_$(OF).py

soak: init ## the same under a hundred seeds: make soak COUNT=100 [OF=machines|stacks|replicas]
	COLOBUS_FAULT_SEEDS=1-$(COUNT) $(PY) -m pytest tests/faults/test_$(OF).py

bench: init ## side-by-side measurements; NAME=accept for one, ROUNDS=5
	$(PY) -m benchmarks $(if $(ROUNDS),--rounds $(ROUNDS)) $(NAME)

models: init ## generate the client's types from the contract
	$(PY) -m shared.contract.generate_client_models

demo: init ## set everything up, make a VM, a volume and a machine (KINDS=all: a stack, a cluster and an app on it too), show their way, leave all running
	$(PY) -m devcloud.demo $(KINDS)

up: init ## start the developer cloud and Colobus
	$(PY) -m devcloud up

down: init ## stop what was started
	$(PY) -m devcloud down
	@for lane in $(METAL_STATE) $(FAULTS_STATE); do \
	  test ! -d $$lane || COLOBUS_DEVCLOUD_DIR=$$lane $(PY) -m devcloud down || exit; done

status: init ## what runs
	$(PY) -m devcloud status
