"""Proofs as rows for a terminal, and a line for each failing example."""

from collections.abc import Sequence
from typing import Any

Rows = list[dict[str, object]]


def proof_rows(proofs: Sequence[dict[str, Any]]) -> Rows:
    """Return a row a proof; what was skipped says why in place of a verdict."""
    return [
        {
            "proof": proof["name"], "compared": proof["compared"], "checked": proof["n_checked"],
            "failed": proof["n_failed"], "worst": proof["worst"], "seconds": round(proof["seconds"], 1),
            "verdict": _verdict(proof),
        }
        for proof in proofs
    ]  # fmt: skip


def _verdict(proof: dict[str, Any]) -> str:
    if proof["n_failed"]:
        return "FAILS"
    return f"skipped: {proof['skipped']}" if proof["skipped"] else "holds"


def failure_lines(proofs: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each failing proof: its claim, and its first example."""
    return [f"{proof['name']}, {proof['compared']}: {proof['example']}" for proof in proofs if proof["n_failed"]]
