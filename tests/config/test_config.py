"""The config: which layer wins, what is refused and in which words, where a value came from."""

from datetime import date
from pathlib import Path
from typing import Any, Self, get_args

import pytest
from pydantic import BaseModel, ValidationError, model_validator

from qts.config import Config, LoadedConfig, Table, find_config, load_config
from qts.errors import ConfigError, ConfigProblems, ExitCode, InputError, QtsError


def load(folder: Path, text: str, **layers: Any) -> LoadedConfig:
    """Load a qts.toml of this text, and the layers that are given, with no environment unless it is one of them."""
    file = folder / "qts.toml"
    file.write_text(text, encoding="utf-8")
    return load_config(file, **{"environment": {}, **layers})


def problems(folder: Path, text: str, **layers: Any) -> list[QtsError]:
    """Return the single problems of a config that must be refused."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text, **layers)
    assert caught.value.code is ExitCode.USAGE
    return list(caught.value.parts())


def only_problem(folder: Path, text: str, **layers: Any) -> QtsError:
    found = problems(folder, text, **layers)
    assert len(found) == 1, [str(problem) for problem in found]
    return found[0]


# Layers

ENVIRONMENT = {"environment": {"QTS_TRAIN__LR": "0.003"}}
ASSIGNMENT = {"assignments": ["train.lr=0.004"]}
FLAG = {"flags": {"train.lr": 0.005}}


@pytest.mark.parametrize(
    ("text", "layers", "lr"),
    [
        ("", {}, 0.001),
        ("[train]\nlr = 0.002", {}, 0.002),
        ("[train]\nlr = 0.002", ENVIRONMENT, 0.003),
        ("[train]\nlr = 0.002", ENVIRONMENT | ASSIGNMENT, 0.004),
        ("[train]\nlr = 0.002", ENVIRONMENT | ASSIGNMENT | FLAG, 0.005),
        ("[train]\nlr = 0.002", FLAG, 0.005),
        ("", ENVIRONMENT | FLAG, 0.005),
        ("", ENVIRONMENT, 0.003),
    ],
)
def test_flags_beat_set_which_beats_the_environment_which_beats_the_file_which_beats_defaults(
    tmp_path: Path, text: str, layers: dict[str, Any], lr: float
) -> None:
    assert load(tmp_path, text, **layers).config.train.lr == lr


def test_a_layer_leaves_the_other_keys_of_its_table_alone(tmp_path: Path) -> None:
    train = load(tmp_path, "[train]\nlr = 0.002\nepochs = 7", **ENVIRONMENT).config.train
    assert (train.lr, train.epochs, train.patience) == (0.003, 7, 10)


def test_a_flag_that_was_not_given_changes_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, "[train]\nepochs = 7", flags={"train.epochs": None}).config.train.epochs == 7


def test_without_a_file_the_defaults_stand() -> None:
    assert load_config(environment={}).config == Config()


def test_the_environment_is_the_process_s_unless_another_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QTS_TRAIN__EPOCHS", "7")
    (tmp_path / "qts.toml").write_text("[train]\nepochs = 5")
    assert load_config(tmp_path / "qts.toml").config.train.epochs == 7


def test_variables_about_the_program_are_no_keys(tmp_path: Path) -> None:
    environment = {"QTS_CONFIG": "other.toml", "QTS_REAL_BARS": "/bars", "PATH": "/bin"}
    assert load(tmp_path, "", environment=environment).config == Config()


def test_a_variable_reaches_a_table_within_a_table(tmp_path: Path) -> None:
    loaded = load(tmp_path, "", environment={"QTS_BARS__COLUMNS__INSTRUMENT": "symbol"})
    assert loaded.config.bars.columns == {"instrument": "symbol"}


@pytest.mark.parametrize(
    ("assignment", "table", "key", "value"),
    [
        ("train.epochs=7", "train", "epochs", 7),
        ("train.lr = 1e-4", "train", "lr", 1e-4),
        ("train.device=cuda:1", "train", "device", "cuda:1"),
        ('train.device="cpu"', "train", "device", "cpu"),
        ("label.expr=Ref($close, -1)/$close - 1", "label", "expr", "Ref($close, -1)/$close - 1"),
        ("bars.path=a = b.csv", "bars", "path", Path("a = b.csv")),
        ('factors.select=["KLEN", "ROC60"]', "factors", "select", ("KLEN", "ROC60")),
        ("factors.custom.MOM=$close/$open", "factors", "custom", {"MOM": "$close/$open"}),
    ],
)
def test_set_reads_a_value_as_toml_and_a_bare_word_as_a_string(
    tmp_path: Path, assignment: str, table: str, key: str, value: object
) -> None:
    config = load(tmp_path, "", assignments=[assignment]).config
    assert getattr(getattr(config, table), key) == value


@pytest.mark.parametrize("assignment", ["lr", "lr=1", "train.lr", "train.=1", ".lr=1", ""])
def test_a_set_that_names_no_key_is_answered_with_how_to_write_it(tmp_path: Path, assignment: str) -> None:
    problem = only_problem(tmp_path, "", assignments=[assignment])
    assert (problem.message, problem.hint) == (f'cannot read --set "{assignment}"', "write --set table.key=value")


def test_a_variable_without_a_table_is_answered_with_how_to_write_it(tmp_path: Path) -> None:
    problem = only_problem(tmp_path, "", environment={"QTS_LR": "1"})
    assert problem.message == "cannot tell which key QTS_LR means"
    assert problem.hint is not None
    assert problem.hint.startswith("write QTS_TABLE__KEY")


# The model's keys belong to the model that was named with them

GRU = '[model]\nname = "gru"\nhidden_size = 32'


def test_another_model_by_flag_drops_the_keys_of_the_file_s_model(tmp_path: Path) -> None:
    model = load(tmp_path, GRU, flags={"model.name": "lstm"}).config.model
    assert (model.name, model.options()) == ("lstm", {})


def test_the_same_model_by_flag_keeps_its_keys(tmp_path: Path) -> None:
    model = load(tmp_path, GRU, flags={"model.name": "gru"}).config.model
    assert (model.name, model.options()) == ("gru", {"hidden_size": 32})


@pytest.mark.parametrize(
    "layers",
    [
        {"assignments": ["model.hidden_size=8"], "flags": {"model.name": "lstm"}},
        {"assignments": ["model.hidden_size=8", "model.name=lstm"]},
        {"assignments": ["model.name=lstm", "model.hidden_size=8"]},
        {"environment": {"QTS_MODEL__HIDDEN_SIZE": "8", "QTS_MODEL__NAME": "lstm"}},
        {"environment": {"QTS_MODEL__NAME": "lstm", "QTS_MODEL__HIDDEN_SIZE": "8"}},
        {"environment": {"QTS_MODEL__NAME": "lstm"}, "assignments": ["model.hidden_size=8"]},
    ],
    ids=["set, flag", "set, set", "set, set, name first", "variables", "variables, name first", "variable, set"],
)
def test_a_model_key_given_beside_another_model_is_that_model_s_in_any_order(
    tmp_path: Path, layers: dict[str, Any]
) -> None:
    model = load(tmp_path, GRU + "\nnum_layers = 3", **layers).config.model
    assert (model.name, model.options()) == ("lstm", {"hidden_size": 8})


# Unknown names


@pytest.mark.parametrize(
    ("table", "key", "hint"),
    [
        ("train", "epoch", 'did you mean "epochs"?'),
        ("train", "batch-size", 'did you mean "batch_size"?'),
        ("train", "LR", 'did you mean "lr"?'),
        ("bars", "pth", 'did you mean "path"?'),
        ("train", "lerning_rate", 'did you mean "lr"?'),
        ("train", "learning_rate", 'did you mean "lr"?'),
        ("train", "n_epochs", 'did you mean "epochs"?'),
        ("train", "early_stop", 'did you mean "patience"?'),
        ("train", "GPU", 'did you mean "device"?'),
        ("window", "seq_len", 'did you mean "step_len"?'),
        ("window", "lookback", 'did you mean "step_len"?'),
        ("bars", "market", 'did you mean "universe"?'),
        ("bars", "instruments", 'did you mean "universe"?'),
        ("window", "zzz", "known: step_len, fill, history, relative_to, standardise"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_or_with_all(
    tmp_path: Path, table: str, key: str, hint: str
) -> None:
    problem = only_problem(tmp_path, f"# first line\n[{table}]\n{key} = 1")
    assert (problem.message, problem.where) == (f'unknown key "{key}" in [{table}]', "qts.toml:3")
    assert problem.hint == hint


def test_an_unknown_table_is_answered_with_the_nearest(tmp_path: Path) -> None:
    problem = only_problem(tmp_path, "[train]\nlr = 1e-3\n\n[segment]\ntrain = 1")
    assert (str(problem), problem.hint) == ('unknown table "segment" (qts.toml:4)', 'did you mean "segments"?')


def test_a_table_like_no_other_is_answered_with_every_table(tmp_path: Path) -> None:
    hint = only_problem(tmp_path, "[portfolio]").hint
    assert hint == f"known: {', '.join(Config.model_fields)}"


@pytest.mark.parametrize(
    ("layers", "where"),
    [
        ({"assignments": ["train.epoch=7"]}, "--set train.epoch"),
        ({"environment": {"QTS_TRAIN__EPOCH": "7"}}, "QTS_TRAIN__EPOCH"),
        ({"flags": {"train.epoch": 7}}, "--epoch"),
    ],
)
def test_an_unknown_key_names_the_layer_it_came_from(tmp_path: Path, layers: dict[str, Any], where: str) -> None:
    assert only_problem(tmp_path, "[train]\nlr = 1e-3", **layers).where == where


def test_a_wrong_value_names_the_layer_that_won(tmp_path: Path) -> None:
    problem = only_problem(tmp_path, "[train]\nbatch_size = 8", flags={"train.batch_size": -4})
    assert str(problem) == '"batch_size" in [train] is -4: input should be greater than 0 (--batch-size)'


def test_a_value_put_below_a_plain_key_names_the_layer_that_put_it(tmp_path: Path) -> None:
    assert only_problem(tmp_path, "", assignments=["train.lr.warmup=3"]).where == "--set train.lr.warmup"


# All problems at once

FIVE_PROBLEMS = """\
[train]
learning_rate = 1e-3
epochs = "many"
metric = "icc"

