"""Each kind of bad input, through the command line: the exit code, what is said, the way out, and a store left alone.

Every test spoils one thing of a sound study. `Cli.refuses` asks of every refusal what all of them owe: its exit code, a
message and a hint on stderr, an empty stdout, no traceback, and not one byte changed on disk.
"""

import json
import os
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qts.cli.main import run
from qts.errors import ExitCode
from tests.bad_input_market import HEADER, INSTRUMENTS, UNIVERSE, Study, write_study

ANY_HINT = ""
S3_FIRST_ROW = 121


@dataclass(frozen=True)
class Outcome:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def hints(self) -> list[str]:
        """The hints on stderr."""
        return [line.removeprefix("hint: ") for line in self.err.splitlines() if line.startswith("hint: ")]


@dataclass(frozen=True)
class Cli:
    """The program, called in this process from the study's folder."""

    study: Study
    capture: pytest.CaptureFixture[str]

    def __call__(self, line: str) -> Outcome:
        """Run a command line."""
        self.capture.readouterr()
        code = run(shlex.split(line))
        out, err = self.capture.readouterr()
        return Outcome(code, out, err)

    def does(self, line: str) -> None:
        """Run a command line that must succeed."""
        outcome = self(line)
        assert outcome.code == ExitCode.DONE, outcome.err

    def refuses(self, line: str, code: ExitCode, *says: str, hint: str) -> Outcome:
        """Run a command line that must fail, and check all that a refusal owes."""
        before = self.study.digests()
        outcome = self(line)
        for telling in says:
            assert telling in outcome.err
        assert outcome.code == code, outcome.err
        assert outcome.hints, f"no hint with: {outcome.err}"
        assert any(hint in given for given in outcome.hints), outcome.err
        assert "Traceback" not in outcome.err
        assert "unexpected" not in outcome.err
        assert outcome.out == ""
        assert self.study.digests() == before
        return outcome


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A sound study with its store, windows and one run, made once."""
    study = write_study(tmp_path_factory.mktemp("good") / "study")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("QTS_")]:
            patch.delenv(name)
        for command in ("ingest", "train", "predict"):
            assert run([command, "-q", "--config", str(study.file("qts.toml"))]) == ExitCode.DONE
    return study


@pytest.fixture
def study(good: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A copy of the sound study, to spoil; the working folder is there."""
    for name in [name for name in os.environ if name.startswith("QTS_")]:
        monkeypatch.delenv(name)
    shutil.copytree(good.folder, tmp_path / "study")
    monkeypatch.chdir(tmp_path / "study")
    return Study(tmp_path / "study")


@pytest.fixture
def qts(study: Study, capfd: pytest.CaptureFixture[str]) -> Cli:
    return Cli(study, capfd)


@pytest.fixture
def without_gpu() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")


def per_instrument(study: Study, folder: str) -> None:
    """Write bars as one CSV an instrument and point the config there."""
    lines = study.lines()
    for name in INSTRUMENTS:
        study.write_lines([lines[0], *(line for line in lines if line.startswith(name))], f"{folder}/{name}.csv")
    study.edit("qts.toml", 'path = "bars.csv"', f'path = "{folder}"')


def read_parquet_bars(study: Study) -> None:
    """Point the config at bars.parquet."""
    study.edit("qts.toml", 'source = "csv"\npath = "bars.csv"', 'source = "parquet"\npath = "bars.parquet"')


def write_bars_table(study: Study, change: Callable[[Any], Any]) -> None:
    """Write a changed bars.parquet and point the config at it."""
    from pyarrow import parquet

    parquet.write_table(change(parquet.read_table(study.file("bars.parquet"))), study.file("bars.parquet"))
    read_parquet_bars(study)


def test_the_study_is_sound_before_it_is_spoiled(study: Study, qts: Cli) -> None:
    before, manifest = study.digests(), json.loads(study.file(".qts/manifest.json").read_text())
    for command in ("check", "ingest", "window", "train"):
        qts.does(command)
    assert study.digests() == before
    read_parquet_bars(study)
    qts.does("ingest")
    changed = {name for name, digest in study.digests().items() if before.get(name) != digest}
    assert {name for name in changed if not name.startswith(".qts/.previous")} == {"qts.toml", ".qts/manifest.json"}
    from_parquet = json.loads(study.file(".qts/manifest.json").read_text())
    assert [*from_parquet["files"]] == ["bars.parquet"]
    assert from_parquet | {"files": manifest["files"], "arrival": manifest["arrival"]} == manifest


# 1 - a misspelt config key


@pytest.mark.parametrize(
    ("right", "wrong", "says", "hint"),
    [
        ("lr = 1e-3", "lerning_rate = 1e-3", 'unknown key "lerning_rate" in [train]', 'did you mean "lr"?'),
        ("epochs = 1", "epocs = 1", 'unknown key "epocs" in [train]', 'did you mean "epochs"?'),
        ("step_len = 5", "seq_len = 5", 'unknown key "seq_len" in [window]', 'did you mean "step_len"?'),
        ("[window]", "[windows]", 'unknown table "windows"', 'did you mean "window"?'),
        ("hidden_size = 4", "hiden_size = 4", 'unknown key "hiden_size" in [model]', 'did you mean "hidden_size"?'),
        ("[window]", '[[processors.features]]\nname = "robust_zscore"\nclipp = 2.0\n[window]',
         'unknown key "clipp" in [processors.features]', 'did you mean "clip"?'),
    ],
)  # fmt: skip
def test_a_misspelt_key_is_refused_with_the_nearest_spelling(
    study: Study, qts: Cli, right: str, wrong: str, says: str, hint: str
) -> None:
    line = study.edit("qts.toml", right, wrong) + (2 if "clipp" in wrong else 0)
    qts.refuses("train", ExitCode.USAGE, f"{says} (qts.toml:{line})", hint=hint)


def test_a_misspelt_key_on_the_command_line_is_placed_there(qts: Cli) -> None:
    says = 'unknown key "epocs" in [train] (--set train.epocs)'
    qts.refuses("train --set train.epocs=3", ExitCode.USAGE, says, hint='did you mean "epochs"?')


