# make setup demo test fuzz extension screenshots bench: each makes what it needs first.
PYTHON ?= python3.11
VENV := .venv/bin
BPY_VERSIONS := 4.2 5.0
export PYTHONUNBUFFERED = 1

.PHONY: setup demo test fuzz lint extension screenshots bench sample-capture clean

setup: .venv/ready

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(VENV)/pip install -q --upgrade pip
	$(VENV)/pip install -q -e '.[dev,training,photos]'
	touch $@

# bpy pins an older numpy, and each version of it needs an interpreter of its own.
.venv-bpy/%/ready:
	$(PYTHON) -m venv .venv-bpy/$*
	.venv-bpy/$*/bin/pip install -q --upgrade pip
	.venv-bpy/$*/bin/pip install -q 'bpy==$*.*' safetensors
	touch $@

extension: setup
	$(VENV)/python build_extension.py

test: setup lint $(BPY_VERSIONS:%=.venv-bpy/%/ready)
	$(VENV)/python -m pytest

# Hostile inputs for ten minutes, the same each time.
fuzz: setup
	$(VENV)/python -m tests.fuzz

lint: setup
	$(VENV)/ruff check .
	$(VENV)/mypy

demo: setup .venv-bpy/5.0/ready
	$(VENV)/python -m tests.end_to_end.demo

screenshots: setup
	$(VENV)/python tests/blender/screenshots.py

# 20 photos of a toy locomotive, into training/sample_capture: what the demo begins with. Minutes on two cores.
sample-capture: .venv-bpy/5.0/ready
	.venv-bpy/5.0/bin/python -m training.sample_capture

bench: setup
	$(VENV)/lvsm bench

clean:
	rm -rf .venv .venv-bpy build dist demo screenshots
