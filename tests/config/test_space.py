"""What may stand in `[tune.space]`: lists, ranges, three spellings of a key, and errors that name the line."""

import tomllib
from pathlib import Path

import pytest

from qts.config import Config, Dimension, LoadedConfig, load_config
from qts.config.dump import dump_toml
from qts.errors import ConfigError

SPACE = """
[tune.space]
"train.lr" = { low = 1e-4, high = 1e-2, log = true }
"model.hidden_sizes" = [[64, 32], [128]]
"window.step_len" = { low = 10, high = 20, step = 5 }
"""


def load(folder: Path, text: str, *assignments: str) -> LoadedConfig:
    (folder / "qts.toml").write_text(text)
    return load_config(folder / "qts.toml", environment={}, assignments=assignments)


@pytest.mark.parametrize(
    "text",
    [
        '[tune.space]\n"train.lr" = [0.1, 0.2]',
        "[tune.space]\ntrain.lr = [0.1, 0.2]",
        "[tune.space.train]\nlr = [0.1, 0.2]",
        '[tune.space]\n"train.lr" = { choices = [0.1, 0.2] }',
        '[tune]\nspace = { "train.lr" = [0.1, 0.2] }',
    ],
)
def test_a_key_may_be_spelt_as_toml_allows(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text).config.tune.space == {"train.lr": Dimension(choices=(0.1, 0.2))}


def test_a_flag_changes_one_key_of_the_space(tmp_path: Path) -> None:
    space = load(tmp_path, SPACE, "tune.space.train.lr=[1e-3]").config.tune.space
    assert list(space) == ["train.lr", "model.hidden_sizes", "window.step_len"]
    assert space["train.lr"].ladder() == [1e-3]


def test_a_space_comes_back_from_a_dump_in_its_order(tmp_path: Path) -> None:
    config = load(tmp_path, SPACE).config
    again = Config.model_validate(tomllib.loads(dump_toml(config)))
    assert again == config
    assert list(again.tune.space) == list(config.tune.space)


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("[3, 1, 2]", [3, 1, 2]),
        ('[true, "a"]', [True, "a"]),
        ("[[64, 32], [128]]", [[64, 32], [128]]),
        ("{ low = 1, high = 3 }", [1, 2, 3]),
        ("{ low = 10, high = 24, step = 5 }", [10, 15, 20]),
        ("{ low = 0.1, high = 0.4, step = 0.1 }", [0.1, 0.2, 0.3, 0.4]),
        ("{ low = 0, high = 0.5, step = 0.25 }", [0.0, 0.25, 0.5]),
        ("{ low = 0.1, high = 0.4 }", None),
        ("{ low = 1, high = 2.0 }", None),
    ],
)
def test_a_ladder_holds_every_value_or_there_is_none(tmp_path: Path, written: str, values: list[object] | None) -> None:
    ladder = load(tmp_path, f'[tune.space]\n"train.x" = {written}').config.tune.space["train.x"].ladder()
    assert ladder == values
    assert list(map(type, ladder or [])) == list(map(type, values or []))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("0.1", "write a list, or { low"),
        ("[]", "nothing to choose from"),
        ("[1, 2, 1]", "there twice"),
        ("[2024-01-01]", "neither a number"),
        ("{ low = 1 }", "write a list, or { low"),
        ("{ low = 2, high = 1 }", "must be less than high"),
        ("{ low = 0, high = 1.0, log = true }", "log needs a low above 0"),
        ("{ low = 1, high = 9, log = true, step = 2 }", "takes no step"),
        ("{ low = 1, high = 9, step = 0 }", r"step \(0\) must be above 0"),
        ("{ low = true, high = 9 }", "True is not a finite number"),
        ("{ low = 0, high = inf }", "inf is not a finite number"),
        ("{ choices = [1, 2], log = true }", "choices stand alone"),
        ("{ low = 0, hihg = 1 }", 'unknown key "hihg"'),
    ],
)
def test_what_is_no_list_and_no_range_is_refused_with_its_line(tmp_path: Path, written: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load(tmp_path, f'[tune.space]\n"train.x" = {written}')
    assert caught.value.parts()[0].where == "qts.toml:2"