def test_a_misspelt_key_in_the_environment_is_placed_there(qts: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTS_TRAIN__EPOCS", "3")
    says = 'unknown key "epocs" in [train] (QTS_TRAIN__EPOCS)'
    qts.refuses("train", ExitCode.USAGE, says, hint='did you mean "epochs"?')


# 2 - a value of the wrong type


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("epochs = 1", 'epochs = "ten"', "\"epochs\" in [train] must be a whole number, not 'ten'"),
        ("step_len = 5", "step_len = 2.5", '"step_len" in [window] must be a whole number, not 2.5'),
        ("lr = 1e-3", 'lr = "fast"', "\"lr\" in [train] must be a number, not 'fast'"),
        ('set = "three.toml"', "set = 3", '"set" in [factors] must be a string, not 3'),
        ('universe = "universe.csv"', "universe = 5", '"universe" in [bars] must be a path, not 5'),
        ("hidden_size = 4", 'hidden_size = "wide"', "\"hidden_size\" in [model] must be a whole number, not 'wide'"),
        ("step_len = 5", "step_len = 0", '"step_len" in [window] is 0'),
        ("lr = 1e-3", "lr = -1.0", '"lr" in [train] is -1.0'),
        ("threads = 1", 'memory = "lots"', "\"memory\" in [limits] is 'lots'"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_its_line(
    study: Study, qts: Cli, right: str, wrong: str, says: str
) -> None:
    line = study.edit("qts.toml", right, wrong)
    qts.refuses("train", ExitCode.USAGE, says, f"(qts.toml:{line})", hint=ANY_HINT)


def test_a_config_that_is_no_toml_is_refused_with_its_line(study: Study, qts: Cli) -> None:
    line = study.edit("qts.toml", "epochs = 1", "epochs = ")
    qts.refuses("train", ExitCode.USAGE, "qts.toml is not valid TOML", f"line {line}", hint=ANY_HINT)


# 3 - a missing file


@pytest.mark.parametrize(
    ("command", "path", "says"),
    [
        ("ingest", "nowhere.csv", "no file or folder"),
        ("ingest", "years/*.csv", "no file matches"),
        ("ingest", "runs", "no .csv"),
        ("check", "nowhere.csv", "no file or folder"),
        ("run", "nowhere.csv", "no file or folder"),
    ],
)
def test_missing_bars_are_named_with_the_path_that_was_looked_for(
    study: Study, qts: Cli, command: str, path: str, says: str
) -> None:
    study.edit("qts.toml", 'path = "bars.csv"', f'path = "{path}"')
    qts.refuses(command, ExitCode.INPUT, says, str(study.file(path)), hint="check [bars] path")


def test_a_missing_universe_is_named(study: Study, qts: Cli) -> None:
    study.file("universe.csv").unlink()
    says = f"no universe file {study.file('universe.csv')}"
    qts.refuses("ingest", ExitCode.INPUT, says, hint="check [bars] universe")


def test_a_missing_benchmark_is_named(qts: Cli) -> None:
    says = 'the benchmark "nowhere.csv" is no instrument of the bars and no file'
    qts.refuses("ingest --set bars.benchmark=nowhere.csv", ExitCode.INPUT, says, hint="check [bars] benchmark")


def test_a_missing_factor_set_file_is_named(study: Study, qts: Cli) -> None:
    study.edit("qts.toml", 'set = "three.toml"', 'set = "four.toml"')
    qts.refuses("ingest", ExitCode.INPUT, f"no factor set file {study.file('four.toml')}", hint=ANY_HINT)


@pytest.mark.parametrize("command", ["ingest", "train", "eval"])
def test_a_missing_config_is_named_with_the_command_that_writes_one(qts: Cli, command: str) -> None:
    qts.refuses(f"{command} --config nowhere.toml", ExitCode.INPUT, "no config file nowhere.toml", hint="qts init")


def test_a_config_that_cannot_be_read_is_named(study: Study, qts: Cli) -> None:
    study.file("latin1.toml").write_bytes('[store]\npath = "caf\xe9"\n'.encode("latin-1"))
    qts.refuses("ingest --config latin1.toml", ExitCode.INPUT, "cannot read the config file latin1.toml", hint=ANY_HINT)


def test_a_missing_scores_file_is_named(qts: Cli) -> None:
    qts.refuses("eval --scores nowhere.csv", ExitCode.INPUT, "no scores file nowhere.csv", hint=ANY_HINT)


@pytest.mark.parametrize("command", ["window", "train", "predict", "eval", "query 'from bars'"])
def test_without_a_store_readers_say_how_to_make_one(study: Study, qts: Cli, command: str) -> None:
    shutil.rmtree(study.file(".qts"))
    qts.refuses(command, ExitCode.INPUT, f"no store at {study.file('.qts')}", hint="run: qts ingest")


def test_without_a_run_predict_says_how_to_make_one(study: Study, qts: Cli) -> None:
    shutil.rmtree(study.file("runs"))
    qts.refuses("predict", ExitCode.INPUT, f"no run in {study.file('runs')}", hint="run: qts train")


def test_an_unknown_run_is_refused_by_name(qts: Cli) -> None:
    qts.refuses("predict --run yesterday", ExitCode.INPUT, 'no run "yesterday"', hint="qts runs list")


# 4 - an empty file


@pytest.mark.parametrize(
    ("content", "says"),
    [("", "is empty"), ("\n \n", ""), (f"{HEADER}\n", "has no rows")],
    ids=["0 B", "blank", "header"],
)
def test_an_empty_csv_of_bars_is_refused(study: Study, qts: Cli, content: str, says: str) -> None:
    study.file("bars.csv").write_text(content, encoding="utf-8")
    qts.refuses("ingest", ExitCode.INPUT, str(study.file("bars.csv")), says, hint=ANY_HINT)


def test_an_empty_parquet_of_bars_is_refused(study: Study, qts: Cli) -> None:
    read_parquet_bars(study)
    study.file("bars.parquet").write_bytes(b"")
    qts.refuses("ingest", ExitCode.INPUT, f"{study.file('bars.parquet')} is empty", hint="write it again")


def test_a_parquet_of_bars_without_rows_is_refused(study: Study, qts: Cli) -> None:
    write_bars_table(study, lambda table: table.slice(0, 0))
    qts.refuses("ingest", ExitCode.INPUT, f"{study.file('bars.parquet')} has no rows", hint="header")


def test_an_empty_parquet_among_others_is_named(study: Study, qts: Cli) -> None:
    read_parquet_bars(study)
    study.file("years").mkdir()
    study.file("bars.parquet").rename(study.file("years/2024.parquet"))
    study.file("years/2025.parquet").write_bytes(b"")
    study.edit("qts.toml", 'path = "bars.parquet"', 'path = "years"')
    qts.refuses("ingest", ExitCode.INPUT, f"{study.file('years/2025.parquet')} is empty", hint="leave it out")


def test_an_empty_csv_among_others_is_named_not_skipped(study: Study, qts: Cli) -> None:
    per_instrument(study, "each")
    study.file("each/S4.csv").write_text("", encoding="utf-8")
    qts.refuses("ingest", ExitCode.INPUT, f"{study.file('each/S4.csv')} is empty", hint=ANY_HINT)


def test_an_empty_config_lacks_segments(study: Study, qts: Cli) -> None:
    study.file("qts.toml").write_text("", encoding="utf-8")
    qts.refuses("window", ExitCode.USAGE, "[segments] is missing (qts.toml)", hint="add [segments]")


def test_an_empty_factor_set_is_refused(study: Study, qts: Cli) -> None:
    study.file("three.toml").write_text("", encoding="utf-8")
    qts.refuses("ingest", ExitCode.USAGE, "three.toml has no [factors]", hint='NAME = "expression"')


# 5 - a missing column


@pytest.mark.parametrize(
    ("header", "says", "hint"),
    [
        ("instrument,datetime,open,high,low,clsoe,volume", 'has no column "close"', 'columns = { close = "clsoe" }'),
        ("instrument,day,open,high,low,close,volume", 'has no column "datetime"', "columns = { datetime ="),
        ("name,datetime,open,high,low,close,volume", 'has no column "instrument"', "columns = { instrument ="),
        ("instrument,datetime,open,top,bottom,close,volume", 'has no column "high", "low"', "columns = { high ="),
    ],
)
def test_a_missing_column_is_named_with_the_columns_there_are(
    study: Study, qts: Cli, header: str, says: str, hint: str
) -> None:
    study.edit("bars.csv", HEADER, header)
    its_columns = f"its columns: {header.replace(',', ', ')}"
    qts.refuses("ingest", ExitCode.INPUT, str(study.file("bars.csv")), says, its_columns, hint=hint)


def test_a_missing_column_of_a_parquet_file_is_named(study: Study, qts: Cli) -> None:
    write_bars_table(study, lambda table: table.drop_columns("volume"))
    says = f'{study.file("bars.parquet")} has no column "volume"'
    qts.refuses("ingest", ExitCode.INPUT, says, hint="columns = { volume =")


def test_a_mapped_column_that_is_not_there_is_named(study: Study, qts: Cli) -> None:
    study.edit("qts.toml", "[factors]", '[bars.columns]\nclose = "last"\n[factors]')
    says = f'{study.file("bars.csv")} has no column "last", which [bars] columns names'
    qts.refuses("ingest", ExitCode.INPUT, says, hint="its columns: instrument, datetime, open")


def test_a_missing_column_of_the_universe_is_named(study: Study, qts: Cli) -> None:
    study.edit("universe.csv", "instrument,start,end", "instrument,start,until")
    says = f"the universe {study.file('universe.csv')} has no column end"
    qts.refuses("ingest", ExitCode.INPUT, says, hint="instrument,start,end")


# 6 - duplicate rows


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("{same}", "1 row of 1 instrument, refused; S3 on 2024-01-01: 2 equal rows"),
        ("S3,2024-01-01,19,19,19,19,4000", "2 rows of 1 instrument, refused; S3 on 2024-01-01: 2 rows that differ"),
    ],
    ids=["the same", "contradicting"],
)
def test_a_key_that_stands_twice_is_refused_by_name(study: Study, qts: Cli, row: str, says: str) -> None:
    study.write_lines([*study.lines(), row.format(same=study.lines()[S3_FIRST_ROW])])
    hint = 'mend the data, or let qts go on without them: [check] actions = { duplicate = "quarantine" }'
    qts.refuses("ingest", ExitCode.DATA_CHECK, f"duplicate: {says}", hint=hint)


