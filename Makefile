# make demo    installs into .venv, starts the service, streams the sample pose stream to it, writes out/avatar.mp4
# make test    installs into .venv, then format, lint, types and tests
# make check   the same without the tests
# make page    builds the web page and copies the files that its tracker loads
# make protos  generates the protocol code anew
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
MANIFESTS := pyproject.toml clients/python/pyproject.toml constraints.txt
NPM := $(shell node -e 'const [a, b] = process.versions.node.split("."); if (a > 20 || (a == 20 && b >= 19)) console.log("npm")' 2>/dev/null)
TRACKER := avatar_sdk/server/web/tracker/README.txt
NPM_MANIFESTS := package.json package-lock.json $(wildcard clients/typescript/package.json page/package.json)

.PHONY: demo test check typescript page protos clean
.DELETE_ON_ERROR:

demo: $(VENV)/.runs $(if $(NPM),$(TRACKER))
	@$(BIN)/python -m avatar_sdk.demo

test: check
	@tools/find_chromium.sh
	@echo "── tests"
	@$(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile

check: $(VENV)/.tests typescript
	@echo "── format and lint"
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	@echo "── types"
	@$(BIN)/mypy

ifdef NPM
typescript: node_modules/.installed $(TRACKER)
	@echo "── TypeScript: format, lint, types"
	@npm run --silent lint && npm run --silent types
else
typescript:
	@echo "── TYPESCRIPT IS NOT CHECKED OR TESTED: this machine has no Node 20.19 or newer"
endif

page: node_modules/.installed $(TRACKER)
	@npm run --silent build --workspace page

$(TRACKER): node_modules/.installed page/scripts/tracker_files.mjs
	@echo "── copying the tracker's files from @mediapipe/face_mesh (10 MB)"
	@npm run --silent tracker --workspace page

protos: $(VENV)/.tests $(if $(NPM),node_modules/.installed)
	@$(BIN)/python tools/generate_protos.py
	@$(if $(NPM),$(BIN)/python tools/generate_typescript.py,echo "── THE TYPESCRIPT CODE IS NOT GENERATED: no Node")

clean:
	rm -rf $(VENV) out node_modules

$(BIN)/python:
	@python=$$(tools/find_python.sh) && echo "── creating $(VENV) with $$($$python --version)" && $$python -m venv $(VENV)

$(VENV)/.runs: $(BIN)/python $(MANIFESTS)
	@echo "── installing avatar-sdk into $(VENV) (about 1.2 GB; a few minutes the first time)"
	@$(INSTALL) --editable 'clients/python[webcam]' --editable '.[cpu]'
	@touch $@

$(VENV)/.tests: $(VENV)/.runs
	@echo "── installing what the tests need (torch, onnx, mypy, pytest, ruff)"
	@$(INSTALL) --editable 'clients/python[webcam]' --editable '.[cpu,webrtc,virtualcam,train,dev]'
	@touch $@

node_modules/.installed: $(NPM_MANIFESTS)
	@echo "── installing what the TypeScript client needs (npm ci)"
	@npm ci --silent --ignore-scripts
	@touch $@
