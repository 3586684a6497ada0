# make demo: install and run the main job.   make test: install if needed and run the tests.   make slow: the long tests.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin

.PHONY: demo test slow lint wheel clean

demo: $(VENV)/.installed
	$(BIN)/xbar run

# Two processes, a file of tests at a time; then what measures speed, alone. Tests of threads ask for as many as they need;
# others with more than one to a process would wait for each other where the cores are busy.
test: export OMP_NUM_THREADS = 1
test: $(VENV)/.oracles
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/benchmarks
	$(BIN)/python -m pytest tests/benchmarks

slow: $(VENV)/.oracles
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel: $(VENV)/.installed
	$(BIN)/python -m build --wheel

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,data,nir]'
	touch $@

# Second opinions on circuits. Tests that need one are skipped, with the reason, where it cannot be installed. badcrossbar
# comes without its dependencies: they draw pictures, which nobody looks at here.
$(VENV)/.oracles: $(VENV)/.installed
	-$(BIN)/pip install --quiet --no-deps badcrossbar==1.1.0 pathvalidate==3.3.1
	-command -v ngspice >/dev/null || (test $$(id -u) = 0 && command -v apt-get >/dev/null && \
		(apt-get install -y -qq ngspice >/dev/null 2>&1 || (apt-get update -qq && apt-get install -y -qq ngspice) >/dev/null 2>&1))
	touch $@

clean:
	rm -rf $(VENV) dist build