def test_a_key_that_stands_twice_in_parquet_is_refused_by_name(study: Study, qts: Cli) -> None:
    from pyarrow import concat_tables

    write_bars_table(study, lambda table: concat_tables([table, table.slice(S3_FIRST_ROW - 1, 2)]))
    says = "duplicate: 2 rows of 1 instrument, refused; S3 on 2024-01-01: 2 equal rows"
    qts.refuses("ingest", ExitCode.DATA_CHECK, says, hint="mend the data")


def test_a_key_that_stands_in_two_files_is_refused(study: Study, qts: Cli) -> None:
    per_instrument(study, "each")
    study.write_lines([HEADER, *study.lines("each/S3.csv")[5:7]], "each/late.csv")
    says = "duplicate: 2 rows of 1 instrument, refused; S3 on 2024-01-05: 2 equal rows"
    qts.refuses("ingest", ExitCode.DATA_CHECK, says, hint="mend the data")


# 7 - text in a price


@pytest.mark.parametrize(
    ("cell", "shown"), [("abc", "'abc'"), ("12.3.4", "'12.3.4'"), ('"1,234.5"', "'1,234.5'"), ("#REF!", "'#REF!'")]
)
def test_text_in_a_price_is_refused_with_its_row(study: Study, qts: Cli, cell: str, shown: str) -> None:
    study.spoil_cell(137, "close", cell)
    says = f'column "close" of {study.file("bars.csv")}: row 137 is {shown}, not a number (1 such rows)'
    qts.refuses("ingest", ExitCode.DATA_CHECK, says, hint="mend the file")


def test_text_in_a_price_is_placed_in_its_own_file(study: Study, qts: Cli) -> None:
    per_instrument(study, "each")
    for row in (12, 14):
        study.spoil_cell(row, "low", "halted", "each/S5.csv")
    says = f"column \"low\" of {study.file('each/S5.csv')}: row 12 is 'halted', not a number (2 such rows)"
    qts.refuses("check", ExitCode.DATA_CHECK, says, hint="mend the file")


def test_text_in_a_price_of_parquet_is_refused_with_its_row(study: Study, qts: Cli) -> None:
    def spell(table: Any) -> Any:
        import pyarrow as pa

        texts = [str(price) for price in table["close"].to_pylist()]
        texts[136] = "abc"
        return table.set_column(table.schema.get_field_index("close"), "close", pa.array(texts))

    write_bars_table(study, spell)
    says = f"column \"close\" of {study.file('bars.parquet')}: row 137 is 'abc', not a number"
    qts.refuses("ingest", ExitCode.DATA_CHECK, says, hint="mend the file")


@pytest.mark.parametrize("row", ["S3,2024-01-19,19,19,19,19,4000,7", "S3,2024-01-19,19"], ids=["too many", "too few"])
def test_a_row_with_another_number_of_cells_is_refused_with_its_row(study: Study, qts: Cli, row: str) -> None:
    lines = study.lines()
    study.write_lines([*lines[:137], row, *lines[138:]])
    outcome = qts.refuses("ingest", ExitCode.INPUT, str(study.file("bars.csv")), hint=ANY_HINT)
    assert re.search(r"(?i)\b(line:? 138|row 137)\b", outcome.err), outcome.err
    assert "has no column" not in outcome.err


# 8 - an unknown factor


@pytest.mark.parametrize("command", ["window", "ingest", "check"])
def test_an_unknown_factor_in_select_is_refused_with_the_nearest_name(study: Study, qts: Cli, command: str) -> None:
    study.edit("qts.toml", 'set = "three.toml"', 'set = "three.toml"\nselect = ["ROC4", "KMIDD"]')
    says = 'unknown factor "KMIDD" in [factors] select'
    qts.refuses(command, ExitCode.USAGE, says, hint='did you mean "KMID"?')


def test_an_unknown_factor_far_from_any_name_is_answered_with_the_names(study: Study, qts: Cli) -> None:
    study.edit("qts.toml", 'set = "three.toml"', 'set = "three.toml"\nselect = ["BETA5"]')
    qts.refuses("window", ExitCode.USAGE, 'unknown factor "BETA5"', hint="known: KMID, ROC4, VMA2")


def test_a_select_of_no_factor_is_refused(study: Study, qts: Cli) -> None:
    line = study.edit("qts.toml", 'set = "three.toml"', 'set = "three.toml"\nselect = []') + 1
    qts.refuses("window", ExitCode.USAGE, '"select" in [factors]', f"(qts.toml:{line})", hint=ANY_HINT)


def test_an_unknown_factor_asked_about_is_refused_with_the_nearest_name(qts: Cli) -> None:
    qts.refuses("factors roc44", ExitCode.USAGE, 'unknown factor "roc44"', hint='did you mean "ROC4"?')


