# Every target works in .venv/ at the project's root; the first call makes it from the lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TORCH := $(VENV)/.torch
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
WORKERS ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: setup torch demo report audit test lint types bench au-table docs clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed; call make PYTHON=python3.11"; exit 3; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	# --no-deps: the lock is complete, and mediapipe's own pins are stale (see docs/install.md).
	$(PIP) --no-deps -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	touch $(READY)

# torch, piq (the extra "quality"), deepface ("attributes") and diffusers ("diffusion"): for the tests, and for BRISQUE,
# CLIP-IQA, LPIPS, DeepFace, FairFace, LTX-Video. torch itself with what it depends on, at the lock's versions: which
# packages that are depends on the machine.
torch: $(TORCH)

$(TORCH): $(READY) requirements-torch.lock
	$(PIP) -c requirements.lock -c requirements-torch.lock torch
	$(PIP) --no-deps -r requirements-torch.lock
	touch $(TORCH)

demo: $(READY)
	$(BIN)/equime demo demo

report: demo
	$(BIN)/equime evaluate demo

audit: report
	$(BIN)/equime attributes demo
	$(BIN)/equime audit demo

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

test: $(TORCH) lint types
	# One thread each: the processes would fight for the processors.
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)

bench: $(TORCH)
	$(BIN)/python bench/pipeline.py
	$(BIN)/python bench/evaluation.py

au-table: $(READY)
	$(BIN)/equime au-table

docs: $(READY)
	$(BIN)/python docs/generate_reference.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache src/*.egg-info
