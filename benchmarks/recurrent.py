"""Times the recurrent stacks against torch.nn.GRU and torch.nn.LSTM, in one process and by turns.

    python benchmarks/recurrent.py [--rounds 60] [--threads 2]

A training step is forward, backward, clipping and Adam; scoring is a forward pass without gradients. Ratios are medians
of one round's ratio, so that what else the machine does falls on both; torch's layers run in float32 throughout.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch  # noqa: TID253 - what is timed
from torch import Tensor, nn  # noqa: TID253

from qts.models._recurrent import GRUStack, LSTMStack

OURS: dict[str, type[GRUStack] | type[LSTMStack]] = {"gru": GRUStack, "lstm": LSTMStack}
THEIRS: dict[str, type[nn.GRU] | type[nn.LSTM]] = {"gru": nn.GRU, "lstm": nn.LSTM}


class Scorer(nn.Module):
    """A stack, and a linear head on its last state."""

    def __init__(self, stack: nn.Module, hidden_size: int, *, low: bool = False) -> None:
        super().__init__()
        self.stack, self.head, self.low = stack, nn.Linear(hidden_size, 1), low

    def forward(self, x: Tensor) -> Tensor:
        """(batch, step_len, n_features) -> (batch,)"""  # noqa: D400 - a shape, not a sentence
        with torch.autocast("cpu", torch.bfloat16, enabled=self.low):
            state = self.stack.last(x) if hasattr(self.stack, "last") else self.stack(x)[0][:, -1]
            score: Tensor = self.head(state).squeeze(-1)
        return score


def training(model: Scorer, x: Tensor) -> Callable[[], None]:
    """Return a training step."""
    optimizer = torch.optim.Adam(model.parameters(), 2e-4)

    def step() -> None:
        optimizer.zero_grad()
        (model(x).float() - 1).square().mean().backward()
        nn.utils.clip_grad_value_(model.parameters(), 3.0)
        optimizer.step()

    return step


def scoring(model: Scorer, x: Tensor) -> Callable[[], None]:
    """Return a forward pass without gradients."""
    model.eval()

    def step() -> None:
        with torch.inference_mode():
            model(x)

    return step


JOBS = {"training": training, "scoring": scoring}


def seconds(job: Callable[[], None]) -> float:
    """Return how long one call takes."""
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def main() -> None:
    """Time each cell at each job and print a line for each of the three ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for key, default in (("batch", 800), ("step-len", 20), ("features", 20), ("hidden", 64), ("layers", 2)):
        parser.add_argument(f"--{key}", type=int, default=default)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    x = torch.randn(given.batch, given.step_len, given.features)
    sizes = given.features, given.hidden, given.layers
    for cell, stack in OURS.items():
        for job, of in JOBS.items():
            models = {"torch": Scorer(THEIRS[cell](*sizes, batch_first=True), given.hidden)}
            models |= {name: Scorer(stack(*sizes), given.hidden, low=name == "bf16") for name in ("fp32", "bf16")}
            steps = {name: of(model, x) for name, model in models.items()}
            rounds = [{name: seconds(step) for name, step in steps.items()} for _ in range(given.rounds + 5)][5:]
            for name in steps:
                took, ratio = (median(r[name] for r in rounds), median(r["torch"] / r[name] for r in rounds))
                least = min(r["torch"] for r in rounds) / min(r[name] for r in rounds)
                print(
                    f"{cell:<5} {job:<9} {name:<6} {took * 1e3:7.2f} ms  x {ratio:.2f}  (of the minima: x {least:.2f})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