@pytest.mark.parametrize("command", ["window", "ingest", "factors"])
def test_an_unknown_factor_set_is_refused_with_the_nearest_name(study: Study, qts: Cli, command: str) -> None:
    study.edit("qts.toml", 'set = "three.toml"', 'set = "alpha185"')
    qts.refuses(command, ExitCode.USAGE, 'unknown factor set "alpha185"', hint='did you mean "alpha158"?')


# 9 - a syntax error in an expression


@pytest.mark.parametrize(
    ("expression", "position", "says", "hint"),
    [
        ("($close-$open/$open", 19, 'expected ")", found the end', ANY_HINT),
        ("$close $open", 7, 'did not expect "$open" here', ANY_HINT),
        ("$close / * 2", 9, 'expected a field, a number or an operator, found "*"', ANY_HINT),
        ("Mean($close)", 11, "Mean takes 2 arguments, not 1", "Mean("),
        ("Maen($close, 5)", 0, 'unknown operator "Maen"', 'did you mean "Mean"?'),
        ("$open + mean($close, 5)", 8, 'unknown operator "mean"', 'did you mean "Mean"?'),
        ("", 0, "the expression is empty", ANY_HINT),
    ],
)
def test_a_malformed_factor_is_refused_with_a_caret_under_the_fault(
    study: Study, qts: Cli, expression: str, position: int, says: str, hint: str
) -> None:
    study.edit("three.toml", '"($close-$open)/$open"', f'"{expression}"')
    drawing = f"\n  {expression}\n  {' ' * position}^\n"
    qts.refuses("ingest", ExitCode.USAGE, says, "KMID in three.toml", drawing, hint=hint)


def test_a_malformed_label_is_refused_with_a_caret_under_the_fault(study: Study, qts: Cli) -> None:
    study.edit("qts.toml", "Ref($close, -2)/Ref($close, -1) - 1", "Reff($close, -2)/Ref($close, -1)")
    drawing = "\n  Reff($close, -2)/Ref($close, -1)\n  ^\n"
    says = 'unknown operator "Reff" (qts.toml:'
    qts.refuses("ingest", ExitCode.USAGE, says, drawing, hint='did you mean "Ref"?')


def test_a_malformed_factor_of_ones_own_is_named(study: Study, qts: Cli) -> None:
    study.edit("qts.toml", "[label]", '[factors.custom]\nMOM3 = "Ref($close, 3/$close"\n[label]')
    qts.refuses("ingest", ExitCode.USAGE, "MOM3", "[factors.custom]", "  Ref($close, 3/$close\n", hint=ANY_HINT)


def test_a_field_that_the_bars_lack_is_refused_with_its_reader(study: Study, qts: Cli) -> None:
    study.edit("three.toml", "($close-$open)/$open", "$clsoe/$open")
    says = "KMID reads $clsoe, but the bars have no such column"
    qts.refuses("ingest", ExitCode.USAGE, says, hint='did you mean "close"?')


def test_every_malformed_factor_of_a_set_is_reported_at_once(study: Study, qts: Cli) -> None:
    study.edit("three.toml", "Mean($volume, 2)", "Maen($volume, 2)")
    study.edit("three.toml", "($close-$open)/$open", "$close-")
    outcome = qts.refuses("ingest", ExitCode.USAGE, "KMID in three.toml", 'unknown operator "Maen"', hint="Mean")
    assert "VMA2 in three.toml" in outcome.err


# 10 - a factor that looks ahead


@pytest.mark.parametrize(
    ("expression", "position", "part"),
    [
        ("Ref($close, -1)/$close - 1", 12, "Ref($close, -1)"),
        ("Mean(Ref($open, -2), 3)", 16, "Ref($open, -2)"),
        ("$close/Ref($open, 3) - Ref($close, - 4)", 35, "Ref($close, -4)"),
        ("If($close > $open, -1, Ref($close, -2))", 35, "Ref($close, -2)"),
    ],
)
def test_a_factor_that_looks_ahead_is_refused_with_the_part_that_does(
    study: Study, qts: Cli, expression: str, position: int, part: str
) -> None:
    study.edit("three.toml", "($close-$open)/$open", expression)
    says = f"KMID looks ahead: {part} reads bars after its own day (KMID in three.toml)"
    drawing = f"\n  {expression}\n  {' ' * position}^\n"
    qts.refuses("ingest", ExitCode.USAGE, says, drawing, hint="only the label may look ahead")


@pytest.mark.parametrize("command", ["ingest", "check", "window", "train"])
def test_no_command_takes_a_factor_of_ones_own_that_looks_ahead(study: Study, qts: Cli, command: str) -> None:
    study.edit("qts.toml", "[label]", '[factors.custom]\nLEAK = "Ref($close, -1)/$close"\n[label]')
    says = "LEAK looks ahead: Ref($close, -1) reads bars after its own day"
    qts.refuses(command, ExitCode.USAGE, says, "[factors.custom]", hint="only the label may look ahead")


# 11 - a segment outside the data


@pytest.mark.parametrize(
    ("command", "right", "wrong", "says"),
    [
        ("window", 'train = ["2024-01-01", "2024-02-16"]', 'train = ["2019-01-01", "2019-12-31"]',
         "the train segment (2019-01-01 to 2019-12-31) lies outside the bars (2024-01-01 to 2024-03-22)"),
        ("train", 'test = ["2024-03-05", "2024-03-22"]', 'test = ["2042-03-05", "2042-03-22"]',
         "the test segment (2042-03-05 to 2042-03-22) lies outside the bars (2024-01-01 to 2024-03-22)"),
    ],
)  # fmt: skip
def test_a_segment_outside_the_bars_is_refused_with_both_spans(
    study: Study, qts: Cli, command: str, right: str, wrong: str, says: str
) -> None:
    study.edit("qts.toml", right, wrong)
    qts.refuses(command, ExitCode.USAGE, says, "(qts.toml:", hint="choose days that the bars cover")


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ('valid = ["2024-02-19", "2024-03-04"]', 'valid = ["2024-02-12", "2024-03-04"]',
         "valid starts (2024-02-12) before train has ended (2024-02-16)"),
        ('valid = ["2024-02-19", "2024-03-04"]', 'valid = ["2024-03-04", "2024-02-19"]',
         "valid ends (2024-02-19) before it starts (2024-03-04)"),
    ],
)  # fmt: skip
def test_segments_out_of_order_are_refused_with_both_days(
    study: Study, qts: Cli, right: str, wrong: str, says: str
) -> None:
    study.edit("qts.toml", right, wrong)
    qts.refuses("window", ExitCode.USAGE, "[segments]", says, "(qts.toml:", hint=ANY_HINT)


def test_a_segment_between_two_bars_has_no_sample(study: Study, qts: Cli) -> None:
    study.edit("qts.toml", '"2024-03-05", "2024-03-22"', '"2024-03-09", "2024-03-10"')
    qts.refuses("window", ExitCode.DATA_CHECK, "the test segment has no sample: 0 member rows", hint="[segments]")


# 12 - an unknown model


