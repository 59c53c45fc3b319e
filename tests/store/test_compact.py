"""Which parts are merged, and what a life of nights comes to."""

from qts.store import Part
from qts.store.compact import FAN, LARGE, parts_to_merge


def part(n_rows: int, number: int = 0) -> Part:
    return Part(path=f"factors/mine/part-{number:05d}-00000000.parquet", n_rows=n_rows, n_bytes=n_rows)


def test_parts_are_merged_once_so_many_are_of_one_size() -> None:
    few = [part(5000 + n, n) for n in range(FAN - 1)]
    assert parts_to_merge(few) == []
    assert parts_to_merge([*few, part(4999, 99)]) == [*few, part(4999, 99)]
    assert parts_to_merge([*few, part(50, 99)]) == []


def test_large_parts_are_never_rewritten() -> None:
    assert parts_to_merge([part(LARGE, n) for n in range(3 * FAN)]) == []


def test_a_thousand_nights_leave_few_parts_and_rewrite_a_row_three_times_at_most() -> None:
    held, n_rewritten = [part(2_000_000, n) for n in range(12)], 0
    for night in range(1000):
        held.append(part(5000, 100 + night))
        while merged := parts_to_merge(held):
            n_rows = sum(one.n_rows for one in merged)
            held = [one for one in held if one not in merged] + [part(n_rows, 10_000 + night)]
            n_rewritten += n_rows
    assert len(held) <= 12 + 3 * FAN
    assert n_rewritten <= 3 * 1000 * 5000
