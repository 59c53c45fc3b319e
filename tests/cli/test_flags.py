"""Flags that set a key of the config: one table, whose rows are read by every command that has them."""

import inspect
import json
from pathlib import Path

import pytest
import typer

from qts.cli.commands import app
from qts.cli.main import run
from qts.cli.options import FLAGS
from qts.cli.session import Session, command
from qts.config import Config, load_config

VALUES: dict[str, object] = {
    "model": "lstm", "step_len": 7, "epochs": 3, "lr": 0.25, "batch_size": 5, "seed": 9, "device": "cpu",
    "init_from": "other", "trials": 4, "sampler": "grid", "metric": "ic", "presets": True,
    "step_days": 6, "processes": 2, "top_k": 9, "n_drop": 3, "rules": "qlib", "deal_price": "open",
}  # fmt: skip
"""A value for each flag that is not the key's default."""


def at(config: Config, key: str) -> object:
    table, name = key.split(".")
    return getattr(getattr(config, table), name)


@pytest.fixture
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def session_of(*arguments: str) -> Session:
    """Return the session of a command that has every flag."""
    seen: list[Session] = []

    def work(session: Session) -> None:
        seen.append(session)

    one = typer.Typer()
    command(one, ("qts work",), flags=tuple(FLAGS))(work)
    typer.main.get_command(one).main(args=list(arguments), standalone_mode=False)
    return seen[0]


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_sets_its_key_of_the_config(name: str) -> None:
    value, spelled = VALUES[name], f"--{name.replace('_', '-')}"
    session = session_of(spelled) if value is True else session_of(spelled, str(value))
    assert at(load_config().config, FLAGS[name].key) != value
    assert at(session.config().config, FLAGS[name].key) == value


def test_every_flag_belongs_to_a_command() -> None:
    functions = [made.callback for made in app.registered_commands if made.callback]
    assert set(FLAGS) <= {name for function in functions for name in inspect.signature(function).parameters}


@pytest.mark.usefixtures("_alone")
def test_the_config_of_a_command_has_the_flags_that_were_given_and_they_win_over_set() -> None:
    session = session_of("--step-len", "7", "-m", "lstm", "--lr", "0.25", "--set", "window.step_len=9", "--presets")
    assert session.flags == {
        "model.name": "lstm",
        "window.step_len": 7,
        "train.lr": 0.25,
        "tune.presets": True,
    }
    assert session.config().config.window.step_len == 7
    assert session.config({"window.step_len": 5}).config.window.step_len == 5


def test_a_flag_that_is_not_given_sets_nothing() -> None:
    assert session_of().flags == {}


@pytest.mark.parametrize(
    ("name", "before"), [("predict", "--device"), ("explain", "--device"), ("models", "--step-len")]
)
def test_a_lone_flag_stands_before_the_format(name: str, before: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    options = [line.split()[:2] for line in capsys.readouterr().out.splitlines() if line.startswith("  -")]
    spelled = [" ".join(words) for words in options]
    place = next(n for n, text in enumerate(spelled) if text.startswith(before))
    assert spelled[place + 1].startswith("-f, --format")


@pytest.mark.usefixtures("_alone")
def test_a_step_len_alone_asks_for_the_summary_of_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "linear", "--step-len", "7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["layer"] == "head"
