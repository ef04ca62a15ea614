# The commands of this repository; `make` alone lists them. CI runs these same targets (.ci/run).
#
# Everything is installed into .venv with the exact versions of constraints.txt. The package is installed editable in
# setuptools' *strict* mode (links to files, no import hook), which is what type checkers understand; a new file needs a
# fresh link, so every target that runs code links first (one second).

PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
ARGS ?=
ROWS ?= 5000000
SECONDS ?= 60
TARGET ?=

PY := .venv/bin/python
PIP_INSTALL := $(PY) -m pip --quiet --disable-pip-version-check install --constraint $(CONSTRAINTS)
EDITABLE := --no-build-isolation --config-settings editable_mode=strict --editable
# pip compiles one file after another, tests of libraries included: a third of the whole install. This uses every core.
COMPILE := $(PY) -m compileall -q -j 0 -x '[/_]tests?[/.]' .venv/lib >/dev/null 2>&1 || true
INSTALL_INPUTS := setup.py pyproject.toml $(CONSTRAINTS)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

##@ Start here

.PHONY: demo
demo: .venv/.runtime link  ## Install, then build a dataset from real logs and show what is in it
	@$(PY) examples/demo.py $(ARGS)

.PHONY: test
test: .venv/.dev link  ## Install with the tools of developers, then run the tests (ARGS="-k contract" picks some)
	@$(PY) -m pytest -n logical $(ARGS)

.PHONY: flink
flink: .venv/.runtime link  ## Build the demo's day on a Flink cluster that is started here, and compare (needs Java and Maven)
	@$(PY) examples/flink/cluster.py

##@ Checks

.PHONY: check
check: lint types test  ## Everything that a change must pass

.PHONY: lint
lint: .venv/.dev  ## Style, likely bugs, format and spelling
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m codespell_lib

.PHONY: types
types: .venv/.dev link  ## Static types, strict
	@$(PY) -m mypy -p retrolabel

.PHONY: test-slow
test-slow: .venv/.dev link  ## The heavy tests that `make test` leaves out
	@$(PY) -m pytest -m slow $(ARGS) || [ $$? -eq 5 ]  # 5: there is none

.PHONY: test-engines
test-engines: .venv/.gcp link  ## The same day built on other engines; what this machine cannot get is skipped, and said
	@$(PY) -m pytest -m engines tests/engines $(ARGS)

.PHONY: test-stores
test-stores: emulators link  ## Logs and datasets on S3, Google Cloud Storage and Azure, on emulators, and on HDFS
	@$(PY) -m pytest -m stores tests/stores $(ARGS)

.PHONY: emulators
emulators: .venv/.emulators build/npm build/hadoop build/opensearch  ## Bring, for `make test-stores`, Azurite and elasticdump (npm), HDFS and OpenSearch (Maven): 0.6 GB

# Where there is no npm or Maven, the tests that need what it brings are skipped.
build/npm:
	@! command -v npm >/dev/null || npm install --silent --no-audit --no-fund --no-save --prefix $@ azurite@3.37.0 elasticdump@6.125.1

build/hadoop build/opensearch: build/%: tests/stores/servers/%.xml
	@! command -v mvn >/dev/null || mvn --quiet --batch-mode --file $< dependency:copy-dependencies -DoutputDirectory="$(CURDIR)/$@"
	@! test -d $@ || touch $@

.PHONY: test-integrations
test-integrations: .venv/.integrations link  ## Hooks, adapters, senders with the real packages of others; see `make schedulers senders`
	@test ! -x build/airflow/bin/python || build/airflow/bin/pip --quiet --disable-pip-version-check install --no-deps .
	@$(PY) -m pytest -m integrations tests/integrations tests/collect $(ARGS)

.PHONY: senders
senders:  ## Bring, for `make test-integrations`, what sends to `retrolabel collect` and what else signs for AWS (npm, Go, Maven): 30 MB
	@mkdir -p build/senders
	@npm install --silent --no-audit --no-fund --no-save --prefix build/senders @fluent-org/logger@1.0.10 @smithy/signature-v4@5.7.5 \
	    @aws-crypto/sha256-js@5.2.0
	@go build -C tests/collect/senders -o "$(CURDIR)/build/senders/go"
	@mvn --quiet --batch-mode --file tests/collect/senders/fluency.xml dependency:copy-dependencies \
	    -DoutputDirectory="$(CURDIR)/build/senders/java"

.PHONY: schedulers
schedulers: $(PY)  ## Bring Airflow, Kubeflow and TFX for `make test-integrations`: environments of their own, 4 GB
	@test -x build/kubeflow/bin/python || { $(PY) -m venv build/kubeflow && build/kubeflow/bin/pip --quiet install 'kfp==2.17.*'; }
	@test -x build/airflow/bin/python || { $(PY) -m venv build/airflow && build/airflow/bin/pip --quiet install 'apache-airflow==3.3.*'; }
	@test -x build/tfx/bin/python || { $(PY) -m venv build/tfx && build/tfx/bin/pip --quiet install 'tensorflow-cpu==2.21.*' 'absl-py<2' && \
	    build/tfx/bin/pip --quiet install --no-deps 'tfx==1.21.*' 'ml-pipelines-sdk==1.21.*' tensorflow-metadata googleapis-common-protos; }

