"""A scene: a study on which a command is run, what the command leaves undisturbed, and what it takes."""

import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.crash.market import BASES, CASES, NOW, Case, put_source, write_sources, write_study
from tests.crash.reading import look
from tests.crash.strikes import Before, clock_at, counting, together
from tests.crash.tree import tree_of
from tests.forked import Child, Ended, ask, qts, start


@dataclass(frozen=True)
class Reference:
    """What a command comes to when nothing disturbs it."""

    seconds: float
    n_operations: int
    tree: dict[str, str]
    seen: dict[str, Any]
    """What readers see afterwards."""
    seen_before: dict[str, Any]


@dataclass
class Theatre:
    """The folder in which everything happens: bases, sources, and the study at work, always under the same path."""

    folder: Path
    bases: set[str] = field(default_factory=set)
    references: dict[str, Reference] = field(default_factory=dict)
    stores: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.study = self.folder / "study"
        self.sources = self.folder / "sources"
        self.folder.chmod(0o755)
        write_study(self.folder / "bases" / "sources")
        self.bases.add("sources")
        ask(lambda: write_sources(self.sources), self.folder)

    def set_up(self, case: Case) -> None:
        """Lay out the study as the case finds it."""
        self.lay_out(case.base)
        put_source(self.sources, case.source, self.study)

    def lay_out(self, base: str) -> None:
        """Lay out the study as a base has it; what an earlier base needs is done first, once."""
        if base not in self.bases:
            before, commands = BASES[base]
            self.lay_out(before)
            put_source(self.sources, "history", self.study)
            for arguments in commands:
                self.succeed(arguments)
            shutil.copytree(self.study, self.folder / "bases" / base, symlinks=True)
            self.bases.add(base)
        unmount(self.study)
        shutil.rmtree(self.study, ignore_errors=True)
        shutil.copytree(self.folder / "bases" / base, self.study, symlinks=True)

    def start(self, arguments: tuple[str, ...], before: Before = lambda: None) -> Child:
        """Begin a command on the study."""
        return start(qts(*arguments, before=together(clock_at(NOW), before)), self.study)

    def succeed(self, arguments: tuple[str, ...], before: Before = lambda: None) -> Ended:
        """Run a command that must succeed."""
        ended = self.start(arguments, before).wait()
        if ended.code != 0:
            raise AssertionError(f"qts {' '.join(arguments)}: {say_how(ended)}")
        return ended

    def reference(self, name: str) -> Reference:
        """Return what a case comes to undisturbed."""
        if name not in self.references:
            case, operations = CASES[name], self.folder / "operations"
            self.set_up(case)
            before = self.ask(look)
            ended = self.succeed(case.arguments, counting(operations, self.study))
            n_operations = operations.stat().st_size
            self.references[name] = Reference(ended.seconds, n_operations, self.ask(tree_of), self.ask(look), before)
        return self.references[name]

    def store_with(self, base: str, source: str, options: tuple[str, ...] = ()) -> str:
        """Return what readers see of the store after an undisturbed ingest of a state of the bars."""
        name = f"{base} {source} {options}"
        if name not in self.stores:
            self.set_up(Case(base, source, ()))
            self.succeed(("ingest", *options))
            self.stores[name] = self.ask(look)["store"]
            self.set_up(Case(base, source, ()))
        return self.stores[name]

    def ask(self, function: Callable[[Path], Any]) -> Any:
        """Return what a function says of the study, in a fork: this process starts no thread."""
        return ask(lambda: function(self.study), self.folder)


@dataclass
class Scene:
    """One round: a case laid out, and a source of chance that its number decides."""

    theatre: Theatre
    case_name: str
    random: Random
    also: set[str] = field(default_factory=set)
    """What readers may see of the store besides the state before and the one after."""
    only_contents: bool = False
    """Whether what was committed on the way rightly shows in the bytes: then what readers see counts."""
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def case(self) -> Case:
        """The command and what it is run on."""
        return CASES[self.case_name]

    @property
    def study(self) -> Path:
        """The folder of the study."""
        return self.theatre.study

    @property
    def reference(self) -> Reference:
        """What the command comes to undisturbed."""
        return self.theatre.reference(self.case_name)

    def start(self, before: Before = lambda: None) -> Child:
        """Begin the command."""
        return self.theatre.start(self.case.arguments, before)

    def run(self, before: Before = lambda: None) -> Ended:
        """Run the command to its end."""
        return self.start(before).wait()


def unmount(study: Path) -> None:
    """Take a disk away that was made for a study."""
    if study.is_mount():
        subprocess.run(["umount", "--lazy", study], check=True)


def say_how(ended: Ended) -> str:
    """Return how a child ended, in one line."""
    said = ended.err.strip().splitlines()[-3:]
    return f"code {ended.code}, signal {ended.signal}, {ended.seconds:.1f} s: {' | '.join(said)}"
