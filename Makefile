# Every command of the project. `make` alone lists them.
#
#   PYTHON=python3.12   the interpreter that .venv is made from (default python3; 3.11 or newer)
#   ARGS="…"            passed on to the command behind run, test, chaos, bench…, soak, rolling, llm, openapi, security,
#                       browser, licences and lock
#   T=path              what `make test` or `make browser` runs (default: all of tests/, or of tests/browser)
#   COMPILED=1          has `make test` test what `make compiled` makes
#   A, B                the commits that `make bench-compare` compares
#   N, SEED, MINUTES    how many calls `make chaos` makes (default 30000), its seed, and the longest it may take;
#                       how long `make soak` runs (default 30), and `make security` beside its attacks (15)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

# Images for containers set it. Every process of the many that are started here would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
T ?= tests
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := $(shell find gateway -name '*.py' -o -name '*.lua')

# A .venv that was never finished, was moved, or whose interpreter is gone is made anew.
VENV := $(shell [ "$$(cat .venv/ok 2>/dev/null)" = "$(CURDIR)" ] && $(BIN)/python -c '' 2>/dev/null && echo usable)
ifneq ($(VENV),usable)
.venv/ok: always
endif

.PHONY: help setup run test chaos rolling deploy-check check fmt bench bench-compare bench-peers bench-keys soak llm openapi security clients browser licences vendor lock build compiled clean always
always:

help:  ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

setup: .venv/ok  ## make the environment in .venv (all that `make run` needs)

run: .venv/ok  ## start Tollhouse with everything it needs; Ctrl-C stops it
	@exec $(BIN)/tollhouse run $(ARGS)

test: .venv/dev-ok $(if $(COMPILED),build/compiled/ok)  ## run the tests: T=path for some, ARGS="-k word" for pytest, COMPILED=1
	@exec $(BIN)/python -m pytest $(if $(COMPILED),-p tests.compiled) -n 3 $(ARGS) $(T)

chaos: .venv/dev-ok  ## kill processes and lose stores under load, and see that the cap holds: N=calls SEED=…
	@exec $(BIN)/python -m tests.chaos $(N:%=--calls %) $(SEED:%=--seed %) $(MINUTES:%=--minutes %) $(ARGS)

rolling: .venv/dev-ok  ## restart three gateways behind HAProxy under load: no call may fail; ARGS="--front nginx --rounds 3"
	@exec $(BIN)/python -m tests.rolling $(ARGS)

deploy-check: .venv/deploy-ok  ## have each file of deploy/ read by the tool that it is for, where that is installed
	@exec $(BIN)/python tools/deploy_check.py $(ARGS)

check: .venv/dev-ok  ## all that CI asks for: format, lint, spelling, imports, types, tests
	$(call step,format,$(BIN)/ruff format --check --quiet .)
	$(call step,lint,$(BIN)/ruff check --quiet .)
	$(call step,spelling,$(BIN)/codespell)
	$(call step,imports,$(BIN)/lint-imports --no-logo)
	$(call step,types,$(BIN)/mypy)
	$(call step,tests,$(BIN)/pytest -n 3 tests)

fmt: .venv/dev-ok  ## format, and mend what the linter can
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: .venv/dev-ok  ## measure the gateway against nginx, then translation, posting, tokens made and listed
	@$(BIN)/python -m bench.run $(ARGS)
	@$(BIN)/python -m bench.translation
	@$(BIN)/python -m bench.posting
	@$(BIN)/python -m bench.tokens

bench-compare: .venv/dev-ok  ## what a call costs at commit B against commit A: A=commit B=commit
	@exec $(BIN)/python -m bench.compare $(A) $(B) $(ARGS)

bench-peers: .venv/dev-ok  ## measure LiteLLM and Portkey beside it, in the same run
	@exec $(BIN)/python -m bench.peers $(ARGS)

bench-keys: .venv/dev-ok  ## measure calls with many keys, a million in the database
	@exec $(BIN)/python -m bench.keys $(ARGS)

soak: .venv/dev-ok  ## see that neither memory nor latency grows in a long run: MINUTES=30
	@exec $(BIN)/python -m bench.soak $(MINUTES:%=--minutes %) $(ARGS)

llm: .venv/llm-ok  ## call a small real model through the gateway and compare the ledger with it
	@exec $(BIN)/python tools/llm.py $(ARGS)

openapi: .venv/dev-ok  ## call the admin API at length in every way that its document allows: ARGS="--examples 300 --seed 1"
	@exec $(BIN)/python -m tests.openapi_run $(ARGS)

security: .venv/fuzz-ok  ## attacks, faults and odd input at length, and a table of what came of it: MINUTES=15
	@exec $(BIN)/python -m tests.security $(MINUTES:%=--minutes %) $(ARGS)

clients: .venv/clients-ok  ## call the gateway with LangChain, the llm command and the Node SDK
	@TOLLHOUSE_TEST_CLIENTS=1 exec $(BIN)/pytest -q $(ARGS) tests/clients

browser: .venv/browser-ok  ## use the console in a real browser, and write pictures of every page: T=path ARGS="-k word"
	@TOLLHOUSE_TEST_BROWSER=1 exec $(BIN)/pytest -q $(ARGS) $(if $(filter tests,$(T)),tests/browser,$(T))

licences: .venv/ok  ## list the licences of what Tollhouse is installed with, and fail for one that is not allowed
	@exec $(BIN)/python tools/licences.py $(ARGS)

vendor:  ## fetch the console's libraries anew
	@$(PYTHON) tools/vendor.py

lock:  ## resolve the dependencies anew: ARGS=--upgrade for the newest
	@PYTHON='$(PYTHON)' tools/lock $(ARGS)

build: .venv/ok  ## build the wheel into dist/
	@$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

compiled: build/compiled/ok  ## the same with the modules that every call passes through as C: a compiler and two minutes
build/compiled/ok: .venv/dev-ok pyproject.toml tools/compiled.py $(SOURCES)
	@echo 'Compiling (two minutes) …'
	@rm -rf build/compiled
	@TOLLHOUSE_COMPILED=1 PATH='$(BIN)':"$$PATH" $(PIP) wheel --no-deps --no-build-isolation --wheel-dir build/compiled .
	@$(BIN)/python -m zipfile -e build/compiled/*.whl build/compiled
	@touch $@

clean:  ## remove .venv, dist and caches; the state directory is kept
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/ok: requirements.lock pyproject.toml
	@[ '$(VENV)' = usable ] || PYTHON='$(PYTHON)' tools/venv
	@echo 'Installing what Tollhouse needs into .venv (once) …'
	@tools/install requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@printf '%s\n' '$(CURDIR)' > $@

.venv/%-ok: requirements-%.lock .venv/ok
	@echo 'Installing $(WHAT) into .venv (once) …'
	@tools/install $<
	@touch $@

.venv/dev-ok: WHAT = the development tools
.venv/clients-ok: WHAT = further clients
.venv/browser-ok: WHAT = what drives a browser
.venv/fuzz-ok: WHAT = what fuzzes by coverage
.venv/deploy-ok: WHAT = what reads the files of deploy/
.venv/llm-ok: WHAT = the model and its server, 300 MB,
.venv/clients-ok .venv/browser-ok .venv/fuzz-ok .venv/deploy-ok: .venv/dev-ok

define step
@printf '== %s\n' '$(1)'
@$(2)
endef
