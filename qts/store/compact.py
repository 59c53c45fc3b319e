"""Small parts become larger ones: as soon as eight are of one size, they are one of the next.

A night adds a part; after a year of nights there are a dozen, and every row was rewritten three times at most. Large
parts, as a first ingest writes them, are left alone: a night must never cost what all of history costs.
"""

import math
from collections.abc import Sequence

from qts.store.manifest import Part

FAN = 8
"""Parts of one size that become one."""

LARGE = 500_000
"""Rows from which a part is large."""


def size_class(part: Part) -> int:
    """Return how often a part's rows can be divided by FAN."""
    return int(math.log(max(part.n_rows, 1), FAN))


def parts_to_merge(parts: Sequence[Part]) -> list[Part]:
    """Return the FAN or more parts of the smallest crowded size, oldest first; empty if no size is crowded."""
    sizes: dict[int, list[Part]] = {}
    for part in (part for part in parts if part.n_rows < LARGE):
        sizes.setdefault(size_class(part), []).append(part)
    crowded = [members for _, members in sorted(sizes.items()) if len(members) >= FAN]
    return crowded[0] if crowded else []
