# make demo                fuse sample pairs; needs Python 3.11, compiles nothing
# make test                the whole suite on the official packages; compiles MMCV once
# make test STACK=onedl    the same on the OneDL packages
# make test-deepspeed      training with DeepSpeed, in an environment of its own; needs a C++ compiler
# make lint | format | clean
#
# Variables: PYTHON=python3.11  TORCH=torch==2.13.0  STACK=openmmlab|onedl  PYTEST_ARGS=...  MAX_JOBS=N

STACK ?= openmmlab
PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH ?= $(shell cat requirements/torch.txt)

requirements_openmmlab := requirements/full.txt
requirements_onedl := requirements/onedl.txt
ifeq ($(requirements_$(STACK)),)
$(error STACK is '$(STACK)', but must be openmmlab or onedl)
endif

# The interpreter behind an activated environment: that environment may be the one that gets made anew.
base_python := $(shell $(PYTHON) -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))')
ifeq ($(base_python),)
$(error PYTHON is '$(PYTHON)', which does not run: give a Python 3.10 or newer, for example PYTHON=python3.11)
endif
# Another interpreter or torch has another key, and so gets a fresh environment.
key := $(shell printf '%s' '$(base_python) $(TORCH)' | cksum | cut -d ' ' -f 1)

core := .venv
full := .venv-$(STACK)
deepspeed := .venv-deepspeed
lint := .venv-lint
pip_install = bin/python -m pip install --quiet
editable := --no-build-isolation -e .
packaging := setup.py pyproject.toml requirements/runtime.txt

.DELETE_ON_ERROR:
.PHONY: demo test test-deepspeed lint format clean

demo: $(core)/.ready
	$(core)/bin/python demo/run_demo.py

test: $(full)/.ready
	$(full)/bin/python -m pytest -n auto --dist loadfile $(PYTEST_ARGS)

# Not part of the whole suite: with DeepSpeed installed every import of MMEngine's strategies takes twice as long.
test-deepspeed: $(deepspeed)/.ready
	$(deepspeed)/bin/python -c "import deepspeed.runtime.fp16.onebit.adam"  # else its test would be skipped
	PATH="$(CURDIR)/$(deepspeed)/bin:$$PATH" $(deepspeed)/bin/python -m pytest tests/test_engine/test_deepspeed.py

lint: $(lint)/.ready
	$(lint)/bin/ruff check .
	$(lint)/bin/ruff format --check .

format: $(lint)/.ready
	$(lint)/bin/ruff check --fix .
	$(lint)/bin/ruff format .

# The cached MMCV wheels stay: they take long, and are valid for any clone.
clean:
	rm -rf .venv .venv-openmmlab .venv-onedl .venv-deepspeed .venv-lint build dist *.egg-info mmdefusion/.mim .pytest_cache .ruff_cache

# torch comes first, and constraints.txt keeps every later installation from replacing it.
%/.base-$(key): requirements/build.txt
	@echo 'creating $* with $(TORCH) (a large download)'
	@$(base_python) -m venv --clear $*
	@$*/$(pip_install) -r requirements/build.txt '$(TORCH)'
	@$*/bin/python -c 'from importlib.metadata import version; print("torch==" + version("torch"))' > $*/constraints.txt
	@touch $@

$(core)/.ready: $(core)/.base-$(key) requirements/core.txt $(packaging)
	@echo 'installing requirements/core.txt into $(core)'
	@$(core)/$(pip_install) -c $(core)/constraints.txt -r requirements/core.txt
	@$(core)/$(pip_install) -c $(core)/constraints.txt $(editable)
	@touch $@

$(full)/.ready: $(full)/.base-$(key) $(requirements_$(STACK)) requirements/tests.txt $(packaging)
	@echo 'installing $(requirements_$(STACK)) into $(full)'
	@$(full)/$(pip_install) -c $(full)/constraints.txt -r requirements/runtime.txt -r requirements/tests.txt
	@wheel=$$(tools/misc/build_mmcv_wheel.sh $(full)/bin/python \
	    $$(grep -E '^(onedl-)?mmcv==' $(requirements_$(STACK)))) && \
	    $(full)/$(pip_install) -c $(full)/constraints.txt "$$wheel" -r $(requirements_$(STACK))
	@$(full)/$(pip_install) -c $(full)/constraints.txt $(editable)
	@touch $@

$(deepspeed)/.ready: $(deepspeed)/.base-$(key) requirements/core.txt requirements/deepspeed.txt $(packaging)
	@echo 'installing requirements/deepspeed.txt into $(deepspeed)'
	@$(deepspeed)/$(pip_install) -c $(deepspeed)/constraints.txt -r requirements/deepspeed.txt
	@$(deepspeed)/$(pip_install) -c $(deepspeed)/constraints.txt $(editable)
	@touch $@

$(lint)/.ready: requirements/lint.txt
	@echo 'creating $(lint)'
	@$(base_python) -m venv --clear $(lint)
	@$(lint)/$(pip_install) -r requirements/lint.txt
	@touch $@
