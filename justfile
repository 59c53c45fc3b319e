# list the recipes
default:
    @just --list

# the whole gate
check: fmt-check lint types test docs-check smoke

# format the code
fmt:
    ruff format .
    ruff check --fix-only .

# is the code formatted?
fmt-check:
    ruff format --check .

# every lint rule that is not exempted with a reason
lint:
    ruff check .

# strict types for the package
types:
    mypy

# the tests, without a GPU
test *args:
    python -m pytest -q -n 2 {{args}}

# the tests that need a CUDA device
test-gpu:
    python -m pytest -q -m cuda

# many crash rounds, and twenty times as many cases of bad input: an hour of one core
torture rounds="500":
    python -m tests.crash --rounds {{rounds}} --seed 7
    python -m tests.fuzz --cases $(( {{rounds}} * 20 )) --seed 7

# the built wheel works without the development packages
smoke:
    sh .ci/smoke

# regenerate the marked blocks of README and docs
docs:
    python -m tests.docs_blocks --write

# are the marked blocks current?
docs-check:
    python -m tests.docs_blocks

# known advisories of what is installed, and of the oldest versions that pyproject.toml allows; asks PyPI
audit:
    python -m venv build/audit
    build/audit/bin/python -m pip install --quiet pip-audit
    python -m tests.floors > build/audit/floors.txt
    python -m pip list --format=freeze --exclude-editable | sed 's/+[^ ]*$//' > build/audit/installed.txt
    build/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement build/audit/floors.txt
    build/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement build/audit/installed.txt

# rebuild the sample market from its seed
sample:
    python sample_data/make.py

# the sample market from bars to report
demo:
    qts run --config sample_data/qts.toml

# time against a peer: just bench ingest
bench name *args:
    python benchmarks/{{name}}.py {{args}}

# remove what builds and tests leave behind
clean:
    rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis sample_data/.qts
