# `make` lists the targets. Everything runs in .venv, which the first target creates.

PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
READY := .venv/.ready
OPENAPI := .venv/openapi/.ready
# Without bytecode every process that a test starts compiles the vendors' SDKs again: ten seconds of a core each.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo dev test soak trial check lint types clients fmt bench migration clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## run the demo of the whole loop on this machine; KEEP=1 leaves everything running
	$(BIN)/tollgate demo $(if $(KEEP),--keep)

dev: $(READY) ## run API, worker, servers and simulators until Ctrl-C
	$(BIN)/tollgate dev

test: $(READY) ## run the tests; ARGS="tests/unit -k wallet" picks some
	$(BIN)/pytest --numprocesses 2 --dist loadfile $(ARGS)

soak: $(READY) ## run the long versions of the tests that have one: more seeds, more examples, all combinations
	$(BIN)/pytest --numprocesses 2 --dist load -m soak $(ARGS)

trial: $(READY) ## try the Compose file on this machine's Docker engine, with simulated providers; KEEP=1 leaves it running
	$(BIN)/python -m tools.compose_trial $(if $(KEEP),--keep)

check: lint types clients test ## what CI runs: lint, format, types, import contracts, generated clients, tests

lint: $(READY) $(OPENAPI) ## check style, format, import contracts, migrations and the OpenAPI document
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m tools.migration_lint
	$(BIN)/python -m tools.openapi lint

types: $(READY) ## check types, strictly
	$(BIN)/mypy

clients: $(READY) $(OPENAPI) ## generate a Python and a TypeScript client of the API, and compile them
	$(BIN)/python -m tools.openapi clients

fmt: $(READY) ## format the code and fix what ruff can fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY) ## measure the lifecycle and an empty workflow in one run; ARGS="--json --organizations 100"
	$(BIN)/tollgate bench lifecycle $(ARGS)

migration: $(READY) ## write a migration from the changes in db/tables: make migration M="add receipts"
	$(BIN)/python -m tools.migration "$(M)"

clean: ## remove the environment, the caches and the embedded servers' data
	rm -rf .venv .data .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Tollgate needs Python 3.11 or later; name one: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv sync --frozen --compile-bytecode
	@touch $(READY)

$(OPENAPI): tools/openapi/package-lock.json tools/openapi/uv.lock | $(READY)
	@node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' \
		&& command -v npm > /dev/null \
		|| { echo "make lint and make clients need Node.js 20.19 or later, with npm (https://nodejs.org)"; exit 1; }
	mkdir -p .venv/openapi
	cp tools/openapi/package.json tools/openapi/package-lock.json .venv/openapi
	npm ci --prefix .venv/openapi --ignore-scripts --no-audit --no-fund --loglevel=error
	UV_PROJECT_ENVIRONMENT=$(CURDIR)/.venv/openapi/python \
		$(BIN)/uv sync --frozen --quiet --project tools/openapi --python $(CURDIR)/$(BIN)/python
	@touch $(OPENAPI)
