"""A command that gets a real signal at a moment of its work."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from qts.cli import listing, session
from qts.cli.console import LineProgress

SHOW, CONFIG = "show", "config"
"""Moments: before the result is printed; once the config is read. Any other is how a stage begins."""


class Striker:
    """Sends `numbers`, one after the other, to this very process when a moment has come for the n-th time."""

    def __init__(self, moment: str, nth: int, *numbers: int) -> None:
        self.moment = moment
        self.left = nth
        self.numbers = numbers

    def saw(self, moment: str) -> None:
        """Strike if this is the moment."""
        self.left -= moment == self.moment or (self.moment not in (SHOW, CONFIG) and moment.startswith(self.moment))
        if self.left == 0:
            self.left = -1
            for number in self.numbers:
                os.kill(os.getpid(), number)

    def lie_in_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Watch the stages, the reading of the config and what is printed."""
        stage, config = LineProgress.stage, session.Session.config

        def watched_stage(progress: LineProgress, name: str, total: int | None = None) -> None:
            stage(progress, name, total)
            self.saw(name)

        def watched_config(at_work: session.Session, *more: Any) -> Any:
            loaded = config(at_work, *more)
            self.saw(CONFIG)
            return loaded

        def before(work: Callable[..., Any]) -> Callable[..., Any]:
            def watched(*arguments: Any, **options: Any) -> Any:
                self.saw(SHOW)
                return work(*arguments, **options)

            return watched

        monkeypatch.setattr(LineProgress, "stage", watched_stage)
        monkeypatch.setattr(session.Session, "config", watched_config)
        for name in ("show", "show_rows", "show_result"):
            monkeypatch.setattr(session.Session, name, before(getattr(session.Session, name)))
        monkeypatch.setattr(listing, "print_out", before(listing.print_out))