[bars]
soruce = "csv"

[widnow]
step_len = 20
"""


def test_every_problem_of_a_file_is_reported_with_its_line(tmp_path: Path) -> None:
    found = {(problem.where, problem.message) for problem in problems(tmp_path, FIVE_PROBLEMS)}
    assert found == {
        ("qts.toml:2", 'unknown key "learning_rate" in [train]'),
        ("qts.toml:3", "\"epochs\" in [train] must be a whole number, not 'many'"),
        ("qts.toml:4", "\"metric\" in [train] is 'icc', but must be one of 'loss', 'ic' or 'rank_ic'"),
        ("qts.toml:7", 'unknown key "soruce" in [bars]'),
        ("qts.toml:9", 'unknown table "widnow"'),
    }


def test_problems_stand_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = problems(tmp_path, FIVE_PROBLEMS)
    assert [problem.where for problem in found] == [f"qts.toml:{line}" for line in (2, 3, 4, 7, 9)]


def test_problems_of_several_layers_are_reported_together(tmp_path: Path) -> None:
    layers = {"environment": {"QTS_LR": "1"}, "assignments": ["lr"], "flags": {"train.epochs": 0}}
    found = problems(tmp_path, "[widnow]", **layers)
    assert {str(problem) for problem in found} == {
        "cannot tell which key QTS_LR means",
        'cannot read --set "lr"',
        '"epochs" in [train] is 0: input should be greater than 0 (--epochs)',
        'unknown table "widnow" (qts.toml:1)',
    }


@pytest.mark.parametrize(
    "layers",
    [{"assignments": ["train.lr=1"]}, {"environment": {"QTS_TRAIN__LR": "1"}}, {"flags": {"train.lr": 1.0}}],
    ids=["set", "variable", "flag"],
)
def test_a_key_set_below_what_is_no_table_hides_no_other_problem(tmp_path: Path, layers: dict[str, Any]) -> None:
    found = problems(tmp_path, 'train = 3\n[bars]\nsoruce = "csv"', **layers)
    assert any('"soruce"' in problem.message for problem in found)


def test_several_problems_are_counted_and_one_speaks_for_itself() -> None:
    one = ConfigError("a is wrong")
    assert str(ConfigProblems([one])) == "a is wrong"
    assert str(ConfigProblems([one, ConfigError("b is wrong")])) == "2 problems in the config"


# Types


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[train]\nepochs = "many"', "\"epochs\" in [train] must be a whole number, not 'many'"),
        ("[train]\nseed = 1.5", '"seed" in [train] must be a whole number, not 1.5'),
        ('[train]\nlr = "fast"', "\"lr\" in [train] must be a number, not 'fast'"),
        ("[train]\ndevice = 3", '"device" in [train] must be a string, not 3'),
        ('[factors]\nselect = "KLEN"', "\"select\" in [factors] must be a list, not 'KLEN'"),
        ('[bars]\ncolumns = "symbol"', "\"columns\" in [bars] must be a table, not 'symbol'"),
        ("[bars]\npath = 3", '"path" in [bars] must be a path, not 3'),
        ("# model\nmodel = 'gru'", "[model] must be a table, not 'gru'"),
        ("[factors.custom]\nMOM = 3", '"MOM" in [factors.custom] must be a string, not 3'),
        ("[model]\nname = 3", '"name" in [model] must be a string, not 3'),
    ],
)
def test_a_wrong_type_is_told_in_the_words_of_toml(tmp_path: Path, text: str, message: str) -> None:
    assert str(only_problem(tmp_path, text)) == f"{message} (qts.toml:2)"


@pytest.mark.parametrize("spelled", ["true", "2020-01-31", "[1, true]"])
def test_a_wrong_value_is_shown_as_toml_spells_it(tmp_path: Path, spelled: str) -> None:
    message = only_problem(tmp_path, f"[train]\nlr = {spelled}").message
    assert message == f'"lr" in [train] must be a number, not {spelled}'


@pytest.mark.parametrize(
    "text",
    [
        "[train]\nepochs = 0",
        "[train]\nbatch_size = -1",
        "[train]\nseed = -1",
        "[train]\nlr = 0.0",
        "[train]\nlr = nan",
        "[train]\nlr = inf",
        '[train]\ndevice = "tpu"',
        "[window]\nstep_len = 0",
        "[eval]\nquantiles = 1",
        "[eval]\nlong_short_share = 0.6",
        '[limits]\nmemory = "4 gigs"',
        "[limits]\nthreads = 0",
    ],
)
def test_a_value_out_of_range_is_refused_at_its_line(tmp_path: Path, text: str) -> None:
    assert only_problem(tmp_path, text).where == "qts.toml:2"


def test_a_missing_key_names_its_table(tmp_path: Path) -> None:
    problem = only_problem(tmp_path, "[bars]\n[[processors.label]]\nclip = 1")
    assert str(problem) == '"name" in [processors.label] is missing (qts.toml:2)'


def test_a_model_without_a_name_is_the_default_one(tmp_path: Path) -> None:
    loaded = load(tmp_path, "[model]\nhidden_size = 8")
    assert (loaded.config.model.name, loaded.config.model.options()) == ("gru", {"hidden_size": 8})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[bars]\nsource = "duckdb"', 'source = "duckdb" needs either table or query'),
        ('[bars]\nsource = "duckdb"\ntable = "a"\nquery = "b"', 'source = "duckdb" needs either table or query'),
        ('[bars]\ntable = "a"', 'table and query belong to source = "duckdb"'),
    ],
)
def test_a_relation_belongs_to_a_database_and_is_one(tmp_path: Path, text: str, message: str) -> None:
    assert str(only_problem(tmp_path, text)) == f"[bars]: {message} (qts.toml:1)"


# Segments


def segments(train: str, valid: str, test: str) -> str:
    """Return a [segments] table; a span is written `01-02..03-04`, within 2020."""
    spans = {"train": train, "valid": valid, "test": test}
    lines = [
        f'{name} = ["2020-{a}", "2020-{b}"]' for name, (a, b) in {k: v.split("..") for k, v in spans.items()}.items()
    ]
    return "\n".join(["[segments]", *lines])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (segments("03-01..02-01", "04-01..05-01", "06-01..07-01"), "train ends (2020-02-01) before it starts (2020-03-01)"),
        (segments("01-01..02-01", "03-01..02-01", "06-01..07-01"), "valid ends (2020-02-01) before it starts (2020-03-01)"),
        (
            segments("01-01..03-01", "03-01..04-01", "05-01..06-01"),
            "valid starts (2020-03-01) before train has ended (2020-03-01)",
        ),
        (
            segments("01-01..02-01", "03-01..04-01", "03-15..06-01"),
            "test starts (2020-03-15) before valid has ended (2020-04-01)",
        ),
        (
            segments("05-01..06-01", "03-01..04-01", "01-01..02-01"),
            "valid starts (2020-03-01) before train has ended (2020-06-01)",
        ),
    ],
)  # fmt: skip
def test_segments_out_of_order_are_refused_with_both_days(tmp_path: Path, text: str, message: str) -> None:
    assert str(only_problem(tmp_path, text)) == f"[segments]: {message} (qts.toml:1)"


def test_segments_may_be_a_day_long_and_leave_gaps(tmp_path: Path) -> None:
    loaded = load(tmp_path, segments("01-01..01-01", "01-02..02-01", "03-01..06-01"))
    assert loaded.config.segments is not None
    assert loaded.config.segments.train == (date(2020, 1, 1), date(2020, 1, 1))


def test_days_may_be_strings_or_toml_dates(tmp_path: Path) -> None:
    as_dates = segments("01-01..02-01", "03-01..04-01", "05-01..06-01").replace('"', "")
    as_strings = segments("01-01..02-01", "03-01..04-01", "05-01..06-01")
    assert load(tmp_path, as_dates).config == load(tmp_path, as_strings).config


def test_every_segment_that_is_missing_is_named(tmp_path: Path) -> None:
    found = problems(tmp_path, '[segments]\ntrain = ["2020-01-01", "2020-02-01"]')
    assert [problem.message for problem in found] == [
        '"valid" in [segments] is missing',
        '"test" in [segments] is missing',
    ]


def test_a_day_that_is_none_is_told_with_its_line(tmp_path: Path) -> None:
    text = segments("01-01..02-30", "03-01..04-01", "05-01..06-01")
    problem = only_problem(tmp_path, text)
    assert problem.where == "qts.toml:2"
    assert '"2020-02-30" is not a date like 2024-12-31' in problem.message


@pytest.mark.parametrize("span", ['["2020-03-01"]', '["2020-03-01", "soon"]', '["2020-03-01", 20200401]'])
def test_a_problem_within_a_list_names_the_key_of_the_list(tmp_path: Path, span: str) -> None:
    text = segments("01-01..02-01", "03-01..04-01", "05-01..06-01").replace('["2020-03-01", "2020-04-01"]', span)
    problem = only_problem(tmp_path, text)
    assert problem.where == "qts.toml:3"
    assert '"valid" in [segments]' in problem.message


def test_a_span_of_one_day_is_told_that_it_needs_two(tmp_path: Path) -> None:
    text = segments("01-01..02-01", "03-01..04-01", "05-01..06-01").replace(', "2020-04-01"]', "]")
    assert not only_problem(tmp_path, text).message.endswith("is missing")


# Files


@pytest.mark.parametrize(
    ("text", "line"),
    [("[train\nlr = 1\n", 1), ("[train]\nlr =\n", 2), ("[train]\nlr = 1\nlr = 2\n", 3), ("[train]\nlr = 1 oops\n", 2)],
)
def test_a_syntax_error_names_the_file_and_the_line(tmp_path: Path, text: str, line: int) -> None:
    problem = only_problem(tmp_path, text)
    assert problem.message.startswith("qts.toml is not valid TOML: ")
    assert f"line {line}" in problem.message


def test_a_named_file_that_is_missing_is_an_input_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config file .*other\.toml") as caught:
        load_config(tmp_path / "other.toml", environment={})
    assert (caught.value.code, caught.value.hint) == (ExitCode.INPUT, "qts init writes one")


def test_a_file_that_is_no_text_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "qts.toml").write_bytes(b"PAR1\xff\xfe")
    with pytest.raises(InputError, match="cannot read the config file"):
        load_config(tmp_path / "qts.toml", environment={})


def test_the_nearest_file_upward_is_found(tmp_path: Path) -> None:
    deep = tmp_path / "study" / "notes" / "may"
    deep.mkdir(parents=True)
    (tmp_path / "qts.toml").touch()
    assert find_config(deep) == tmp_path / "qts.toml"
    (tmp_path / "study" / "qts.toml").touch()
    assert find_config(deep) == tmp_path / "study" / "qts.toml"


def test_a_folder_called_qts_toml_is_no_config(tmp_path: Path) -> None:
    inner = tmp_path / "study"
    (inner / "qts.toml").mkdir(parents=True)
    (tmp_path / "qts.toml").touch()
    assert find_config(inner) == tmp_path / "qts.toml"


def test_the_search_starts_at_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "qts.toml").write_text("[train]\nepochs = 7")
    (tmp_path / "study").mkdir()
    monkeypatch.chdir(tmp_path / "study")
    loaded = load_config(environment={})
    assert (loaded.config.train.epochs, loaded.folder) == (7, tmp_path)


def test_relative_paths_start_at_the_config_s_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "study" / "qts.toml").write_text('[bars]\npath = "data/bars.parquet"')
    monkeypatch.chdir(tmp_path / "elsewhere")
    loaded = load_config(Path("../study/qts.toml"), environment={})
    assert loaded.path(loaded.config.bars.path) == tmp_path / "study" / "data" / "bars.parquet"


def test_an_absolute_path_stays(tmp_path: Path) -> None:
    assert load(tmp_path, "").path(tmp_path / "other" / "bars.csv") == tmp_path / "other" / "bars.csv"


def test_without_a_file_relative_paths_start_at_the_working_folder() -> None:
    loaded = load_config(environment={})
    assert loaded.path(Path("bars.parquet")) == Path.cwd() / "bars.parquet"


# Frozen, closed, explained


def tables() -> list[type[BaseModel]]:
    """Return Config and every class of a table within it."""
    inner = [argument for f in Config.model_fields.values() for argument in (f.annotation, *get_args(f.annotation))]
    return [Config, *(a for a in inner if isinstance(a, type) and issubclass(a, BaseModel))]


def test_a_loaded_config_cannot_be_changed(tmp_path: Path) -> None:
    config = load(tmp_path, "").config
    with pytest.raises(ValidationError, match="frozen"):
        config.train.epochs = 7  # type: ignore[misc]


@pytest.mark.parametrize("table", tables(), ids=lambda table: table.__name__)
def test_every_table_is_closed_and_frozen_and_explains_each_key(table: type[BaseModel]) -> None:
    extra = "allow" if table.__name__ == "OpenTable" else "forbid"
    assert (table.model_config["extra"], table.model_config["frozen"]) == (extra, True)
    assert [key for key, field in table.model_fields.items() if not field.description] == []


# The second pass: keys that belong to a part named in the file


class NetConfig(Table):
    """Keys of an architecture."""

    width: int = 4
    """Width."""
    depth: int = 2
    """Depth."""

    @model_validator(mode="after")
    def _not_too_deep(self) -> Self:
        if self.depth > self.width:
            raise ValueError(f"depth = {self.depth} needs a width as large")
        return self


def second_pass(loaded: LoadedConfig) -> list[str]:
    """Return the problems of [model] under NetConfig."""
    with pytest.raises(ConfigError) as caught:
        loaded.check_options(NetConfig, loaded.config.model.options(), ("model",))
    return [str(problem) for problem in caught.value.parts()]


def test_the_open_keys_of_a_table_come_back_checked(tmp_path: Path) -> None:
    loaded = load(tmp_path, '[model]\nname = "net"\nwidth = 8')
    assert loaded.check_options(NetConfig, loaded.config.model.options(), ("model",)) == NetConfig(width=8)


def test_every_problem_of_the_open_keys_is_told_with_its_line(tmp_path: Path) -> None:
    loaded = load(tmp_path, '[model]\nname = "net"\nwidht = 8\ndepth = "deep"')
    assert set(second_pass(loaded)) == {
        'unknown key "widht" in [model] (qts.toml:3)',
        "\"depth\" in [model] must be a whole number, not 'deep' (qts.toml:4)",
    }


def test_an_open_key_from_the_command_line_is_told_as_such(tmp_path: Path) -> None:
    loaded = load(tmp_path, '[model]\nname = "net"', assignments=["model.widht=8"])
    assert second_pass(loaded) == ['unknown key "widht" in [model] (--set model.widht)']


def test_keys_that_do_not_go_together_point_at_their_table(tmp_path: Path) -> None:
    loaded = load(tmp_path, '[train]\nseed = 1\n[model]\nname = "net"\ndepth = 8')
    assert second_pass(loaded) == ["[model]: depth = 8 needs a width as large (qts.toml:3)"]


def test_the_second_of_two_tables_of_a_list_has_its_own_lines(tmp_path: Path) -> None:
    text = '[[processors.features]]\nname = "a"\nwidth = 8\n[[processors.features]]\nname = "b"\nwidht = 8'
    loaded = load(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        loaded.check_options(NetConfig, loaded.config.processors.features[1].options(), ("processors", "features", 1))
    (problem,) = caught.value.parts()
    assert str(problem) == 'unknown key "widht" in [processors.features] (qts.toml:6)'
    assert problem.hint == 'did you mean "width"?'


def test_the_hint_of_keys_that_do_not_go_together_tells_those_keys(tmp_path: Path) -> None:
    problem = only_problem(tmp_path, "[backtest]\ntop_k = 2\nn_drop = 3")
    assert problem.message == "[backtest]: n_drop (3) is more than top_k (2)"
    assert str(problem.hint).split("; ") == [
        "top_k: Names held. (default 50)",
        "n_drop: Names at most that are sold a day because others score better. (default 5)",
    ]