@pytest.mark.parametrize(
    ("name", "hint"),
    [("grru", 'did you mean "gru"?'), ("prophet", "known: alstm, attention_lstm, bilstm")],
    ids=["near", "far"],
)
def test_an_unknown_model_is_refused_with_the_models_there_are(study: Study, qts: Cli, name: str, hint: str) -> None:
    study.edit("qts.toml", 'name = "gru"', f'name = "{name}"')
    for command in ("train", "check", "run"):
        qts.refuses(command, ExitCode.USAGE, f'unknown model "{name}"', hint=hint)


def test_an_unknown_model_asked_about_is_refused(qts: Cli) -> None:
    qts.refuses("models ltsm", ExitCode.USAGE, 'unknown model "ltsm"', hint='did you mean "lstm"?')


# 13 - an empty universe


@pytest.mark.parametrize("content", ["", "\n\n", "instrument,start,end\n"], ids=["0 B", "blank", "header"])
def test_an_empty_universe_is_refused(study: Study, qts: Cli, content: str) -> None:
    study.file("universe.csv").write_text(content, encoding="utf-8")
    says = f"the universe {study.file('universe.csv')} is empty"
    qts.refuses("ingest", ExitCode.INPUT, says, hint="a row for each membership interval")


def test_a_universe_none_of_whose_members_has_bars_is_refused_with_an_example(study: Study, qts: Cli) -> None:
    study.file("universe.csv").write_text(UNIVERSE.replace("S", "XSHG.S"), encoding="utf-8")
    says = f"no member of the universe {study.file('universe.csv')} has bars (as XSHG.S"
    qts.refuses("ingest", ExitCode.INPUT, says, hint="do both use the same names?")


def test_a_universe_that_is_over_before_the_train_segment_has_no_row(study: Study, qts: Cli) -> None:
    study.file("universe.csv").write_text(UNIVERSE.replace("2024-01-01,", "2019-01-01,2019-12-31"), encoding="utf-8")
    qts.does("ingest")
    says = "no member of the universe has a row in the train segment"
    qts.refuses("window", ExitCode.DATA_CHECK, says, hint="do universe and segments overlap?")


# 14 - corrupt Parquet


def garbage(_content: bytes) -> bytes:
    return bytes(range(256)) * 4


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def zeroed(content: bytes) -> bytes:
    """Keep magic and footer: what a file is like after a crash that lost its pages."""
    footer = int.from_bytes(content[-8:-4], "little") + 8
    return content[:4] + bytes(len(content) - 4 - footer) + content[-footer:]


SPOILERS = pytest.mark.parametrize("spoil", [garbage, truncated, zeroed])


@SPOILERS
def test_a_corrupt_parquet_of_bars_is_named(study: Study, qts: Cli, spoil: Callable[[bytes], bytes]) -> None:
    read_parquet_bars(study)
    file = study.file("bars.parquet")
    file.write_bytes(spoil(file.read_bytes()))
    qts.refuses("ingest", ExitCode.INPUT, f"cannot read {file}", hint=ANY_HINT)


@pytest.mark.parametrize("has_store", [False, True], ids=["first ingest", "later ingest"])
def test_a_column_of_bars_whose_pages_are_damaged_names_the_file(study: Study, qts: Cli, *, has_store: bool) -> None:
    from pyarrow import parquet

    read_parquet_bars(study)
    file = study.file("bars.parquet")
    parquet.write_table(parquet.read_table(file), file, compression="snappy", use_dictionary=False)
    if has_store:
        qts.does("ingest")
    group = parquet.read_metadata(file).row_group(0)
    close = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == "close")
    content = bytearray(file.read_bytes())
    start, end = close.data_page_offset + 40, close.data_page_offset + close.total_compressed_size
    content[start:end] = bytes(byte ^ 0xFF for byte in content[start:end])
    file.write_bytes(content)
    for command in ("ingest", "check"):
        qts.refuses(command, ExitCode.INPUT, f"cannot read {study.folder}", hint=ANY_HINT)


@SPOILERS
def test_a_corrupt_parquet_of_scores_is_named(study: Study, qts: Cli, spoil: Callable[[bytes], bytes]) -> None:
    qts.does("predict --out scores.parquet")
    file = study.file("scores.parquet")
    file.write_bytes(spoil(file.read_bytes()))
    qts.refuses("eval --scores scores.parquet", ExitCode.INPUT, "cannot read", "scores.parquet", hint=ANY_HINT)


@pytest.mark.parametrize(
    ("part", "spoil"),
    [
        ("labels/part", garbage),
        ("labels/part", truncated),
        ("labels/part", zeroed),
        ("labels/tail", garbage),
        ("labels/tail", zeroed),
        ("factors/three/part", zeroed),
        ("calendar/calendar", truncated),
        ("universes/universes", garbage),
    ],
)
def test_a_corrupt_part_of_the_store_is_refused_and_its_hint_mends_it(
    study: Study, qts: Cli, part: str, spoil: Callable[[bytes], bytes]
) -> None:
    shutil.rmtree(study.file(".qts/windows"))
    (file,) = study.file(".qts").glob(f"{part}-*.parquet")
    file.write_bytes(spoil(file.read_bytes()))
    qts.refuses("window", ExitCode.INPUT, f"{file} is damaged", hint="delete it, then run: qts ingest")
    file.unlink()
    qts.does("ingest")
    qts.does("window")


@pytest.mark.parametrize("part", ["labels/part", "labels/tail", "factors/three/part", "calendar/calendar"])
def test_a_lost_part_of_the_store_is_named_and_its_hint_mends_it(study: Study, qts: Cli, part: str) -> None:
    shutil.rmtree(study.file(".qts/windows"))
    (file,) = study.file(".qts").glob(f"{part}-*.parquet")
    file.unlink()
    qts.refuses("window", ExitCode.INPUT, f"the store lacks {file}", hint="run: qts ingest")
    qts.does("ingest")
    qts.does("window")


@pytest.mark.parametrize(("part", "size"), [("X.npy", 0), ("X.npy", 99), ("calendar.npy", 0), ("index.parquet", 99)])
def test_damaged_windows_are_refused_with_the_folder_to_delete(study: Study, qts: Cli, part: str, size: int) -> None:
    (file,) = study.file(".qts/windows").glob(f"*/{part}")
    file.write_bytes(file.read_bytes()[:size])
    says = f"the windows at {file.parent} are damaged"
    qts.refuses("train --again", ExitCode.INPUT, says, hint=f"delete {file.parent} and run: qts window")


def test_windows_that_do_not_say_how_they_were_made_are_made_again(study: Study, qts: Cli) -> None:
    (file,) = study.file(".qts/windows").glob("*/meta.json")
    file.write_text("{}", encoding="utf-8")
    qts.does("window")
    assert json.loads(file.read_text(encoding="utf-8"))["features"]


@pytest.mark.parametrize("part", ["model.safetensors", "run.json"])
def test_a_truncated_run_is_refused_by_name(study: Study, qts: Cli, part: str) -> None:
    (file,) = study.file("runs").glob(f"*/{part}")
    file.write_bytes(truncated(file.read_bytes()))
    qts.refuses("predict", ExitCode.INPUT, str(file.parent), hint="qts train")


