"""What attention over the steps of a window comes to: the last state beside what was attended to."""

import torch
from torch import Tensor


def last_and_attended(states: Tensor, weights: Tensor) -> Tensor:
    """(batch, step_len, hidden_size), (batch, step_len) -> (batch, 2 * hidden_size), the last state first"""  # noqa: D400
    attended = torch.einsum("nt,nth->nh", weights, states)
    return torch.cat((states[:, -1], attended), dim=-1)
