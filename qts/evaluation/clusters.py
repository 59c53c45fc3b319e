"""Average-linkage clustering: which of many things say the same."""

import numpy as np


def average_linkage(distance: np.ndarray, cut: float) -> np.ndarray:
    """Return (n,) cluster numbers, from 0 in the order of the clusters' first members.

    distance (n, n), symmetric. The two nearest clusters become one while the mean distance between their members is
    at most `cut`; of equals, the first.
    """
    near = np.array(distance, dtype=np.float64)
    np.fill_diagonal(near, np.inf)
    size = np.ones(len(near))
    member_of = np.arange(len(near))
    while near.size:
        first, second = divmod(int(near.argmin()), len(near))
        if not near[first, second] <= cut:
            break
        mean = (size[first] * near[first] + size[second] * near[second]) / (size[first] + size[second])
        near[first], near[:, first] = mean, mean
        near[second], near[:, second], near[first, first] = np.inf, np.inf, np.inf
        size[first] += size[second]
        member_of[member_of == second] = first
    return np.unique(member_of, return_inverse=True)[1]