@pytest.mark.parametrize("content", ["null", "[]", '{"state": "done"}'])
def test_a_run_whose_record_says_nothing_is_refused_by_name(study: Study, qts: Cli, content: str) -> None:
    (file,) = study.file("runs").glob("*/run.json")
    file.write_text(content, encoding="utf-8")
    qts.refuses("predict", ExitCode.INPUT, str(file.parent), hint="qts train")
    qts.does("status")


def test_damaged_predictions_are_made_again(study: Study, qts: Cli) -> None:
    (file,) = study.file("runs").glob("*/predictions.parquet")
    file.write_bytes(truncated(file.read_bytes()))
    qts.does("eval")


# 15 - a corrupt manifest


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'{"format": 2', b"null", b'{"format": 2}'])
def test_a_damaged_manifest_is_refused_with_the_way_to_a_new_one(study: Study, qts: Cli, content: bytes) -> None:
    file = study.file(".qts/manifest.json")
    file.write_bytes(content)
    qts.refuses("window", ExitCode.INPUT, f"the store's manifest {file} is damaged", hint="run: qts ingest")


@pytest.mark.parametrize(
    ("content", "writer"),
    [
        ('{"format": 1, "qts_version": "0.1.0"}', "qts 0.1.0"),
        ('{"format": 1}', "another version of qts"),
        ("{}", "another version of qts"),
    ],
)
def test_a_store_in_another_format_is_refused_with_the_version_that_wrote_it(
    study: Study, qts: Cli, content: str, writer: str
) -> None:
    study.file(".qts/manifest.json").write_text(content)
    says = f"the store {study.file('.qts')} has the format of {writer}"
    qts.refuses("window", ExitCode.INPUT, says, hint="run: qts ingest")


@pytest.mark.parametrize("command", ["train", "predict", "eval", "query 'from bars'", "status"])
def test_a_damaged_manifest_is_refused_by_every_reader(study: Study, qts: Cli, command: str) -> None:
    file = study.file(".qts/manifest.json")
    file.write_bytes(truncated(file.read_bytes()))
    qts.refuses(command, ExitCode.INPUT, f"the store's manifest {file} is damaged", hint="run: qts ingest")


@pytest.mark.parametrize("content", [b"", b'{"format": 1}'])
def test_ingest_rebuilds_a_store_with_a_damaged_manifest(study: Study, qts: Cli, content: bytes) -> None:
    file = study.file(".qts/manifest.json")
    sound = file.read_bytes()
    file.write_bytes(content)
    qts.does("ingest")
    assert file.read_bytes() == sound
    qts.does("window")


@pytest.mark.parametrize(
    ("command", "name", "right", "wrong"),
    [
        ("window", "qts.toml", "Ref($close, -2)/", "Ref($close, -3)/"),
        ("train", "qts.toml", "Ref($close, -2)/", "Ref($close, -3)/"),
        ("train", "three.toml", "Ref($close, 4)/", "Ref($close, 7)/"),
        ("train", "three.toml", "VMA2 = ", "VMA3 = "),
    ],
    ids=["another label", "another label to train on", "another expression", "another factor"],
)
def test_a_store_made_from_other_expressions_is_stale(
    study: Study, qts: Cli, command: str, name: str, right: str, wrong: str
) -> None:
    study.edit(name, right, wrong)
    qts.refuses(command, ExitCode.INPUT, "store", hint="qts ingest")


# 16 - a place that cannot be written (the tests may run as root: a regular file stands where a folder must be)


@pytest.fixture
def blocker(study: Study) -> str:
    study.file("blocker").write_text("a regular file", encoding="utf-8")
    return "blocker"


@pytest.mark.parametrize("path", ["blocker", "blocker/.qts"])
@pytest.mark.parametrize("command", ["ingest", "run"])
def test_a_store_that_cannot_be_written_is_named(study: Study, qts: Cli, blocker: str, command: str, path: str) -> None:
    says = f"cannot write to {study.file(path)}"
    qts.refuses(f"{command} --set store.path={path}", ExitCode.FAILED, says, hint="check [store] path")


def test_a_store_below_a_file_is_no_store_to_a_reader(study: Study, qts: Cli, blocker: str) -> None:
    says = f"no store at {study.file('blocker/.qts')}"
    qts.refuses("window --set store.path=blocker/.qts", ExitCode.INPUT, says, hint="run: qts ingest")


def test_windows_that_cannot_be_written_are_named(study: Study, qts: Cli) -> None:
    shutil.rmtree(study.file(".qts/windows"))
    study.file(".qts/windows").write_text("a regular file", encoding="utf-8")
    says = f"cannot write {study.file('.qts/windows')}"
    qts.refuses("window", ExitCode.FAILED, says, hint="is the disk full, or the folder read-only?")


def test_runs_that_cannot_be_written_are_named(study: Study, qts: Cli, blocker: str) -> None:
    says = f"cannot write {study.file('blocker/runs')}/"
    qts.refuses(
        "train --set store.runs=blocker/runs", ExitCode.FAILED, says, hint="is the disk full, or the folder read-only?"
    )


def test_a_report_that_cannot_be_written_is_named(qts: Cli, blocker: str) -> None:
    says = "cannot write the report to blocker/report"
    qts.refuses("eval --out blocker/report", ExitCode.FAILED, says, hint="choose another --out")


def test_scores_that_cannot_be_written_are_named(qts: Cli, blocker: str) -> None:
    says = "cannot write blocker/scores.csv"
    qts.refuses("predict --out blocker/scores.csv", ExitCode.FAILED, says, hint="--out")


# 17 - no GPU


@pytest.mark.parametrize(
    "command",
    ["train --device cuda:0", "run --device cuda:0", "predict --device cuda", "check --set train.device=cuda:0"],
)
def test_a_gpu_that_is_absent_is_refused(qts: Cli, without_gpu: None, command: str) -> None:
    name = "cuda:0" if "cuda:0" in command else "cuda"
    says = f'device "{name}" was asked for, but there is no CUDA device'
    qts.refuses(command, ExitCode.DEVICE, says, hint='[train] device = "auto" or "cpu"')


def test_a_gpu_that_is_absent_is_refused_before_the_first_stage(study: Study, qts: Cli, without_gpu: None) -> None:
    shutil.rmtree(study.file(".qts"))
    qts.refuses("run --device cuda:0", ExitCode.DEVICE, "there is no CUDA device", hint='"auto" or "cpu"')


def test_a_device_of_no_kind_is_refused_with_the_kinds(qts: Cli) -> None:
    qts.refuses("train --device gpu", ExitCode.USAGE, '"device" in [train]', "gpu", "(--device)", hint="cuda")


# 18 - windows longer than the history


@pytest.mark.parametrize(("command", "step_len"), [("window", 36), ("train", 36), ("run", 36)])
def test_a_window_longer_than_the_history_is_refused(qts: Cli, command: str, step_len: int) -> None:
    says = f"the train segment has no sample: no instrument has {step_len} days of history"
    qts.refuses(
        f"{command} --step-len {step_len}", ExitCode.DATA_CHECK, says, hint="choose a smaller [window] step_len"
    )


