"""A resolved config written as TOML: reading it back gives an equal one."""

import tomllib
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qts.config import Config, FactorsConfig, TrainConfig, load_config
from qts.config.dump import dump_toml

EVERY_TABLE = r"""
[bars]
source = "duckdb"
path = 'C:\data\bars.db'
query = "SELECT * FROM bars -- \"all\" of them"
columns = { instrument = "Wind 代码", datetime = "trade.date" }
universe = "members/csi300.txt"
benchmark = "SH000300"

[store]
path = "/srv/store"

[factors]
set = "alpha360"
select = ["CLOSE1", "OPEN0"]
[factors.custom]
MOM = "$close/Ref($close, 5) - 1"

[segments]
train = ["2020-01-01", "2020-06-30"]
valid = [2020-07-01, 2020-09-30]
test = ["2020-10-01", "2020-12-31"]

[processors]
label = []
[[processors.features]]
name = "robust_zscore"
clip = true
[[processors.features]]
name = "fillna"
value = -1e-7
groups = ["a", "b"]
limits = { low = -1, high = 1 }

[model]
name = "tcn"
channels = [16, 8]
[model.head]
widths = [4, 2]
[model.head.act]
slope = 0.01

[train]
lr = 1e-12
seed = 1234567890123456789

[limits]
memory = "1.5 GiB"
threads = 2
"""


def read_back(config: Config) -> Config:
    return Config.model_validate(tomllib.loads(dump_toml(config)))


def test_the_defaults_come_back() -> None:
    assert read_back(Config()) == Config()


def test_a_file_that_uses_every_table_comes_back_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "first.toml").write_text(EVERY_TABLE, encoding="utf-8")
    first = load_config(tmp_path / "first.toml", environment={}).config
    (tmp_path / "second.toml").write_text(dump_toml(first), encoding="utf-8")
    assert load_config(tmp_path / "second.toml", environment={}).config == first


def test_a_second_dump_is_the_same_text() -> None:
    config = Config.model_validate(tomllib.loads(EVERY_TABLE))
    assert dump_toml(read_back(config)) == dump_toml(config)


def test_every_key_that_has_a_value_is_written() -> None:
    written = tomllib.loads(dump_toml(Config()))
    assert written["train"] == {
        "epochs": 200,
        "lr": 0.001,
        "batch_size": 800,
        "days_per_step": 1,
        "patience": 10,
        "metric": "loss",
        "loss": "mse",
        "huber_delta": 1.0,
        "optimizer": "adam",
        "momentum": 0.0,
        "weight_decay": 0.0,
        "schedule": "constant",
        "warmup_epochs": 0.0,
        "clip_value": 3.0,
        "clip_norm": 0.0,
        "seed": 0,
        "init_only": [],
        "device": "auto",
        "precision": "fp32",
        "deterministic": False,
        "log": [],
    }


def test_an_empty_list_is_not_the_default() -> None:
    config = Config.model_validate({"processors": {"features": []}})
    assert read_back(config).processors.features == ()


@pytest.mark.parametrize("table", Config.model_fields)
def test_a_key_may_be_none_only_if_that_is_its_default(table: str) -> None:
    """TOML has no null: a key left out is its default, so another None could be neither written nor read back."""
    default = Config.model_fields[table].default
    fields = {} if default is None else type(default).model_fields
    may_be_none = {key: field.default for key, field in fields.items() if type(None) in get_args(field.annotation)}
    assert may_be_none == dict.fromkeys(may_be_none)


@settings(deadline=None)
@given(st.floats(min_value=0, exclude_min=True, allow_nan=False, allow_infinity=False))
def test_every_learning_rate_comes_back_to_the_last_bit(lr: float) -> None:
    assert read_back(Config(train=TrainConfig(lr=lr))).train.lr == lr


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=8), st.just("$close"), max_size=3))
@example({"": "$close", "a.b": "$close", "[x]": "$close"})
@example({"\U0001d6fc": "$close"})
def test_any_name_of_a_custom_factor_comes_back(custom: dict[str, str]) -> None:
    config = Config(factors=FactorsConfig(custom=custom))
    assert read_back(config) == config


@settings(deadline=None)
@given(st.text(max_size=40))
@example("Rolling($close, 5, \"mean\") # [x]\n\t'''\\")
@example("\x7f")
def test_any_text_of_a_custom_factor_comes_back(expression: str) -> None:
    config = Config(factors=FactorsConfig(custom={"MINE": expression}))
    assert read_back(config) == config
