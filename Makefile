# Two commands for a fresh clone: `make demo` and `make test`. Each makes .venv by itself.
VENV := .venv
PYTHON := python3
BIN := $(VENV)/bin
# uv takes a tenth of pip's time. It does not read pip's settings: where it cannot reach the packages, pip
# can. Neither compiles what nobody may import: Python does, at the first import.
INSTALL := sh -c '$(BIN)/uv pip install --quiet --python $(BIN)/python "$$@" \
	|| $(BIN)/python -m pip install --quiet --no-compile "$$@"' install

.PHONY: demo test lint bench docs page clean

demo: $(VENV)/demo.done
	$(BIN)/luthier demo

test: $(VENV)/test.done
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/test.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

bench: $(VENV)/bench.done
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/chaos.py
	$(BIN)/python benchmarks/simulated.py

docs: $(VENV)/docs.done
	$(BIN)/zensical build

# The dashboard's page, which is committed as it is built: only who changes page/ needs Node and npm.
page: page/node_modules/.package-lock.json
	cd page && npm run --silent check && npm run --silent build

page/node_modules/.package-lock.json: page/package-lock.json
	cd page && npm ci --no-audit --no-fund --silent

clean:
	rm -rf $(VENV) build dist site page/node_modules

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$@ -m pip install --quiet --upgrade "pip>=25.1" uv==0.13.9

$(VENV)/demo.done: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) --constraint constraints.txt --editable ".[keras,jax]"
	touch $@

# PyTorch first, by its exact version and by pip, which knows where the build for processors alone lies
# if anyone here does: with it there, nothing pulls the several-GB CUDA build.
$(VENV)/test.done: $(BIN)/python pyproject.toml constraints.txt tests/track/mlflow.txt
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt torch==2.13.0
	$(INSTALL) --constraint constraints.txt \
		--editable ".[keras,tensorflow,torch,jax,parquet,postgres,serve,dashboard,s3,urls,ray,dask,plot]" --group test --group lint
	$(INSTALL) --no-deps --target $(VENV)/mlflow --requirement tests/track/mlflow.txt
	touch $@ $(VENV)/demo.done

$(VENV)/bench.done: $(VENV)/test.done
	$(INSTALL) --constraint constraints.txt --group bench
	touch $@

$(VENV)/docs.done: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) --constraint constraints.txt --editable . --group docs
	touch $@