@pytest.mark.parametrize("step_len", [200, 10**12])
def test_a_window_longer_than_the_calendar_is_refused_before_memory_is_asked_for(qts: Cli, step_len: int) -> None:
    says = f"a window of {step_len} days is longer than the history of 60 days"
    qts.refuses(f"window --step-len {step_len}", ExitCode.DATA_CHECK, says, hint="choose a smaller [window] step_len")


# 19 - a factor without a value


@pytest.mark.parametrize(
    ("command", "expression"),
    [("window", "Log(0-$close)"), ("train", "Log(0-$close)"), ("window", "Ref($close, 40)/$close")],
)
def test_a_factor_without_a_value_is_named(study: Study, qts: Cli, command: str, expression: str) -> None:
    study.edit("three.toml", "Ref($close, 4)/$close", expression)
    qts.does("ingest")
    says = "1 of 3 factors have no value in the train segment: ROC4"
    qts.refuses(command, ExitCode.DATA_CHECK, says, hint="leave them out of [factors] select")


def test_factors_of_a_column_without_a_value_are_named(study: Study, qts: Cli) -> None:
    lines = study.lines()
    study.write_lines([HEADER, *(line.rpartition(",")[0] + "," for line in lines[1:])])
    qts.does("ingest")
    says = "1 of 3 factors have no value in the train segment: VMA2"
    qts.refuses("window", ExitCode.DATA_CHECK, says, hint="give the bars what they read")


# 20 - a label without a value


@pytest.mark.parametrize(
    ("command", "expression"),
    [("window", "Ref($close, -500)/$close"), ("train", "Ref($close, -500)/$close"), ("window", "Log(0-$close)")],
)
def test_a_label_without_a_value_is_refused(study: Study, qts: Cli, command: str, expression: str) -> None:
    study.edit("qts.toml", "Ref($close, -2)/Ref($close, -1) - 1", expression)
    qts.does("ingest")
    says = "the label has no value in the train segment"
    qts.refuses(command, ExitCode.DATA_CHECK, says, hint="[label] expr")


def test_a_label_that_looks_beyond_its_segment_leaves_no_sample(study: Study, qts: Cli) -> None:
    study.edit("qts.toml", "Ref($close, -2)/Ref($close, -1) - 1", "Ref($close, -20)/$close - 1")
    qts.does("ingest")
    says = "the valid segment has no sample: 55 member rows, 30 without label, 25 purged"
    qts.refuses("window", ExitCode.DATA_CHECK, says, hint="the label")


# dates that cannot be read


@pytest.mark.parametrize("day", ["2024-13-45", "03/04/2024", "yesterday", "2024-02-30", "2024-01-08 09:30:00", ""])
def test_a_date_of_the_bars_that_cannot_be_read_is_refused_with_its_row(study: Study, qts: Cli, day: str) -> None:
    study.spoil_cell(66, "datetime", day)
    shown = repr(day or None)
    says = f'column "datetime" of {study.file("bars.csv")}: row 66 is {shown}, not a day (1 such rows)'
    qts.refuses("ingest", ExitCode.DATA_CHECK, says, hint="date_format")


def test_a_date_of_the_segments_that_cannot_be_read_is_refused_with_its_line(study: Study, qts: Cli) -> None:
    line = study.edit("qts.toml", '"2024-03-04"', '"4 March"')
    says = '"4 March" is not a date like 2024-12-31'
    qts.refuses("window", ExitCode.USAGE, '"valid" in [segments]', says, f"(qts.toml:{line})", hint=ANY_HINT)


@pytest.mark.parametrize("stay", ["S3,soon,", "S3,2024-02-30,", "S3,2024-01-02,2024-01-01"])
def test_a_stay_of_the_universe_that_is_none_is_refused_with_its_row(study: Study, qts: Cli, stay: str) -> None:
    study.edit("universe.csv", "S3,2024-01-01,", stay)
    says = f"row 3 of the universe {study.file('universe.csv')}: S3 is a member from"
    qts.refuses("ingest", ExitCode.DATA_CHECK, says, hint="write days as 2024-12-31")


@pytest.mark.parametrize("flag", ["--start", "--end", "--asof"])
def test_a_date_of_a_flag_that_cannot_be_read_is_refused(qts: Cli, flag: str) -> None:
    qts.refuses(f"predict {flag} 20-1-2024", ExitCode.USAGE, '"20-1-2024" is not a day', flag, hint="2024-12-31")


def test_a_span_beyond_the_store_is_refused_with_what_it_holds(qts: Cli) -> None:
    says = "the store has no day between 2042-01-01 and 2042-01-31 (it holds 2024-01-01 to 2024-03-22)"
    qts.refuses("predict --start 2042-01-01 --end 2042-01-31", ExitCode.INPUT, says, hint="ingest newer bars")


# where, and all at once


@pytest.mark.parametrize(
    ("command", "right", "wrong", "fault"),
    [
        ("ingest", 'set = "three.toml"', 'set = "alpha185"', "alpha185"),
        ("ingest", 'set = "three.toml"', 'set = "four.toml"', "four.toml"),
        ("ingest", "[label]", 'select = ["KMIDD"]\n[label]', "KMIDD"),
        ("ingest", "[label]", '[factors.custom]\nA = "$close"\nB = "Maen($close, 2)"\n[label]', "Maen"),
        ("ingest", "Ref($close, -2)/", "Reff($close, -2)/", "Reff"),
        ("window", '"2024-03-05", "2024-03-22"', '"2042-03-05", "2042-03-22"', "2042-03-05"),
        ("window", "[window]", '[[processors.features]]\nname = "zscor"\n[window]', "zscor"),
        ("train", 'name = "gru"', 'name = "grru"', "grru"),
    ],
)
def test_whatever_is_wrong_in_the_config_is_placed_at_its_line(
    study: Study, qts: Cli, command: str, right: str, wrong: str, fault: str
) -> None:
    study.edit("qts.toml", right, wrong)
    line = next(at for at, text in enumerate(study.lines("qts.toml"), start=1) if fault in text)
    outcome = qts(command)
    assert outcome.code in (ExitCode.USAGE, ExitCode.INPUT)
    assert fault in outcome.err
    assert f"(qts.toml:{line})" in outcome.err


def test_an_unknown_model_of_a_flag_is_placed_at_the_flag(qts: Cli) -> None:
    says = 'unknown model "grru" (--model)'
    qts.refuses("train --model grru", ExitCode.USAGE, says, hint='did you mean "gru"?')


def test_two_problems_of_one_file_are_reported_at_once_with_their_lines(study: Study, qts: Cli) -> None:
    first = study.edit("qts.toml", "step_len = 5", "step_length = 5")
    second = study.edit("qts.toml", "epochs = 1", 'epochs = "ten"')
    says = (f'unknown key "step_length" in [window] (qts.toml:{first})',
            f"\"epochs\" in [train] must be a whole number, not 'ten' (qts.toml:{second})")  # fmt: skip
    outcome = qts.refuses("train", ExitCode.USAGE, *says, hint='did you mean "step_len"?')
    assert outcome.err.count("error: ") == 2
    assert outcome.err.index(says[0]) < outcome.err.index(says[1])


