"""`qts verify`: every proof holds on a sound study, and fails once its claim is broken, each claim in a way of its own."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from qts.cli.main import run as qts
from qts.config import LoadedConfig, load_config
from qts.errors import ExitCode
from qts.factors import factor_set
from qts.models.gru import GRU
from qts.pipeline import predict
from qts.pipeline.proofs import temporary_store
from qts.pipeline.proofs.proof import Proof, Tally
from qts.pipeline.run import run_all
from qts.pipeline.verify import VerifyResult, verify
from qts.progress import SilentProgress
from qts.store import open_store
from qts.store.checksum import checksum_of
from qts.store.manifest import Dataset, Manifest
from tests.market import CONFIG, FACTOR_SET, write_market

INVARIANT, AHEAD, REBUILT, TRACES = (
    "scores are invariant", "nothing looks ahead", "the store equals a rebuild", "every score traces",
)  # fmt: skip
QUIET = SilentProgress()
FILL = '[[processors.features]]\nname = "fillna"\n'
GATS = CONFIG.replace('"gru"', '"gats"\ndropout = 0') + '\n[[processors.features]]\nname = "cs_zscore"\n' + FILL
CROSSING = FACTOR_SET + 'STRENGTH = "CSRank($close/Ref($close, 4))"\nTREND = "EMA($close, 3)/$close"\n'


def prove(loaded: LoadedConfig, *claims: str, n_pairs: int = 12, n_instruments: int = 20) -> VerifyResult:
    return verify(loaded, QUIET, n_pairs=n_pairs, n_instruments=n_instruments, claims=claims)


def failing(found: VerifyResult) -> dict[str, str]:
    """Return claim → the first example that speaks against it."""
    return {proof.name: proof.example for proof in reversed(found.failed)}


def proof_of(found: VerifyResult, words: str) -> Proof:
    return next(proof for proof in found.proofs if words in proof.compared)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a run, and two nights of its scores."""
    folder = tmp_path_factory.mktemp("verify") / "study"
    config = write_market(folder)
    run_all(load_config(config), QUIET)
    name = (folder / "runs/latest").read_text().strip()
    assert qts(["runs", "pin", name, "-q", "--config", str(config)]) == ExitCode.DONE
    since = "nightly.since=2024-03-20"
    assert qts(["nightly", "-q", "--set", since, "--config", str(config)]) == ExitCode.DONE
    return folder


@pytest.fixture
def study(trained: Path, tmp_path: Path) -> LoadedConfig:
    """A copy that may be broken."""
    shutil.copytree(trained, tmp_path / "study", copy_function=shutil.copy2)
    return load_config(tmp_path / "study" / "qts.toml")


