"""Every processor against the reference: values, parameters, dropped rows, chosen columns."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from qts.processors import PROCESSORS, Block, FittedProcessor, fit_chain
from tests.golden_market import disagreements

GOLDEN = Path(__file__).parents[1] / "golden"
RECORD = json.loads((GOLDEN / "processors/processors.json").read_text())
CASES: dict[str, dict[str, Any]] = RECORD["cases"]
OUTPUTS = np.load(GOLDEN / "processors/outputs.npz")
FITTED = np.load(GOLDEN / "processors/fitted_params.npz")
FIT = (date.fromisoformat(RECORD["fit"]["fit_start_time"]), date.fromisoformat(RECORD["fit"]["fit_end_time"]))

OURS: dict[str, tuple[str, Any]] = {
    "RobustZScoreNorm": ("robust_zscore", lambda k: {"clip": 3.0 if k["clip_outlier"] else 0.0}),
    "ZScoreNorm": ("zscore", lambda k: {}),
    "MinMaxNorm": ("minmax", lambda k: {}),
    "CSZScoreNorm": ("cs_zscore", lambda k: {"method": k.get("method", "zscore")}),
    "CSRankNorm": ("cs_rank", lambda k: {}),
    "CSZFillna": ("cs_fillna", lambda k: {}),
    "Fillna": ("fillna", lambda k: {"value": float(k.get("fill_value", 0))}),
    "TanhProcess": ("tanh", lambda k: {}),
    "ProcessInf": ("process_inf", lambda k: {}),
    "DropnaProcessor": ("dropna", lambda k: {}),
    "DropnaLabel": ("dropna", lambda k: {}),
    "DropCol": ("drop_columns", lambda k: {"columns": k["col_list"]}),
    "FilterCol": ("select_columns", lambda k: {"columns": k["col_list"]}),
}
ROUNDING = {"feature/CONST01"}
"""0.1 in every row: in 32 bits the reference finds a spread of 1.5e-8 in it. qts sees a constant."""


def is_of(case: dict[str, Any], *kinds: str) -> bool:
    return case["class"] in kinds


def touched(case: dict[str, Any]) -> list[str]:
    """Return the columns a case works on: its group; all but the label for TanhProcess."""
    names = [n for n in pq.read_schema(GOLDEN / "processors/input_nan.parquet").names if "/" in n]
    if case["input"] == "nan_without_ALLNAN":
        names.remove("feature/ALLNAN")
    group = case["kwargs"].get("fields_group", "label" if is_of(case, "DropnaLabel") else None)
    groups = [group] if isinstance(group, str) else group
    if is_of(case, "TanhProcess"):
        return [n for n in names if "LABEL" not in n]
    return [n for n in names if groups is None or n.partition("/")[0] in groups]


def input_block(case: dict[str, Any]) -> Block:
    table = pq.read_table(GOLDEN / f"processors/input_{'inf' if case['input'] == 'inf' else 'nan'}.parquet")
    days = table["datetime"].to_numpy().astype("datetime64[D]")
    calendar, day = np.unique(days, return_inverse=True)
    instrument = np.unique(table["instrument"].to_pylist(), return_inverse=True)[1]
    names = touched(case)
    values = np.stack([table[n].to_numpy() for n in names], axis=1)
    everyone = np.ones(len(days), dtype=bool)
    return Block(tuple(n.partition("/")[2] for n in names), values, instrument, day, calendar, everyone, everyone)


def run(case: dict[str, Any]) -> tuple[Block, Block, FittedProcessor]:
    name, options = OURS[case["class"]]
    before = input_block(case)
    checked = PROCESSORS[name].options.model_validate(options(case["kwargs"]))
    after, fitted = fit_chain(before, [(name, checked)], FIT)
    return before, after, fitted[0]


@pytest.mark.parametrize(
    "key", [k for k, c in CASES.items() if not c["class"].startswith("Drop") and c["class"] != "FilterCol"]
)
def test_a_processor_gives_the_reference_s_values(key: str) -> None:
    case = CASES[key]
    before, after, _ = run(case)
    for at, name in enumerate(touched(case)):
        want = OUTPUTS[f"{key}.{name}"] if f"{key}.{name}" in OUTPUTS else before.values[:, at]
        if name in ROUNDING and is_of(case, "ZScoreNorm", "CSZScoreNorm"):
            assert len(set(after.values[:, at].tolist())) == 1 or np.isnan(after.values[:, at]).all()
            continue
        assert not disagreements(want, after.values[:, at], absolute=1e-5).any(), name
        assert (np.isinf(want) == np.isinf(after.values[:, at])).all(), name


@pytest.mark.parametrize("key", [k for k, c in CASES.items() if c["class"].startswith("Dropna")])
def test_dropping_rows_drops_the_reference_s_rows(key: str) -> None:
    _, after, _ = run(CASES[key])
    assert np.flatnonzero(after.kept).tolist() == OUTPUTS[f"{key}.rows"].tolist()


@pytest.mark.parametrize("key", [k for k, c in CASES.items() if c["class"] in ("DropCol", "FilterCol")])
def test_choosing_columns_keeps_the_factor_sets_order(key: str) -> None:
    _, after, _ = run(CASES[key])
    features = [n.partition("/")[2] for n in CASES[key]["columns"] if n.startswith("feature/")]
    assert [n for n in after.columns if n != "LABEL0"] == features


@pytest.mark.parametrize("key", ["robust_clip", "robust_noclip", "robust_clip_inf"])
def test_fitted_parameters_are_the_reference_s(key: str) -> None:
    _, _, fitted = run(CASES[key])
    assert not disagreements(FITTED[f"{key}.mean_train"], np.array(fitted.parameters["center"])).any()
    assert not disagreements(FITTED[f"{key}.std_train"], np.array(fitted.parameters["scale"])).any()


def test_every_golden_class_has_a_processor_of_ours() -> None:
    assert {case["class"] for case in CASES.values()} <= set(OURS)


def test_a_chain_equals_the_reference_s_benchmark_pipeline() -> None:
    """20 factors, robust z-score fitted on the train span, fillna; then the label's rank among members with a label."""
    record = json.loads((GOLDEN / "pipeline/pipeline.json").read_text())
    raw, infer, learn = (pq.read_table(GOLDEN / f"pipeline/{name}.parquet") for name in ("raw", "infer", "learn"))
    calendar, day = np.unique(raw["datetime"].to_numpy().astype("datetime64[D]"), return_inverse=True)
    instrument = np.unique(raw["instrument"].to_pylist(), return_inverse=True)[1]
    features = [n for n in raw.column_names if n.startswith("feature/")]
    label_name = next(n for n in raw.column_names if n.startswith("label/"))
    everyone = np.ones(len(day), dtype=bool)
    values = np.stack([raw[n].to_numpy() for n in features], axis=1)
    block = Block(tuple(features), values, instrument, day, calendar, everyone, everyone)
    fit = (date.fromisoformat(record["fit"][0]), date.fromisoformat(record["fit"][1]))
    steps = [(name, PROCESSORS[name].options()) for name in ("robust_zscore", "fillna")]
    made, fitted = fit_chain(block, steps, fit)
    params = np.load(GOLDEN / "pipeline/robust_params.npz")
    assert not disagreements(params["mean_train"], np.array(fitted[0].parameters["center"])).any()
    for at, name in enumerate(features):
        assert not disagreements(infer[name].to_numpy(), made.values[:, at], absolute=1e-5).any(), name
    label = Block(("label",), raw[label_name].to_numpy()[:, None], instrument, day, calendar, everyone, everyone)
    ranked, _ = fit_chain(label, [("cs_rank", PROCESSORS["cs_rank"].options())], fit)
    rows = learn["infer_row"].to_numpy()
    assert np.flatnonzero(~np.isnan(ranked.values[:, 0])).tolist() == sorted(rows.tolist())
    assert not disagreements(learn[label_name].to_numpy(), ranked.values[rows, 0], absolute=1e-6).any()
