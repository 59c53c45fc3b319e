"""Pieces of work in processes of their own: in order whatever ends first, failures with their name and kind."""

import os
import sys
import time

import pytest

from qts.errors import ConfigError, InputError, QtsError
from qts.pipeline.tasks import run_tasks
from qts.progress import SilentProgress


class Squares:
    """Squares a number in this process, once another has listed operators."""

    def __init__(self, arguments: list[str], error: QtsError | None = None) -> None:
        self.arguments = arguments
        self.error = error
        self.begun: list[int] = []
        self.finished: list[int] = []

    def name(self, item: int) -> str:
        """Name it."""
        return f"number {item}"

    def begin(self, item: int) -> list[str]:
        """Remember it."""
        self.begun.append(item)
        return self.arguments

    def finish(self, item: int) -> int:
        """Square it, or fail at 3."""
        if self.error and item == 3:
            raise self.error
        time.sleep(0.01)
        self.finished.append(item)
        return item * item


@pytest.fixture(autouse=True)
def _found_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))


def test_results_are_in_order_and_each_began_elsewhere() -> None:
    task = Squares(["operators"])
    assert run_tasks(task, [3, 1, 2], 2, SilentProgress()) == [9, 1, 4]
    assert (task.begun, sorted(task.finished)) == ([3, 1, 2], [1, 2, 3])


def test_one_process_does_all_in_this_one() -> None:
    task = Squares(["operators"])
    assert run_tasks(task, [3, 1, 2], 1, SilentProgress()) == [9, 1, 4]
    assert (task.begun, task.finished) == ([], [3, 1, 2])


def test_what_another_process_refuses_is_raised_here_with_its_name_kind_and_hint() -> None:
    with pytest.raises(InputError, match=r"^number [12]: no config file absent\.toml") as caught:
        run_tasks(Squares(["status", "--config", "absent.toml"]), [1, 2], 2, SilentProgress())
    assert caught.value.hint == "qts init writes one"


def test_a_process_that_dies_without_a_word_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(QtsError, match=r"^number [12]: its process ended with 1$"):
        run_tasks(Squares(["operators"]), [1, 2], 2, SilentProgress())


@pytest.mark.parametrize("n_processes", [1, 2])
def test_a_failure_here_is_named_and_what_was_finished_before_stays(n_processes: int) -> None:
    task = Squares(["operators"], ConfigError("no cube", where="qts.toml:3", hint="ask for squares"))
    with pytest.raises(ConfigError, match=r"^number 3: no cube \(qts\.toml:3\)$") as caught:
        run_tasks(task, [1, 3, 2], n_processes, SilentProgress())
    assert caught.value.hint == "ask for squares"
    assert 3 not in task.finished
    assert 1 in task.finished or n_processes > 1
