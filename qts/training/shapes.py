"""The look at a network before it is trained: it must turn windows into one score each."""

import torch

from qts.errors import ConfigError
from qts.models._architecture import Architecture


def check_shapes(network: Architecture, n_features: int, step_len: int) -> None:
    """Score windows of zeros, several and one; raises ConfigError if the network gives anything but a score each."""
    was_training = network.training
    network.eval()
    place = next((p.device for p in network.parameters()), torch.device("cpu"))
    with torch.no_grad():
        for n_samples in (3, 1):
            found = network(torch.zeros(n_samples, step_len, n_features, device=place))
            if not isinstance(found, torch.Tensor) or found.shape != (n_samples,):
                gave = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
                message = (
                    f"the model gives {gave} for windows of {(n_samples, step_len, n_features)}, not ({n_samples},)"
                )
                raise ConfigError(message, where="[model]", hint="forward must return one score a window")
    network.train(was_training)
