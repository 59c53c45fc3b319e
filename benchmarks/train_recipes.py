"""RECIPES: the architectures of train.py, with the sizes of pyqlib's benchmarks, as each side calls them."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """One architecture, as each side calls it."""

    model: dict[str, Any]
    """Keys of qts's [model]."""
    train: dict[str, Any]
    """Keys of qts's [train]."""
    peer: tuple[str, str]
    """pyqlib's module and class."""
    options: dict[str, Any]
    """What pyqlib's class is given."""


def _recurrent(peer: tuple[str, str], lr: float) -> Recipe:
    sizes = {"hidden_size": 64, "num_layers": 2, "dropout": 0.0}
    train = {"lr": lr, "batch_size": 800}
    return Recipe(sizes, train, peer, {"d_feat": 20, **sizes, **train})


def _attentive(peer: tuple[str, str]) -> Recipe:
    sizes = {"d_model": 64, "num_layers": 2, "dropout": 0.0}
    train = {"lr": 1e-4, "batch_size": 8192}
    return Recipe(
        {**sizes, "n_heads": 2, "feedforward": 2048},
        {**train, "weight_decay": 1e-3},
        peer,
        {"d_feat": 20, **sizes, "nhead": 2, **train, "reg": 1e-3},
    )


_TCN_TRAIN = {"lr": 1e-4, "batch_size": 2000}
_GATS = {"hidden_size": 64, "num_layers": 2, "dropout": 0.7}
_KRNN_TRAIN = {"lr": 1e-3, "batch_size": 2000}
RECIPES = {
    "gru": _recurrent(("pytorch_gru_ts", "GRU"), 2e-4),
    "lstm": _recurrent(("pytorch_lstm_ts", "LSTM"), 1e-3),
    "alstm": _recurrent(("pytorch_alstm_ts", "ALSTM"), 1e-3),
    "krnn": Recipe(
        {"n_channels": 8, "kernel_size": 3, "hidden_size": 8, "n_rnns": 2, "num_layers": 2},
        _KRNN_TRAIN,
        ("pytorch_krnn", "KRNN"),
        {
            "fea_dim": 20,
            "cnn_dim": 8,
            "cnn_kernel_size": 3,
            "rnn_dim": 8,
            "rnn_dups": 2,
            "rnn_layers": 2,
            **_KRNN_TRAIN,
        },
    ),
    "tcn": Recipe(
        {"n_channels": 32, "kernel_size": 7, "num_layers": 5, "dropout": 0.5},
        _TCN_TRAIN,
        ("pytorch_tcn_ts", "TCN"),
        {"d_feat": 20, "n_chans": 32, "kernel_size": 7, "num_layers": 5, "dropout": 0.5, **_TCN_TRAIN},
    ),
    "gats": Recipe(
        {**_GATS, "cell": "lstm"},
        {"lr": 1e-4},
        ("pytorch_gats_ts", "GATs"),
        {"d_feat": 20, **_GATS, "lr": 1e-4, "base_model": "LSTM"},
    ),
    "transformer": _attentive(("pytorch_transformer_ts", "TransformerModel")),
    "localformer": _attentive(("pytorch_localformer_ts", "LocalformerModel")),
}
FLAT = {"krnn"}
"""What pyqlib has only for windows laid out as one row; it takes no loader processes."""
