# `make demo` and `make test` set up all they need, and are quick the second time.
PYTHON ?= python3
BIN := .venv/bin
COMPONENT := edge/edgewise/artifacts/edgewise.wasm
# py2wasm runs on Python 3.11 only.
INTERPRETED = componentize-py $(shell $(BIN)/python -c 'import sys; sys.version_info[:2] == (3, 11) and print("py2wasm")')
SOURCES := $(shell find edge/edgewise/core edge/wit build/edgewise_build -name '*.py' -o -name '*.wit' -o -name '*.mjs') \
           edge/worker/tools/wrap.mjs $(wildcard classifier/model/*)

.PHONY: demo test test-heavy load lint setup build bench bench-proxy worker train eval wheel clean

demo: build
	$(BIN)/edgewise simulate examples/traffic.jsonl
	$(BIN)/edgewise bench --runtime wasmtime --tokens 50,512 -n 500

test: lint build worker
	$(BIN)/pytest
	cd edge/worker && npm test --silent

test-heavy: build worker
	$(BIN)/pytest -m heavy

load: build
	$(BIN)/pytest -m heavy -s tests/proxy/test_load.py

bench-proxy: build
	$(BIN)/python -m edgewise_build.proxy_bench

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

setup: .venv/installed edge/worker/node_modules/.package-lock.json

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "edgewise needs Python 3.11 or newer; try: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[build,train,dev]'
	@touch $@

edge/worker/node_modules/.package-lock.json: edge/worker/package-lock.json
	@command -v npm >/dev/null || { echo "the Worker needs Node.js 20 or newer, with npm" >&2; exit 1; }
	cd edge/worker && npm ci --silent --no-audit --no-fund || \
		{ echo "npm could not install what edge/worker needs: is there a network?" >&2; exit 1; }
	@touch $@

build: setup $(COMPONENT)

$(COMPONENT): $(SOURCES)
	$(BIN)/edgewise build
	@touch $@

worker: build
	$(BIN)/edgewise build --target worker

bench: build worker
	for backend in $(INTERPRETED); do $(BIN)/edgewise build --backend $$backend || exit 1; done
	$(BIN)/edgewise bench --backend aot $(INTERPRETED:%=--backend %) \
		--runtime wasmtime --runtime wasmtime-component --runtime workerd --peers --docs docs

train: setup
	$(BIN)/edgewise train --data $(DATA)

eval: build
	@test -n "$(DATA)" || { echo "say where the data is: make eval DATA=DIR; docs/data.md says what DIR holds" >&2; exit 2; }
	$(BIN)/edgewise eval --data $(DATA) --heavy --docs docs

wheel: build
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf .venv build/peers/node_modules build/peers/gateways/.venv build/peers/gateways/node_modules edge/worker/node_modules edge/worker/generated edge/edgewise/artifacts dist