def files_of(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_all_claims_hold_on_a_sound_study_and_nothing_is_written(study: LoadedConfig) -> None:
    before = files_of(study.folder)
    found = prove(study)
    assert failing(found) == {}
    assert {proof.name for proof in found.proofs} == {INVARIANT, AHEAD, REBUILT, TRACES}
    assert {proof.skipped for proof in found.proofs if not proof.n_checked} <= {"there is no GPU"}
    assert all(proof.worst == 0 for proof in found.proofs if proof.worst is not None)
    assert "without one" not in proof_of(found, "column chunks").compared
    assert found.run == (study.folder / "runs/latest").read_text().strip()
    assert files_of(study.folder) == before


def test_a_network_of_whole_days_with_factors_across_instruments_passes_too(tmp_path: Path) -> None:
    config = write_market(tmp_path / "gats", GATS)
    (config.parent / "mine.toml").write_text(CROSSING)
    loaded = load_config(config)
    run_all(loaded, QUIET)
    found = prove(loaded, n_instruments=2)
    assert failing(found) == {}
    assert proof_of(found, "in batches of").skipped == "a by-day network has no batch size"
    assert proof_of(found, "factors and label of").compared.startswith("factors and label of all instruments")
    assert proof_of(found, "windowed factors").n_checked > 0
    assert proof_of(found, "a whole day asked alone, and as kept").n_checked > 0


def test_a_store_without_a_run_is_proved_as_far_as_it_goes(study: LoadedConfig) -> None:
    found = prove(study.changed({"store.runs": "none", "store.predictions": "none"}, "test"))
    assert (found.run, failing(found)) == (None, {})
    assert {proof.skipped for proof in found.proofs} == {"", "there is no run", "no night has run"}


def test_a_network_whose_score_depends_on_the_batch_is_found(
    study: LoadedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = GRU.forward
    monkeypatch.setattr(GRU, "forward", lambda self, x: plain(self, x) + 1e-7 * x[:, -1, 0].mean())
    found = failing(prove(study, INVARIANT))
    assert " instead of " in found[INVARIANT]


def test_scores_of_a_range_that_leak_into_each_other_are_found(
    study: LoadedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = predict.score_samples

    def leaking(run: Any, held: Any, *rest: Any, **keys: Any) -> np.ndarray:
        scores = plain(run, held, *rest, **keys)
        n_days = len(np.unique(held.dataset.samples.day))
        return np.nextafter(scores, np.float32(np.inf)) if n_days > 1 else scores

    monkeypatch.setattr("qts.pipeline.proofs.scores_invariant.score_samples", leaking)
    found = prove(study, INVARIANT)
    in_range = proof_of(found, "in another range")
    assert in_range.n_failed == in_range.n_checked > 0
    assert found.failed == (in_range,)


def test_weights_that_changed_after_scoring_are_found(study: LoadedConfig) -> None:
    folder = study.folder / "runs" / (study.folder / "runs/latest").read_text().strip()
    weights = load_file(folder / "model.safetensors")
    weights["head.bias"] += 1e-3
    save_file(weights, folder / "model.safetensors")
    found = prove(study, TRACES)
    assert "the weights of" in failing(found)[TRACES]
    assert proof_of(found, "print of scores").n_failed == 1
    assert proof_of(found, "weights in the folders").n_failed == 1


def test_a_factor_that_looks_ahead_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factor_set, "find_look_ahead", lambda _: None)
    config = write_market(tmp_path / "ahead")
    (config.parent / "mine.toml").write_text(FACTOR_SET + 'SEER = "Ref($close, -1)/$close"\n')
    loaded = load_config(config)
    run_all(loaded, QUIET)
    found = failing(prove(loaded, AHEAD))
    assert set(found) == {AHEAD}
    assert found[AHEAD].startswith("SEER of I")


def test_bars_that_stay_as_they_are_prove_nothing(study: LoadedConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qts.pipeline.proofs.no_look_ahead.SPREAD", 0.0)
    assert "nothing is proved" in failing(prove(study, AHEAD))[AHEAD]


def test_a_kept_score_that_nobody_would_make_now_is_found(study: LoadedConfig) -> None:
    file = study.folder / "runs" / (study.folder / "runs/latest").read_text().strip() / "predictions.parquet"
    kept = pq.read_table(file)
    strange = kept.set_column(0, "instrument", pa.array(["I99"] * kept.num_rows)).cast(kept.schema)
    pq.write_table(pa.concat_tables([kept, strange]), file)
    assert "I99 on 2024-03-" in failing(prove(study, INVARIANT))[INVARIANT]


def test_weights_that_are_gone_are_told_by_the_proofs(study: LoadedConfig) -> None:
    (study.folder / "runs" / (study.folder / "runs/latest").read_text().strip() / "model.safetensors").unlink()
    found = failing(prove(study, INVARIANT, TRACES))
    assert set(found) == {INVARIANT, TRACES}


# The store


def parts_of(loaded: LoadedConfig, dataset: Callable[[Manifest], Dataset]) -> Path:
    store = open_store(loaded.path(loaded.config.store.path))
    return Path(store.files(dataset(store.manifest))[0])


def factors(manifest: Manifest) -> Dataset:
    return next(iter(manifest.factor_sets.values()))


def write_over(file: Path, column: str, row: int, value: float, study: LoadedConfig) -> None:
    """Write a part anew with another value, and its size and checksum into the manifest, as no ingest would."""
    table = pq.read_table(file, partitioning=None)
    values = table[column].to_numpy().copy()
    values[row] = value
    missing = np.isnan(values)
    table = table.set_column(table.column_names.index(column), column, pa.array(values, pa.float32(), mask=missing))
    was = f'"n_bytes": {file.stat().st_size},\\s+"crc32": {checksum_of(file)}'
    pq.write_table(table, file)
    now = f'"n_bytes": {file.stat().st_size}, "crc32": {checksum_of(file)}'
    manifest = study.path(study.config.store.path) / "manifest.json"
    text, n_found = re.subn(was, now, manifest.read_text())
    assert n_found == 1
    manifest.write_text(text)


def test_a_factor_s_value_that_was_written_over_is_found(study: LoadedConfig) -> None:
    write_over(parts_of(study, factors), "RET5", 40, 0.25, study)
    found = prove(study, REBUILT)
    assert failing(found)[REBUILT].startswith("RET5 of I0 on 2024-02-10: ")
    assert proof_of(found, "factors and label of").n_failed == 1


def test_a_bar_that_was_written_over_is_found_twice(study: LoadedConfig) -> None:
    write_over(parts_of(study, lambda manifest: manifest.bars), "close", 3, 51.5, study)
    found = prove(study, REBUILT)
    assert proof_of(found, "their hash when").example == "the bars of I0 are not those that came"
    assert "I0 on 2024-01-04: a row that is in the" in proof_of(found, "in source and store").example


@pytest.mark.parametrize("of", [lambda manifest: manifest.bars, factors], ids=["bars", "factors"])
def test_a_page_with_a_flipped_bit_is_found(study: LoadedConfig, of: Callable[[Manifest], Dataset]) -> None:
    file = parts_of(study, of)
    content = bytearray(file.read_bytes())
    column = pq.read_metadata(file).row_group(0).column(3)
    content[column.data_page_offset + column.total_compressed_size - 9] ^= 0x10
    file.write_bytes(bytes(content))
    found = prove(study, REBUILT)
    assert "its bytes are no longer those that were written" in proof_of(found, "column chunks").example


def test_a_damaged_page_without_a_checksum_is_found_by_its_rows(study: LoadedConfig) -> None:
    file = parts_of(study, factors)
    was, now = checksum_of(file), "null"
    content = bytearray(file.read_bytes())
    column = pq.read_metadata(file).row_group(0).column(3)
    content[column.data_page_offset : column.data_page_offset + 40] = bytes(40)
    file.write_bytes(bytes(content))
    manifest = study.path(study.config.store.path) / "manifest.json"
    manifest.write_text(manifest.read_text().replace(f'"crc32": {was}', f'"crc32": {now}'))
    assert proof_of(prove(study, REBUILT), "1 parts were written without one").n_failed == 1


def test_a_restated_source_is_named(study: LoadedConfig) -> None:
    bars = pq.read_table(study.folder / "bars.parquet")
    here = pc.and_(pc.equal(bars["instrument"], "I4"), pc.equal(bars["datetime"], pc.min(bars["datetime"])))
    close = pc.if_else(here, pc.multiply(bars["close"], 1.01), bars["close"])
    pq.write_table(bars.set_column(bars.column_names.index("close"), "close", close), study.folder / "bars.parquet")
    found = prove(study, REBUILT)
    assert proof_of(found, "as they were when they were taken in").example == "I4 is restated"
    assert proof_of(found, "in source and store").n_failed == 1
    assert proof_of(found, "factors and label of").n_failed == 0


def test_newer_bars_in_the_source_are_no_contradiction(study: LoadedConfig) -> None:
    bars = pq.read_table(study.folder / "bars.parquet")
    last = bars.filter(pc.equal(bars["datetime"], pc.max(bars["datetime"])))
    later = pa.array([pc.max(bars["datetime"]).as_py().replace(day=31)] * last.num_rows, bars["datetime"].type)
    last = last.set_column(last.column_names.index("datetime"), "datetime", later)
    pq.write_table(pa.concat_tables([bars, last]), study.folder / "bars.parquet")
    assert failing(prove(study, REBUILT)) == {}


def test_a_source_that_is_gone_proves_nothing(study: LoadedConfig) -> None:
    (study.folder / "bars.parquet").unlink()
    found = failing(prove(study, REBUILT))
    assert found[REBUILT].startswith("it cannot be proved, for the source cannot be read")


# The book


def change_book(study: LoadedConfig, change: Callable[[dict[str, Any]], None]) -> None:
    file = study.folder / "predictions/manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))


def change_scores(study: LoadedConfig, change: Callable[[pa.Table], pa.Table]) -> None:
    file = next((study.folder / "predictions/scores").glob("*.parquet"))
    pq.write_table(change(pq.read_table(file)), file)


def test_a_row_without_lineage_is_found(study: LoadedConfig) -> None:
    change_scores(study, lambda rows: rows.set_column(4, "lineage", pa.array([9] * rows.num_rows, pa.int32())))
    assert failing(prove(study, TRACES))[TRACES] == "I0 on 2024-03-20 names lineage 9, which is none"


def test_a_version_that_is_lost_is_found(study: LoadedConfig) -> None:
    change_scores(study, lambda rows: rows.set_column(3, "version", pa.array([2] * rows.num_rows, pa.int32())))
    assert failing(prove(study, TRACES))[TRACES] == "I0 on 2024-03-20 has not every version from 1 to 2 once"


def test_a_key_that_stands_twice_is_found(study: LoadedConfig) -> None:
    change_scores(study, lambda rows: pa.concat_tables([rows.slice(0, rows.num_rows - 1), rows.slice(2, 1)]))
    assert "has several scores" in failing(prove(study, TRACES))[TRACES]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("features", "another", "features, window or label of"),
        ("bars", "another", "are of other data than the store's"),
        ("run", "20240101T000000Z-gru-gone", "lineage 1 of "),
    ],
)
def test_a_lineage_that_names_other_things_is_found(study: LoadedConfig, key: str, value: str, words: str) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["lineages"][0][key] = value
        manifest["synced"]["revision"] = -1

    change_book(study, change)
    assert words in failing(prove(study, TRACES))[TRACES]


def test_a_published_score_that_was_changed_is_found(study: LoadedConfig) -> None:
    def louder(rows: pa.Table) -> pa.Table:
        return rows.set_column(2, "score", pc.add(rows["score"], pa.scalar(1e-6, pa.float32())))

    change_scores(study, louder)
    found = prove(study, INVARIANT, n_pairs=100)
    assert proof_of(found, "as published").n_failed > 0


# The command


def test_the_command_tells_what_holds_and_exits_0(study: LoadedConfig, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["verify", "--config", str(study.file), "--pairs", "2"]
    before = files_of(study.folder)
    assert qts([*arguments, "--json"]) == ExitCode.DONE
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["passes"], told["n_failed"]) == ("qts.verify/1", True, 0)
    assert all({"name", "compared", "n_checked", "n_failed", "seconds"} <= proof.keys() for proof in told["proofs"])
    assert qts([*arguments, "-f", "csv"]) == ExitCode.DONE
    assert capsys.readouterr().out.startswith("proof,compared,checked,failed,worst,seconds,verdict\n")
    assert files_of(study.folder) == before


def test_a_claim_that_fails_is_told_with_every_proof_and_exits_1(
    study: LoadedConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    (study.folder / "bars.parquet").unlink()
    assert qts(["verify", "--config", str(study.file), "--pairs", "2", "--json"]) == ExitCode.FAILED
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert (told["passes"], told["error"]["code"]) == (False, ExitCode.FAILED)
    assert {proof["name"] for proof in told["proofs"]} == {INVARIANT, AHEAD, REBUILT, TRACES}
    assert "it cannot be proved" in err


def test_numbers_are_compared_to_the_last_bit_and_missing_ones_are_equal() -> None:
    tally = Tally("claim", "this and that")
    one = np.array([1, np.nan, np.nan, np.inf], np.float32)
    tally.equal(one, one.copy(), str)
    tally.equal(np.nextafter(one[:1], np.float32(2)), one[:1], lambda _: "here")
    tally.equal(np.array([np.nan, 1.0], np.float32), np.array([1.0, 1.0], np.float32), str)
    done = tally.done()
    assert (done.n_checked, done.n_failed) == (7, 2)
    assert done.worst == pytest.approx(2**-23)
    assert done.example.startswith("here: ")


def test_the_made_up_instrument_keeps_the_calendar(study: LoadedConfig, tmp_path: Path) -> None:
    store = open_store(study.path(study.config.store.path))
    some = temporary_store.extract_bars(store, ["I2"])
    aside = temporary_store.make_store(study, tmp_path / "aside", some)
    np.testing.assert_array_equal(aside.calendar(), store.calendar())
    assert aside.manifest.n_instruments == 2


def test_threads_are_left_as_they_were(study: LoadedConfig) -> None:
    before = torch.get_num_threads()
    prove(study, INVARIANT)
    assert torch.get_num_threads() == before
