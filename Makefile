# make demo       the main job on generated data, from nothing to a table: detection
# make demo-seg   the same for semantic segmentation
# make test       everything that is checked: style, types, tests on both mm distributions
# make test-lowest  exported files with the oldest packages that setup.py allows
# make benchmark-gpu  what only a GPU can tell, in under ten minutes and without a network
# make fuzz       new random networks, files and metadata, for MINUTES (20)
# make faults     kills, full disks, holes in files, in every tool at random moments, for MINUTES
# make audit      asks for known vulnerabilities of the tested versions; for releases, needs a network
# make release    wheel, source and tested versions in dist/, with their hashes in SHA256SUMS
# make docs       the documentation as a site, in site/; links that lead nowhere are errors
# make constraints  writes the tested versions of everything, from both environments
# Each makes the environments it needs; PYTHON chooses the interpreter.

PYTHON ?= python3
VENV := .venv
CLASSIC := .venv-openmmlab
# Two files of tests at a time, each process with one thread: the networks are small.
# They begin in the order of tests/conftest.py, the longest first, so that none runs on alone.
# A process that dies ends the run: with one in its place, the others may wait for ever.
PYTEST := -m pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0
test-onedl test-openmmlab: export OMP_NUM_THREADS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo demo-seg test lint test-onedl test-openmmlab test-lowest benchmark-gpu fuzz faults audit \
  release constraints docs clean

demo: $(VENV)/.complete
	$(VENV)/bin/python tools/demo.py

demo-seg: $(VENV)/.complete
	$(VENV)/bin/python tools/demo.py --task segmentation

# In whatever environment there is: one with torch for the GPU and the mm packages, which this
# does not make. BENCHMARK_PYTHON chooses it.
BENCHMARK_PYTHON ?= $(if $(wildcard $(VENV)/.complete),$(VENV)/bin/python,$(PYTHON))
benchmark-gpu: export PYTHONPATH := $(CURDIR)
benchmark-gpu:
	$(BENCHMARK_PYTHON) tools/benchmark_gpu.py

test: lint test-onedl test-openmmlab

lint: $(VENV)/.complete
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

test-onedl: $(VENV)/.complete
	$(VENV)/bin/python $(PYTEST)

test-openmmlab: $(CLASSIC)/.complete
	$(CLASSIC)/bin/python $(PYTEST) -m distribution

# Beside the environment, before whose packages they come.
LOWEST := .lowest
test-lowest: export OMP_NUM_THREADS := 1
test-lowest: $(VENV)/.complete
	$(VENV)/bin/python -m pip install -q --no-deps --upgrade --target $(LOWEST) -r requirements/lowest.txt
	PYTHONPATH=$(LOWEST) $(VENV)/bin/python $(PYTEST) tests/runtime tests/quantization/test_quantization.py

MINUTES ?= 20
fuzz faults: export OMP_NUM_THREADS := 1
fuzz faults: $(VENV)/.complete
	$(VENV)/bin/python tests/$@ --minutes $(MINUTES)

AUDIT := .venv-audit
audit:
	$(PYTHON) -m venv --clear $(AUDIT)
	$(AUDIT)/bin/python -m pip install -q pip-audit
	$(call ask-for-vulnerabilities,onedl)
	$(call ask-for-vulnerabilities,openmmlab)

# $(1): distribution. A package that the database does not answer for counts as a failure.
define ask-for-vulnerabilities
	@echo "==> Asking for known vulnerabilities of the tested versions ($(1))"
	@$(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip -r requirements/constraints-$(1).txt || \
	  { echo "==> Not clean, or not audited ($(1)): a table above names what is vulnerable. Without" >&2; \
	    echo "    one, there was no answer, and nothing is known: ask again from another network." >&2; \
	    exit 1; }
endef

release: $(VENV)/.complete
	rm -rf dist
	$(VENV)/bin/python -m build --outdir dist
	cp requirements/constraints-*.txt dist/
	PYTHONPATH=$(CURDIR) $(VENV)/bin/python requirements/write_hashes.py dist

constraints: $(VENV)/.complete $(CLASSIC)/.complete
	$(VENV)/bin/python requirements/write_constraints.py requirements/constraints-onedl.txt
	$(CLASSIC)/bin/python requirements/write_constraints.py requirements/constraints-openmmlab.txt

# Without torch and the mm packages: docstrings are read and not run. Needs Python 3.11 or later.
DOCS := .venv-docs
docs: $(DOCS)/.complete
	$(DOCS)/bin/python docs/build_site.py

$(DOCS)/.complete: requirements/docs.txt
	$(PYTHON) -m venv --clear $(DOCS)
	$(DOCS)/bin/python -m pip install -q -r requirements/docs.txt
	@touch $@

$(VENV)/.complete: requirements/torch.txt requirements/export.txt requirements/onedl.txt requirements/dev.txt setup.py
	$(call make-environment,$(VENV),onedl)

$(CLASSIC)/.complete: requirements/torch.txt requirements/export.txt requirements/openmmlab.txt requirements/dev.txt setup.py
	$(call make-environment,$(CLASSIC),openmmlab)

# $(1): folder, $(2): requirements file. The marker is written last, so that an
# installation that broke off is done again.
define make-environment
	@echo "==> Making the environment $(1) ($(2)); torch alone is several GB the first time"
	$(PYTHON) -m venv --clear $(1)
	$(1)/bin/python -m pip install -q -r requirements/$(2).txt -r requirements/dev.txt
	$(1)/bin/python -m pip install -q --no-deps -e .
	@touch $@
endef

clean:
	rm -rf $(VENV) $(CLASSIC) $(LOWEST) $(AUDIT) $(DOCS) build dist site *.egg-info work_dirs