def test_check_reports_the_problems_of_both_passes_at_once(study: Study, qts: Cli) -> None:
    study.edit("qts.toml", "Ref($close, -2)/", "Reff($close, -2)/")
    key = study.edit("qts.toml", "hidden_size = 4", "hiden_size = 4")
    study.edit("qts.toml", 'set = "three.toml"', 'set = "alpha185"')
    outcome = qts.refuses(
        "check", ExitCode.USAGE, 'unknown operator "Reff"', f'unknown key "hiden_size" in [model] (qts.toml:{key})',
        'unknown factor set "alpha185"', hint='did you mean "alpha158"?',
    )  # fmt: skip
    assert outcome.err.count("error: ") == 3


# --json


def spoil_nothing(_study: Study) -> None:
    pass


def spoil_key(study: Study) -> None:
    study.edit("qts.toml", "lr = 1e-3", "lerning_rate = 1e-3")


def spoil_bars(study: Study) -> None:
    study.file("bars.csv").unlink()


def repeat_row(study: Study) -> None:
    study.write_lines([*study.lines(), study.lines()[S3_FIRST_ROW]])


def block_store(study: Study) -> None:
    study.file("blocker").write_text("a regular file", encoding="utf-8")
    study.edit("qts.toml", "[factors]", '[store]\npath = "blocker/.qts"\n[factors]')


@pytest.mark.parametrize(
    ("command", "spoil", "code"),
    [
        ("train", spoil_key, ExitCode.USAGE),
        ("train --epochs ten", spoil_nothing, ExitCode.USAGE),
        ("train --epocs 3", spoil_nothing, ExitCode.USAGE),
        ("trian", spoil_nothing, ExitCode.USAGE),
        ("ingest", repeat_row, ExitCode.DATA_CHECK),
        ("window --step-len 200", spoil_nothing, ExitCode.DATA_CHECK),
        ("ingest", spoil_bars, ExitCode.INPUT),
        ("ingest", block_store, ExitCode.FAILED),
    ],
)
def test_a_failure_is_one_json_object_for_programs(
    study: Study, qts: Cli, command: str, spoil: Callable[[Study], None], code: ExitCode
) -> None:
    spoil(study)
    before = study.digests()
    outcome = qts(f"{command} --json")
    assert outcome.code == code
    assert outcome.out.count("\n") == 1
    answer = json.loads(outcome.out)
    assert set(answer) == {"error"}
    error = answer["error"]
    assert {"code", "message", "hint", "where"} <= set(error)
    assert error["code"] == code
    assert error["message"]
    assert error["hint"]
    assert "Traceback" not in outcome.err
    assert study.digests() == before


def test_an_absent_gpu_is_one_json_object_for_programs(qts: Cli, without_gpu: None) -> None:
    outcome = qts("train --device cuda:0 --json")
    assert outcome.code == ExitCode.DEVICE
    error = json.loads(outcome.out)["error"]
    assert (error["code"], error["hint"]) == (ExitCode.DEVICE, 'set [train] device = "auto" or "cpu"')


def test_a_failure_for_programs_says_where(study: Study, qts: Cli) -> None:
    line = study.edit("qts.toml", "lr = 1e-3", "lerning_rate = 1e-3")
    error = json.loads(qts("train --json").out)["error"]
    assert (error["message"], error["hint"], error["where"]) == (
        'unknown key "lerning_rate" in [train]', 'did you mean "lr"?', f"qts.toml:{line}",
    )  # fmt: skip


def test_a_failure_for_programs_holds_every_problem(study: Study, qts: Cli) -> None:
    first = study.edit("qts.toml", "step_len = 5", "step_length = 5")
    second = study.edit("qts.toml", "epochs = 1", 'epochs = "ten"')
    error = json.loads(qts("train --json").out)["error"]
    assert [problem["where"] for problem in error["problems"]] == [f"qts.toml:{first}", f"qts.toml:{second}"]


def test_a_traceback_is_shown_to_who_asks_for_it_only(study: Study, qts: Cli) -> None:
    study.file("bars.csv").unlink()
    assert "Traceback" not in qts("ingest -v").err
    assert "Traceback" in qts("ingest -vv").err


# scores of another tool


@pytest.fixture
def scores(study: Study, qts: Cli) -> str:
    """A sound scores.csv of the study, 70 rows; the first is S1 on 2024-03-05."""
    qts.does("predict --out scores.csv")
    text = study.file("scores.csv").read_text(encoding="utf-8").replace('"', "")
    study.file("scores.csv").write_text(text, encoding="utf-8")
    return "scores.csv"


def test_scores_without_a_score_column_are_refused_with_the_columns_there_are(
    study: Study, qts: Cli, scores: str
) -> None:
    study.edit(scores, "instrument,datetime,score", "instrument,datetime,rank")
    outcome = qts.refuses(
        "eval --scores scores.csv", ExitCode.INPUT, 'scores.csv has no column "score"',
        "its columns: instrument, datetime, rank", hint="score",
    )  # fmt: skip
    assert "columns = {" not in outcome.err, "no key of the config maps a column of scores"


def test_scores_without_an_instrument_column_are_refused(study: Study, qts: Cli, scores: str) -> None:
    study.edit(scores, "instrument,datetime,score", "name,datetime,score")
    qts.refuses("eval --scores scores.csv", ExitCode.INPUT, 'scores.csv has no column "instrument"', hint="instrument")


@pytest.mark.parametrize("content", ["", "instrument,datetime,score\n"], ids=["0 B", "header"])
def test_empty_scores_are_refused(study: Study, qts: Cli, content: str) -> None:
    study.file("scores.csv").write_text(content, encoding="utf-8")
    outcome = qts.refuses("eval --scores scores.csv", ExitCode.INPUT, "scores.csv", hint=ANY_HINT)
    assert "bars" not in outcome.err


def test_text_in_a_score_is_refused_with_its_row(study: Study, qts: Cli, scores: str) -> None:
    study.spoil_cell(8, "score", "strong buy", scores)
    says = "column \"score\" of scores.csv: row 8 is 'strong buy', not a number (1 such rows)"
    outcome = qts.refuses("eval --scores scores.csv", ExitCode.DATA_CHECK, says, hint="mend the file")
    assert "[bars]" not in outcome.err, "no key of [bars] is about scores"


def test_a_score_that_stands_twice_is_refused_with_its_row(study: Study, qts: Cli, scores: str) -> None:
    study.write_lines([*study.lines(scores), "S1,2024-03-05,0.5"], scores)
    says = "S1 has 2 rows for 2024-03-05, the first in scores.csv at row 1 (1 such keys)"
    qts.refuses("eval --scores scores.csv", ExitCode.DATA_CHECK, says, hint="keep one row")


def test_scores_of_strangers_cannot_be_judged(study: Study, qts: Cli, scores: str) -> None:
    study.write_lines([line.replace("S", "XSHG.S") for line in study.lines(scores)], scores)
    says = 'no instrument of the scores is in the store: scores have "XSHG.S1", the store "S1"'
    qts.refuses("eval --scores scores.csv", ExitCode.INPUT, says, hint="write instruments as the bars do")
