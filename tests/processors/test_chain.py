"""Chains: nothing beyond the fit range or the universe is looked at, nothing is changed in place, JSON holds all."""

import json
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qts.config import Table, load_config
from qts.errors import ConfigProblems
from qts.processors import PROCESSORS, Block, apply_chain, check_processors, fit_chain

FIT = (date(2024, 1, 1), date(2024, 1, 3))
N_DAYS, N_INSTRUMENTS, N_COLUMNS = 5, 7, 3


def block(seed: int = 1, n_members: int = N_INSTRUMENTS) -> Block:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(N_DAYS * N_INSTRUMENTS, N_COLUMNS)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    instrument = np.repeat(np.arange(N_INSTRUMENTS), N_DAYS)
    calendar = np.arange("2024-01-01", "2024-01-06", dtype="datetime64[D]")
    kept = np.ones(len(values), dtype=bool)
    return Block(
        ("A", "B", "C"),
        values,
        instrument,
        np.tile(np.arange(N_DAYS), N_INSTRUMENTS),
        calendar,
        instrument < n_members,
        kept,
    )


def steps(*names: str) -> list[tuple[str, Table]]:
    needed = {"select_columns": {"columns": ["C", "A"]}, "drop_columns": {"columns": ["B"]},
              "time_range": {"first": "2024-01-01", "last": "2024-01-05"}}  # fmt: skip
    return [(name, PROCESSORS[name].options.model_validate(needed.get(name, {}))) for name in names]


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_processor_leaves_its_input_as_it_was(name: str) -> None:
    given_block = block()
    before = given_block.values.copy()
    fit_chain(given_block, steps(name), FIT)
    assert np.array_equal(before, given_block.values, equal_nan=True)


@pytest.mark.parametrize("name", PROCESSORS)
def test_what_json_records_gives_the_same_values_again(name: str) -> None:
    made, fitted = fit_chain(block(), steps(name, "fillna"), FIT)
    records = json.loads(json.dumps([step.to_json() for step in fitted]))
    again = apply_chain(block(), records)
    assert again.columns == made.columns
    assert np.array_equal(again.values, made.values, equal_nan=True)
    assert np.array_equal(again.kept, made.kept)


@pytest.mark.parametrize("name", [name for name, row in PROCESSORS.items() if row.parameters])
def test_rows_after_the_fit_range_do_not_move_a_fitted_processor(name: str) -> None:
    plain = block()
    moved = block()
    moved.values[moved.day > 2] *= 1000
    assert fit_chain(plain, steps(name), FIT)[1][0].parameters == fit_chain(moved, steps(name), FIT)[1][0].parameters


@pytest.mark.parametrize("name", [name for name in PROCESSORS if name not in ("fillna", "time_range")])
def test_who_is_no_member_does_not_move_those_who_are(name: str) -> None:
    plain = block(n_members=4)
    moved = block(n_members=4)
    moved.values[~moved.members] = 1e6
    members = plain.members
    ours, theirs = (fit_chain(b, steps(name), FIT)[0] for b in (plain, moved))
    assert np.array_equal(ours.values[members], theirs.values[members], equal_nan=True)


def test_a_later_processor_is_fitted_on_what_the_earlier_one_made() -> None:
    _, fitted = fit_chain(block(), steps("fillna", "zscore", "zscore"), FIT)
    assert fitted[2].parameters["center"] == pytest.approx([0, 0, 0], abs=1e-6)
    assert fitted[2].parameters["scale"] == pytest.approx([1, 1, 1], abs=1e-6)


def test_a_processor_s_own_fit_range_beats_the_train_segment() -> None:
    own = PROCESSORS["zscore"].options.model_validate({"fit": ["2024-01-05", "2024-01-05"]})
    given_block = block()
    _, fitted = fit_chain(given_block, [("zscore", own)], FIT)
    last = given_block.values[given_block.day == 4]
    assert fitted[0].parameters["center"] == pytest.approx(np.nanmean(last.astype(float), axis=0).tolist())


def test_time_range_keeps_instruments_that_span_it() -> None:
    whole = block()
    rows = ~((whole.instrument == 2) & (whole.day == 4))
    cut = Block(
        whole.columns,
        whole.values[rows],
        whole.instrument[rows],
        whole.day[rows],
        whole.calendar,
        whole.members[rows],
        whole.kept[rows],
    )
    made, _ = fit_chain(cut, steps("time_range"), FIT)
    assert set(cut.instrument[~made.kept]) == {2}


@settings(max_examples=50)
@given(st.lists(st.floats(-5, 5, width=16) | st.just(float("nan")), min_size=1, max_size=12))
def test_cs_rank_is_the_average_rank_of_a_naive_count(day: list[float]) -> None:
    x = np.array(day, dtype=np.float32)
    zeros, everyone = np.zeros(len(x), dtype=int), np.ones(len(x), dtype=bool)
    one_day = Block(
        ("A",),
        x[:, None],
        np.arange(len(x)),
        zeros,
        np.array(["2024-01-01"], dtype="datetime64[D]"),
        everyone,
        everyone,
    )
    made, _ = fit_chain(one_day, steps("cs_rank"), FIT)
    known = [v for v in day if v == v]
    for value, got in zip(day, made.values[:, 0], strict=True):
        if value != value:
            assert np.isnan(got)
        else:
            rank = sum(v < value for v in known) + (sum(v == value for v in known) + 1) / 2
            assert got == pytest.approx((rank / len(known) - 0.5) * 3.46, abs=1e-6)


def test_every_problem_of_the_processors_is_reported_at_once() -> None:
    assignments = [
        'processors.features=[{name = "robust_zscor"}, {name = "fillna", valeu = 1.0}, {name = "zscore", fit = 3}]'
    ]
    with pytest.raises(ConfigProblems) as caught:
        check_processors(load_config(assignments=assignments), "features")
    assert [problem.message for problem in caught.value.parts()] == [
        'unknown processor "robust_zscor"',
        'unknown key "valeu" in [processors.features]',
        '"fit" in [processors.features] must be a list, not 3',
    ]
    assert caught.value.parts()[0].hint == 'did you mean "robust_zscore"?'
