"""What each training sample counts for: given weights, and a half-life by age."""

import numpy as np

from qts.errors import DataCheckError


def make_weights(day: np.ndarray, given: np.ndarray | None, half_life_days: float | None) -> np.ndarray:
    """Return (n,) float32 weights of mean 1: the given ones, halved for every half-life before the newest day.

    day (n,) int, positions in the calendar; given (n,) or None. Raises DataCheckError if a given weight is missing,
    infinite or negative, or if nothing is left.
    """
    weight = np.ones(len(day)) if given is None else _checked(given, len(day))
    if half_life_days is not None and len(day):
        weight = weight * 0.5 ** ((day.max() - day) / half_life_days)
    largest = weight.max(initial=0.0)
    if not largest:
        raise DataCheckError(
            "every sample of the train segment weighs 0", hint="check [train] sample_weight and half_life_days"
        )
    weight = weight / largest  # their sum may not be a float
    return (weight / weight.mean()).astype(np.float32)


def _checked(given: np.ndarray, n_samples: int) -> np.ndarray:
    """Return the given weights in 64 bits, of which each must be a number from 0 on."""
    if given.shape != (n_samples,):
        raise ValueError(f"weights of shape {given.shape} for {n_samples} samples")
    weight = given.astype(np.float64)
    for refused, said in ((np.isnan(weight), "missing"), (np.isinf(weight), "infinite"), (weight < 0, "negative")):
        if refused.any():
            first = int(refused.argmax())
            raise DataCheckError(
                f"{np.count_nonzero(refused)} of {n_samples} sample weights are {said}, the first at sample {first}",
                hint="let [train] sample_weight be a number from 0 on for every sample: If(Ge(w, 0), w, 0)",
            )
    return weight
