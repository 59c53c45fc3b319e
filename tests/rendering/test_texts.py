"""Texts of results: what is nothing is left out, what is much is cut."""

from qts.rendering.texts import (
    factor_text,
    forecast_text,
    import_text,
    ingest_text,
    seeds_text,
    training_text,
    windows_text,
)

INGESTED = {
    "up_to_date": False, "written": ("bars", "label"), "grown": 1200, "restated": ("A", "B", "C", "D", "E", "F"),
    "new": ("G",), "gone": (), "n_rows": 7000, "n_instruments": 7, "n_days": 1000, "first": "2020-01-02",
    "last": "2023-12-29", "n_quarantined": 5, "n_bytes": 3_400_000, "store": ".qts", "seconds": 1.26,
}  # fmt: skip


def test_an_ingest_names_five_instruments_of_a_kind_at_most() -> None:
    assert ingest_text(INGESTED).splitlines() == [
        "wrote bars, label",
        "instruments: 1,200 with new days; 6 restated: A, B, C, D, E, …; 1 new: G",
        "7,000 rows, 7 instruments, 1,000 days, 2020-01-02 to 2023-12-29",
        "5 rows in quarantine: qts query 'FROM quarantine'",
        "3 MB in .qts, 1.3 s",
    ]


def test_an_ingest_without_news_says_so_in_three_lines() -> None:
    idle = {**INGESTED, "up_to_date": True, "grown": 0, "restated": (), "new": (), "n_quarantined": 0}
    assert ingest_text(idle).splitlines() == [
        "up to date: bars and config are what the store was made from",
        "7,000 rows, 7 instruments, 1,000 days, 2020-01-02 to 2023-12-29",
        "3 MB in .qts, 1.3 s",
    ]


def test_a_forecast_has_a_line_a_dataset_under_its_heads() -> None:
    bars = {"dataset": "bars", "n_read": 7000, "n_new": 14, "n_recomputed": 0, "n_files": 2, "n_bytes": 250_000}
    found = {
        "written": ("bars",), "stages": ("read bars",), "datasets": [bars], "is_fresh": False, "grown": ("A", "B"),
        "restated": (), "new": (), "gone": (), "n_files": 2, "n_bytes": 250_000, "store": ".qts", "memory": 1.5e9,
        "least_memory": 4e8, "spills": True, "seconds": 2.0,
    }  # fmt: skip
    assert forecast_text(found).splitlines() == [
        "would write bars",
        "instruments: 2 with new days: A, B",
        "stages: read bars",
        "dataset                      rows read           new    recomputed  files       MB",
        "bars                             7,000            14             0      2      0.2",
        "2 files and the manifest, about 0 MB in .qts",
        "estimated: 1.5 GB of memory at the peak, 0.4 GB at least, 2.0 s and more, because it spills to disk",
    ]
    assert forecast_text({**found, "written": (), "is_fresh": True, "spills": False}).splitlines() == [
        "up to date: there is nothing to do",
        "instruments: every row of the source is taken in",
        "estimated: 1.5 GB of memory at the peak, 0.4 GB at least, 2.0 s",
    ]


def test_windows_tell_why_rows_are_left_out() -> None:
    samples = {
        "train": {"rows": 1500, "no_label": 0, "purged": 14, "short_history": 28, "samples": 1458},
        "test": {"rows": 70, "no_label": 0, "purged": 0, "short_history": 0, "samples": 70},
    }
    found = {
        "up_to_date": True,
        "rows": 1600,
        "features": ["A", "B", "C"],
        "folder": "w",
        "seconds": 0,
        "samples": samples,
    }
    assert windows_text(found).splitlines() == [
        "up to date: store and config are what the windows were made from",
        "1,600 rows of 3 features in w, 0.0 s",
        "train: 1,458 samples of 1,500 member rows (left out: 14 purged, 28 short history)",
        "test: 70 samples of 70 member rows",
    ]


BEST = {"valid_loss": 0.987654, "valid_ic": 0.05, "valid_rank_ic": -0.06}


def test_a_training_tells_its_best_epoch() -> None:
    found = {"up_to_date": False, "seconds": 8, "run": "r", "best": BEST, "best_epoch": 3, "n_epochs": 7}
    figures = "valid loss 0.98765, IC 0.0500, RankIC -0.0600"
    assert training_text(found) == f"trained in 8.0 s\nrun r\nbest epoch 3 of 7: {figures}"


def test_seeds_tell_each_and_their_spread() -> None:
    found = {"up_to_date": True, "run": "r", "members": [{"seed": 4, **BEST}], "best": BEST, "best_sd": BEST}
    assert seeds_text(found).splitlines() == [
        "up to date",
        "seed 4: valid loss 0.98765, IC 0.0500, RankIC -0.0600",
        "mean ± sd: valid loss 0.9877 ± 0.9877, IC 0.0500 ± 0.0500, RankIC -0.0600 ± -0.0600",
        "run r, whose scores are the mean of day ranks",
    ]


def test_an_imported_checkpoint_without_a_figure_says_none() -> None:
    origin = {"n_copied": 6, "n_left_out": 2, "file": "lstm.pt"}
    found = {"up_to_date": False, "run": "r", "imported_from": origin, "best": {**BEST, "valid_ic": None}}
    assert import_text(found).splitlines() == [
        "imported: 6 tensors of lstm.pt, 2 left out that stand for nothing",
        "run r",
        "valid loss 0.9877, IC none, RankIC -0.0600",
    ]


def test_a_factor_ends_in_its_sql_and_has_a_worth_if_the_store_holds_it() -> None:
    factor = {
        "factor": "GAP",
        "groups": [],
        "fields": ["open", "close"],
        "lookback": 1,
        "crosses": False,
        "sql": "SELECT 1",
    }
    assert factor_text({**factor, "in_store": None}).splitlines() == [
        "factor: GAP",
        "fields: open, close",
        "lookback: 1 rows",
        "crosses: reads its own instrument alone",
        "in store: not as it is here; run: qts ingest",
        "sql: SELECT 1",
    ]
    assert "lookback: every row so far" in factor_text({**factor, "lookback": None, "in_store": None})
    worth = {"coverage": 0.5, "rows": 7000, "first": "2020-01-02", "last": "2023-12-29", "n_days": 1000, "rank_ic": 0.01,
             "rank_icir": 0.2, "ic": 0.03, "icir": None}  # fmt: skip
    assert factor_text({**factor, "in_store": worth}).splitlines()[2:] == [
        "lookback: 1 rows",
        "crosses: reads its own instrument alone",
        "in store: 50.00 % of 7,000 member rows, 2020-01-02 to 2023-12-29",
        "worth: RankIC 0.0100, RankICIR 0.2000, IC 0.0300, ICIR none; mean of 1,000 days, not annualised",
        "sql: SELECT 1",
    ]
