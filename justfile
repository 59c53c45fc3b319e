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

# the built wheel works without the development packages
smoke:
    sh .ci/smoke

# regenerate the marked blocks of README and docs
docs:
    python -m tests.docs_blocks --write

# are the marked blocks current?
docs-check:
    python -m tests.docs_blocks

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
