# Tallystick. `make` alone lists what there is to make.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# Python 3.11 or newer for the set-up; everything after it runs in .venv.
PYTHON ?= $(shell sh tools/find-python)
VENV := .venv/bin

# Code that is type-checked under its package name: what runs on CPython. Firmware does not.
CHECKED = $(patsubst %/.,%,$(wildcard .parts/packages/*/. tests/. tools/. bench/. demo/.))

.PHONY: help setup ready native demo test mutate tray soak cuts faults test-faults fuzz bridge lint format bench size armv7 clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-8s %s\n", $$1, $$2 }'

setup: ## prepare .venv and .parts: Python packages, mosquitto, MicroPython, Chromium (no root needed)
	@test -n "$(PYTHON)"
	@$(PYTHON) -m tools.setup

# The set-up looks at what is there before it works: 0.1 s when nothing is missing.
ready:
	@test -n "$(PYTHON)"
	@$(PYTHON) -m tools.setup --quiet

demo: ## one reading from a virtual board to a verdict, with everything real but the board
	@test -n "$(PYTHON)"
	@$(PYTHON) -m tools.setup --quiet --demo
	@$(VENV)/python -m demo.walk

native: ready ## the signer in native code for each processor, in build/native; fetches what builds it
	@$(VENV)/python -m tools.native $(ARGS)

# One process a core; the tests of a file stay together. PARALLEL= for one after the other.
PARALLEL ?= -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: ready ## the whole suite; ARGS="tests/gateway -x" for a part of it
	@$(VENV)/python -m tools.native --quiet
	@$(VENV)/python -m pytest $(PARALLEL) $(ARGS)

tray: ready ## a tray of twenty virtual boards, two of them sabotaged, provisioned at once
	@TALLY_TEST_TRAY=20 $(VENV)/python -m pytest tests/host_tools/test_provision.py -k tray_of_boards -s $(ARGS)

soak: ready ## a board's hard week in an hour; ARGS="--seconds 600 --seed 3" for another one
	@$(VENV)/python -m tools.soak $(ARGS)

cuts: ready ## power cuts and faults of a board's flash, at every operation; TALLY_SEED=2 for others (an hour)
	@TALLY_EVERY_CUT=1 $(VENV)/python -m pytest $(PARALLEL) --timeout 7200 tests/firmware/test_power_cuts.py $(ARGS)

faults: ready ## kill a gateway 300 times under load; also as test-faults; ARGS="--kills 40 --seed 2"
	@$(VENV)/python -m tools.faults $(ARGS)

test-faults: faults

fuzz: ready ## strangers at a gateway's door, beside honest boards; ARGS="--seed 2 --rate 2000"
	@$(VENV)/python -m tools.fuzz $(ARGS)

bridge: ready ## the bridge before real Conflux peers: ten partitions, and forty kills under load
	@TALLY_BRIDGE_PARTITIONS=10 TALLY_BRIDGE_KILLS=40 $(VENV)/python -m pytest -o timeout=1800 \
		tests/ledger/test_bridge.py tests/ledger/test_bridge_peers.py $(ARGS)

mutate: ready ## every bit of a proof with every part turned over, none of it VERIFIED (2 min)
	@TALLY_EVERY_BYTE=1 $(VENV)/python -m pytest tests/tallystick/test_mutation.py --timeout 1200 $(ARGS)

lint: ready ## ruff (rules and format) and mypy --strict; changes nothing
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy --strict $(CHECKED)

format: ready ## bring the code into its format, and mend what ruff can mend
	$(VENV)/ruff check --fix-only .
	$(VENV)/ruff format .

bench: ready ## the figures of the project; ROOM=gateway for one room
	@$(VENV)/python -m bench $(ROOM)

size: ready ## the gateway's log with ten million leaves (3 GB of disk); ARGS="--leaves 1000000"
	@$(VENV)/python -m bench.gateway_size $(ARGS)

armv7: ready ## are there wheels for a Raspberry Pi for all that the gateway runs on? asks the package index
	@$(VENV)/python -m tools.armv7 $(ARGS)

clean: ## remove what was built and cached; .venv and .parts stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -not -path './.parts/*' -prune -exec rm -rf {} +
