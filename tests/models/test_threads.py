"""Threads that share a batch: one core each, whatever else happens around them."""

import os
import threading
from collections.abc import Iterator

import pytest
import torch

from qts.models._recurrent import GRUStack
from qts.models._threads import in_parts

EDGES = [0, 3, 5, 9]


@pytest.fixture(autouse=True)
def _three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_each_works_with_one_thread_of_torch_and_the_others_keep_theirs() -> None:
    assert in_parts(lambda _: torch.get_num_threads(), EDGES) == [1, 1, 1]
    torch.set_num_threads(4)
    assert in_parts(lambda _: torch.get_num_threads(), EDGES) == [1, 1, 1]
    assert torch.get_num_threads() == 4


def test_an_error_in_one_part_is_raised_and_the_next_work_is_done() -> None:
    def fail(part: slice) -> int:
        if part.start == 3:
            raise ValueError("of the second part")
        return part.stop

    with pytest.raises(ValueError, match="of the second part"):
        in_parts(fail, EDGES)
    assert in_parts(lambda part: part.stop, EDGES) == [3, 5, 9]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a fork of several threads, which is the point
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    layer, x = GRUStack(2, 3), torch.ones(300, 4, 2)
    layer(x).sum().backward()
    child = os.fork()
    if not child:
        worked = torch.isfinite(layer(x)).all()
        os._exit(0 if worked else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_a_thread_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = threading.Thread.start, []

    def refuse_the_third(thread: threading.Thread) -> None:
        started.append(thread)
        if len(started) == 3:
            raise RuntimeError("can't start new thread")
        start(thread)

    torch.set_num_threads(11)  # so many nobody has asked for yet
    many = list(range(12))
    monkeypatch.setattr(threading.Thread, "start", refuse_the_third)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        in_parts(lambda part: part.stop, many)
    monkeypatch.undo()
    for thread in started[:2]:
        thread.join(timeout=10)
        assert not thread.is_alive()
    assert torch.get_num_threads() == 11
    assert in_parts(lambda part: part.stop, many) == many[1:]
