"""`python -m qts`, the same program as the `qts` command."""

from qts.cli.main import main

if __name__ == "__main__":
    main()
