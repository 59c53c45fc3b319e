"""Factors made of factors: what a name stands for, what is refused, and the values on a small market."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qts.config import LoadedConfig, load_config
from qts.errors import ConfigError, ExpressionError
from qts.factors import FactorSet, custom_set, load_factor_set, refuse_unknown_names
from qts.pipeline.ingest import ingest
from qts.pipeline.listing import describe_factor, describe_operator, list_operators
from qts.progress import SilentProgress
from tests.market import CONFIG, bars_table, write_market


def custom(factors: dict[str, str], main: FactorSet | None = None) -> dict[str, str]:
    """Return name → canonical spelling."""
    made = custom_set(factors, main.factors if main else (), lambda name: f"qts.toml:{[*factors].index(name) + 1}")
    return {factor.name: factor.canonical for factor in made.factors}


def own_set(folder: Path, text: str) -> FactorSet:
    (folder / "mine.toml").write_text(f"[factors]\n{text}")
    return load_factor_set("mine.toml", folder)


def test_a_name_stands_for_the_factor_wherever_it_is_written() -> None:
    assert custom({"mom_rank": "CSRank(mom)", "mom": "Ref($close,5)/$close"}) == {
        "mom_rank": "CSRank(Ref($close, 5)/$close)",
        "mom": "Ref($close, 5)/$close",
    }


def test_a_custom_factor_may_name_one_of_the_main_set_in_any_case() -> None:
    alpha158 = load_factor_set("alpha158", Path())
    assert custom({"both": "ROC5 + kmid"}, alpha158)["both"] == "Ref($close, 5)/$close + ($close - $open)/$open"


def test_a_factor_set_s_file_may_name_its_own_factors_and_members_of_families(tmp_path: Path) -> None:
    made = own_set(tmp_path, 'R = "MA3 - MA5"\nMA = { windows = [3, 5], expr = "Mean(up, N)" }\nup = "$close/$open"')
    assert [f.canonical for f in made.factors] == [
        "Mean($close/$open, 3) - Mean($close/$open, 5)",
        "Mean($close/$open, 3)",
        "Mean($close/$open, 5)",
        "$close/$open",
    ]


def test_a_name_that_is_no_factor_is_a_field() -> None:
    assert custom({"a": "close/$open + turnover"})["a"] == "$close/$open + $turnover"


def test_a_factor_s_name_wins_over_a_field_and_a_dollar_means_the_field() -> None:
    found = custom({"vwap": "$amount/$volume", "gap": "vwap/$close", "raw": "$vwap/$close"})
    assert found["gap"] == "$amount/$volume/$close"
    assert found["raw"] == "$vwap/$close"


@pytest.mark.parametrize(
    ("factors", "message", "where", "caret"),
    [
        ({"close": "close/$open"}, "close is made of itself: close → close", "qts.toml:1", "close/$open\n  ^"),
        ({"a": "$open + c", "b": "a*2", "c": "b - 1"}, "a is made of itself: a → c → b → a", "qts.toml:1",
         "$open + c\n          ^"),
        ({"x": "$open", "p": "q", "q": "p"}, "p is made of itself: p → q → p", "qts.toml:2", "q\n  ^"),
    ],
)  # fmt: skip
def test_factors_made_of_each_other_are_refused_where_the_circle_starts(
    factors: dict[str, str], message: str, where: str, caret: str
) -> None:
    with pytest.raises(ExpressionError) as caught:
        custom(factors)
    assert message in caught.value.reason
    assert caught.value.where == where
    assert caught.value.message.endswith(caret)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("a column of the bars is written $")


def test_every_problem_is_reported_in_order_and_none_that_follows_from_another() -> None:
    with pytest.raises(ConfigError) as caught:
        custom({"uses_bad": "bad + 1", "p": "q", "q": "p", "uses_p": "p*2", "bad": "Maen($close, 5)", "good": "$close"})
    assert [part.where for part in caught.value.parts()] == ["qts.toml:2", "qts.toml:5"]


@pytest.mark.parametrize("text", ["lead", "Mean(lead, 5)", "Ref(lead, 5)", "CSRank(lead)"])
def test_look_ahead_cannot_hide_behind_a_name(text: str) -> None:
    with pytest.raises(ExpressionError, match=r"lead looks ahead: Ref\(\$close, -1\)"):
        custom({"disguise": text, "lead": "Ref($close, -1)"})
    with pytest.raises(ExpressionError, match=r"lead looks ahead: Ref\(\$close/\$open, -5\)"):
        custom({"ratio": "$close/$open", "lead": "Ref(ratio, -5)"})


def test_an_unknown_name_is_pointed_at_and_answered_with_the_nearest() -> None:
    made = custom_set(
        {"mom": "Ref($close,5)/$close", "top": "CSRank(mmo)"}, (), lambda name: f"[factors.custom] {name}"
    )
    refuse_unknown_names([made], ["close", "mmo"])
    with pytest.raises(ExpressionError) as caught:
        refuse_unknown_names([made], ["close"])
    assert caught.value.message == 'top: "mmo" is no factor and no column of the bars\n  CSRank(mmo)\n         ^'
    assert caught.value.where == "[factors.custom] top"
    assert caught.value.hint == 'did you mean "mom"?'


def test_a_field_that_these_bars_happen_to_lack_is_no_unknown_name() -> None:
    refuse_unknown_names([custom_set({"a": "vwap/factor"}, (), str)], ["close"])


def test_factors_that_grow_without_end_are_refused() -> None:
    factors = {"a0": "$close"} | {f"a{n}": f"a{n - 1} * a{n - 1}" for n in range(1, 40)}
    with pytest.raises(ExpressionError, match="too large with this factor written out"):
        custom(factors)


def test_a_long_chain_of_names_is_read() -> None:
    factors = {f"a{n}": f"a{n + 1}" for n in range(900)} | {"a900": "$close"}
    assert custom(factors)["a0"] == "$close"


OWN = """
[factors.custom]
busy = "CSRank(turnover)"
quiet = "1 - BUSY"
calm = "quiet + $turnover*0"
"""


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> LoadedConfig:
    """Return an ingested market whose bars have one more column of numbers."""
    folder = tmp_path_factory.mktemp("market")
    path = write_market(folder, CONFIG.replace("\n[segments]", f"{OWN}\n[segments]"))
    bars = bars_table()
    turnover = pa.array(np.arange(len(bars)) % 7, pa.float32())
    pq.write_table(bars.append_column("turnover", turnover), folder / "bars.parquet")
    loaded = load_config(path)
    ingest(loaded, SilentProgress())
    return loaded


def test_another_column_of_the_bars_is_a_field_and_a_factor_of_a_factor_has_its_values(market: LoadedConfig) -> None:
    bars = pq.read_table(market.folder / "bars.parquet").to_pandas().set_index(["instrument", "datetime"])
    found = duckdb.sql(f"FROM '{market.folder}/.qts/factors/custom/*.parquet'").df()
    found["datetime"] = found.datetime.dt.date
    found = found.set_index(["instrument", "datetime"]).loc[bars.index]
    ranks = bars.groupby("datetime").turnover.rank(pct=True)
    assert found.busy.to_numpy() == pytest.approx(ranks.to_numpy())
    assert found.quiet.to_numpy() == pytest.approx(1 - ranks.to_numpy())
    assert found.calm.to_numpy() == pytest.approx(1 - ranks.to_numpy())


def test_a_factor_is_described_with_what_it_means_and_what_it_is_worth(market: LoadedConfig) -> None:
    found = describe_factor(market, "quiet")
    assert found["expression"] == "1 - BUSY"
    assert found["canonical"] == "1 - CSRank($turnover)"
    assert (found["lookback"], found["crosses"], found["fields"], found["groups"]) == (0, True, ["turnover"], [])
    assert found["null_rule"] == "missing if $turnover is missing"
    assert "PARTITION BY datetime" in found["sql"]


def test_the_worth_of_a_factor_is_that_of_its_member_rows(market: LoadedConfig) -> None:
    """Truth in SQL: ranks of factor and label among the members of a day, correlated, averaged over days."""
    worth = describe_factor(market, "RET5")["in_store"]
    folder = market.folder / ".qts"
    rows = f"""(SELECT * FROM '{folder}/factors/mine/*.parquet' JOIN '{folder}/labels/*.parquet' USING (instrument, datetime)
        SEMI JOIN '{market.folder}/universe.csv' AS u ON u.instrument = instrument AND datetime BETWEEN u.start AND u.end
        WHERE has_bar)"""
    n_rows, n_valid, first, last = duckdb.sql(
        f"SELECT count(*), count(RET5), min(datetime) FILTER (RET5 IS NOT NULL), max(datetime) FROM {rows}"
    ).fetchall()[0]
    assert (worth["rows"], worth["valid"], worth["coverage"]) == (n_rows, n_valid, n_valid / n_rows)
    assert (worth["first"], worth["last"]) == (str(first), str(last))
    ranked = f"""SELECT datetime, rank() OVER (PARTITION BY datetime ORDER BY RET5) AS a,
        rank() OVER (PARTITION BY datetime ORDER BY label) AS b FROM {rows} WHERE RET5 IS NOT NULL AND label IS NOT NULL"""
    mean, ratio, n_days = duckdb.sql(
        f"SELECT avg(c), avg(c) / stddev_samp(c), count(c) FROM (SELECT corr(a, b) AS c FROM ({ranked}) GROUP BY datetime)"
    ).fetchall()[0]
    assert (worth["rank_ic"], worth["rank_icir"], worth["n_days"]) == (
        pytest.approx(mean),
        pytest.approx(ratio),
        n_days,
    )


def test_a_factor_that_the_store_has_otherwise_or_not_at_all_has_no_worth_yet(market: LoadedConfig) -> None:
    changed = load_config(market.file, assignments=["factors.custom.busy=CSRank($volume)"])
    assert describe_factor(changed, "busy")["in_store"] is None
    assert describe_factor(changed, "GAP")["in_store"]["coverage"] == 1.0
    elsewhere = load_config(market.file, assignments=["store.path=nowhere"])
    assert describe_factor(elsewhere, "GAP")["in_store"] is None


def test_other_names_of_operators_are_listed_with_them() -> None:
    about = {row["operator"]: row["about"] for row in list_operators()}
    assert about["Mean"].endswith("; also TsMean")
    assert "Delay" in about["Ref"]
    assert describe_operator("TsMean") == describe_operator("Mean")
    assert describe_operator("Delay")[1]["wants"] == "a whole number of rows up to 1,000,000, not ahead"
