# make demo    installs into .venv, starts the service, streams the sample pose stream to it, writes out/avatar.mp4
# make test    installs into .venv, then format, lint, types and tests
# make check   the same without the tests
# make protos  generates the protocol code anew
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
MANIFESTS := pyproject.toml clients/python/pyproject.toml constraints.txt

.PHONY: demo test check protos clean
.DELETE_ON_ERROR:

demo: $(VENV)/.runs
	@$(BIN)/python -m avatar_sdk.demo

test: check
	@echo "── tests"
	@$(BIN)/python -m pytest -q

check: $(VENV)/.tests
	@echo "── format and lint"
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	@echo "── types"
	@$(BIN)/mypy

protos: $(VENV)/.tests
	@$(BIN)/python tools/generate_protos.py

clean:
	rm -rf $(VENV) out

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
