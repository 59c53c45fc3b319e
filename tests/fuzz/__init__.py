"""Whatever the input, qts answers with an error of its own and a documented exit code, or succeeds."""