.PHONY: fuzz
fuzz: .venv/.fuzz link  ## Coverage-guided fuzzing of everything that reads (SECONDS=60 for each target; TARGET=json picks one)
	@$(PY) -m tests.fuzz --seconds $(SECONDS) $(TARGET)

.PHONY: sanitize
sanitize: .venv/.dev  ## The tests of the compiled reader under GCC's sanitizers of addresses and undefined behaviour
	@CFLAGS="-O1 -g -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=undefined" $(MAKE) --no-print-directory link
	@LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" ASAN_OPTIONS=detect_leaks=0 \
	    $(PY) -c 'import retrolabel.transforms.kernels._scan, pytest, sys; sys.exit(pytest.main(sys.argv[1:]))' \
	    tests/unit/transforms/test_json_columns.py tests/unit/transforms/test_scan.py $(ARGS); status=$$?; $(MAKE) --no-print-directory link; exit $$status

.PHONY: bench
bench: .venv/.dev link  ## Compare with hand-written DuckDB, Polars and row-wise Beam (ROWS=5000000)
	@$(PY) benchmarks/compare.py --rows $(ROWS) $(ARGS)

##@ Upkeep

.PHONY: format
format: .venv/.dev  ## Format the code and mend what can be mended
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

.PHONY: dist
dist: .venv/.dev  ## Build the source distribution and, from it, the wheel
	@rm -rf dist && mkdir -p build
	@$(PY) -m build --no-isolation --outdir dist >build/dist.log 2>&1 || { cat build/dist.log >&2; exit 1; }
	@ls -1 dist/*

.PHONY: lock
lock: .venv/.dev  ## Resolve every dependency afresh into constraints.txt (run it with Python 3.11 on Linux)
	@rm -rf build/lock
	@$(PY) -m venv build/lock
	@build/lock/bin/python -m pip --quiet --disable-pip-version-check install --editable '.[dev,gcp,iceberg,integrations,emulators,fuzz]'
	@{ sed -n '/^#/p' constraints.txt; \
	   build/lock/bin/python -m pip freeze --all --exclude-editable --exclude pip; } >build/constraints.txt
	@mv build/constraints.txt constraints.txt
	@rm -rf build/lock

.PHONY: clean
clean:  ## Remove everything that these commands made here, except datasets
	@rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info *.egg-info transforms/kernels/*.so
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help:  ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	     /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	     /^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# How the environment comes to be. The stamps make a second call free until a file that decides the install changes.

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "error: retrolabel needs Python 3.11 or newer; '$(PYTHON)' is" \
	         "$$($(PYTHON) --version 2>/dev/null || echo 'not a Python that runs')." \
	         "Hint: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venv || { \
	    rm -rf .venv; \
	    echo "error: '$(PYTHON) -m venv' failed. Hint: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }

.venv/.runtime: $(INSTALL_INPUTS) | $(PY)
	@echo "Installing retrolabel into .venv: about a minute, 0.6 GB on disk" >&2
	@$(PIP_INSTALL) --no-compile setuptools
	@$(PIP_INSTALL) --no-compile $(EDITABLE) .
	@$(COMPILE)
	@touch $@

.venv/.dev: $(INSTALL_INPUTS) | $(PY)
	@echo "Installing retrolabel and the tools of its developers into .venv: about a minute, 0.9 GB on disk" >&2
	@$(PIP_INSTALL) --no-compile setuptools
	@$(PIP_INSTALL) --no-compile $(EDITABLE) '.[dev]'
	@$(COMPILE)
	@touch .venv/.runtime $@

.venv/.gcp: .venv/.dev
	@echo "Installing the clients of Google Cloud into .venv: about a minute" >&2
	@$(PIP_INSTALL) --no-compile $(EDITABLE) '.[dev,gcp]'
	@touch $@

.venv/.emulators: .venv/.dev
	@echo "Installing clients and emulators of object stores into .venv" >&2
	@$(PIP_INSTALL) $(EDITABLE) '.[dev,emulators]'
	@touch $@

.venv/.fuzz: .venv/.dev
	@$(PIP_INSTALL) --no-compile $(EDITABLE) '.[dev,fuzz]'
	@touch $@

.venv/.integrations: .venv/.dev
	@echo "Installing PyIceberg, Luigi, Celery and others into .venv" >&2
	@$(PIP_INSTALL) --no-compile $(EDITABLE) '.[dev,integrations]'
	@touch $@

# Always after one of the stamps: it needs the setuptools that they install.
.PHONY: link
link:
	@$(PIP_INSTALL) --no-deps $(EDITABLE) .
