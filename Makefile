# Each target sets up what it needs first; a second run starts in seconds.
.PHONY: help setup demo check test bench soak fuzz docs lock audit lint format clean distclean
.DEFAULT_GOAL := help

SOURCE ?=
DURATION ?=
SOUND ?=
PYTEST_ARGS ?=
# The whole suite measures how much of the package it runs, and fails below the share in pyproject.toml.
WHOLE ?= $(if $(strip $(PYTEST_ARGS)),,--cov --cov-report=term $(PARALLEL))
PARALLEL = -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder
QUICK = test/core test/architecture test/behaviours test/perception/group test/sinks test/views
BENCH_ARGS ?=
SOAK_S ?= 1800
OVERLOAD_S ?= 120
FUZZ_S ?= 60
LOCK_ARGS ?=

help:  ## this list
	@awk -F ':[^#]*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup:  ## environment in .venv, colcon build in install, env.sh
	@tools/setup

demo: setup  ## the whole pipeline as ROS 2 nodes; SOURCE=0|VIDEO|DIR|sample DURATION=seconds SOUND=true
	@. ./env.sh && exec .venv/bin/python -m social_perception.ros.tools.demo \
	  $(if $(SOURCE),--source "$(SOURCE)") $(if $(DURATION),--duration "$(DURATION)") \
	  $(if $(filter true,$(SOUND)),--sound)

check: lint  ## style, types, spelling and the quick tests, in two minutes
	@. ./env.sh && OMP_NUM_THREADS=1 exec .venv/bin/pytest -q -m "not slow" $(PARALLEL) $(QUICK)

test: lint  ## the same with all tests; PYTEST_ARGS="-k tracker" selects some
	@.venv/bin/python tools/browser.py
	@. ./env.sh && $(if $(WHOLE),export OMP_NUM_THREADS=1 &&) exec .venv/bin/pytest $(WHOLE) $(PYTEST_ARGS)

bench: setup  ## measures speed on this machine, 20 minutes at most: runs/bench.json, runs/bench.png; BENCH_ARGS="--only scoring"
	@. ./env.sh && exec .venv/bin/social-perception bench --json runs/bench.json --figure runs/bench.png $(BENCH_ARGS)

soak: setup  ## nightly: SOAK_S=1800 seconds at 30 Hz, OVERLOAD_S=120 of too much, killed programs, hanging listeners
	@. ./env.sh && mkdir -p runs && status=0; \
	.venv/bin/social-perception bench --soak $(SOAK_S) --json runs/soak.json || status=$$?; \
	.venv/bin/social-perception bench --overload $(OVERLOAD_S) --json runs/overload.json || status=$$?; \
	.venv/bin/pytest -s test/faults/ros/soak_ros_processes.py test/faults/ros/soak_ros_listeners.py || status=$$?; \
	exit $$status

fuzz: setup  ## nightly: bad input for everything that takes some, FUZZ_S=60 seconds each; fails on a finding
	@. ./env.sh && .venv/bin/python -m pip install -q --disable-pip-version-check -r tools/requirements-fuzz.txt && \
	exec .venv/bin/python test/fuzz/run.py --seconds $(FUZZ_S)

docs: setup  ## the documentation site in runs/docs; a warning or a broken link is an error
	@. ./env.sh && .venv/bin/python -m pip install -q --disable-pip-version-check -r tools/requirements-docs.txt && \
	NO_MKDOCS_2_WARNING=1 exec .venv/bin/mkdocs build --strict

lock: setup  ## writes the locks of the packages anew; LOCK_ARGS=--upgrade
	@.venv/bin/python tools/lock_dependencies.py $(LOCK_ARGS)

audit: setup  ## known vulnerabilities of the locked packages, where advisories can be reached
	@.venv/bin/python tools/audit_dependencies.py

lint: setup  ## ruff, mypy, codespell and the field's words
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/codespell
	@.venv/bin/python tools/check_words.py
	@.venv/bin/mypy

format: setup  ## ruff formats and fixes what it can
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

clean:  ## removes what was built
	rm -rf build install log env.sh .pytest_cache .mypy_cache .ruff_cache

distclean: clean  ## removes the environment too
	rm -rf .venv
