"""A round: one command, one disturbance, then what must hold all the same."""

import re
import signal
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

from tests.crash.disturbances import DISTURBANCES, Disturbance
from tests.crash.market import put_source
from tests.crash.reading import look
from tests.crash.scene import Scene, Theatre, say_how
from tests.crash.tree import differences, leftovers, tree_of
from tests.forked import Ended

_NEVER_SAID = re.compile(r"Traceback \(most recent|\bunexpected \w+:|Fatal Python error|\[Errno")
_SHOWN = 8


class Failed(AssertionError):  # noqa: N818 - a finding
    """What a round has found."""


def _chance(*seeds: object) -> Random:
    return Random(" ".join(map(str, seeds)))  # noqa: S311 - chance that can be repeated, no secrets


def names_of(seed: int, numbers: range) -> Iterator[tuple[int, str, str]]:
    """Yield number, disturbance and case of rounds: every disturbance in turn, as often as its weight says."""
    able = [name for name, row in DISTURBANCES.items() for _ in range(row.weight) if row.why_not() is None]
    for number in numbers:
        turn, at = divmod(number, len(able))
        order = _chance(seed, turn).sample(able, len(able))
        case = _chance(seed, number, "case").choice(DISTURBANCES[order[at]].cases)
        yield number, order[at], case


def play(theatre: Theatre, seed: int, number: int, disturbance: str, case: str) -> Counter[str]:
    """Play a round; return what it counts. Raises Failed."""
    row = DISTURBANCES[disturbance]
    scene = Scene(theatre, case, _chance(seed, number))
    reference = scene.reference
    theatre.set_up(scene.case)
    ended = row.strike(scene)
    if ended is not None:
        _judge_end(ended, row)
        scene.counts["struck in the middle"] += ended.code != 0
        scene.counts["killed in the middle"] += ended.signal == signal.SIGKILL
    seen = _look(scene)
    _judge_seen(seen, scene)
    put_source(theatre.sources, scene.case.source, theatre.study)
    again = scene.run()
    if again.code != 0:
        raise Failed(f"run again, it fails: {say_how(again)}")
    is_same_state = seen["store"] in (reference.seen_before["store"], reference.seen["store"])
    _judge_tree(scene, is_strict=is_same_state and not scene.only_contents)
    scene.counts["run again"] += 1
    return scene.counts


def _judge_end(ended: Ended, row: Disturbance) -> None:
    if ended.is_late:
        raise Failed(f"it hangs: {say_how(ended)}")
    if ended.signal not in row.signals and ended.code not in row.codes:
        raise Failed(f"it ends with {say_how(ended)}")
    if found := _NEVER_SAID.search(ended.err):
        raise Failed(f'it says "{found[0]}": {say_how(ended)}')


def _look(scene: Scene) -> dict[str, Any]:
    try:
        return scene.theatre.ask(look)
    except AssertionError as error:
        raise Failed(f"readers cannot read: {error}") from error


def _judge_seen(seen: dict[str, Any], scene: Scene) -> None:
    """Refuse what is neither the state before nor the one after, and the loss of what was there before."""
    before, after = scene.reference.seen_before, scene.reference.seen
    if seen["store"] not in {before["store"], after["store"], *scene.also}:
        raise Failed(f"the store is neither as it was nor as it will be: {seen['store']}")
    if seen["book"] not in (before["book"], after["book"]):
        raise Failed("the book is neither as it was nor as it will be")
    for name, weights in before["runs"].items():
        if seen["runs"].get(name) != weights:
            raise Failed(f"the run {name} is lost")


def _judge_tree(scene: Scene, *, is_strict: bool) -> None:
    """Refuse a study that is not what it would be had nothing happened."""
    tree, reference = scene.theatre.ask(tree_of), scene.reference
    if left := leftovers(tree):
        raise Failed(f"leftovers: {', '.join(left[:_SHOWN])}")
    if scene.theatre.ask(look) != reference.seen:
        raise Failed("readers see something else than after an undisturbed run")
    found = differences(tree, reference.tree)
    if is_strict and found:
        raise Failed(f"{len(found)} paths are not as after an undisturbed run: {', '.join(found[:_SHOWN])}")
    scene.counts["equal to the byte" if not found else "equal in content"] += 1
