"""Weights of the reference's files in our networks: names, shapes, order of columns, and files that must not be read."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from qts.errors import ConfigError, InputError
from qts.models import load_architecture, model_names
from qts.models._architecture import Architecture, WholeFit
from qts.training.shape_search import advise
from qts.training.transplant import (
    feature_order,
    fit_into,
    from_reference,
    read_state,
    transplant_part,
    transplant_whole,
)
from tests.models.configs import minimal
from tests.models.test_golden_models import CASES

GOLDEN = Path(__file__).parents[1] / "golden/models"
MODELS: dict[str, Any] = json.loads((GOLDEN / "models.json").read_text())["models"]
N, T, F = 7, 5, 3
SIZES = {"hidden_size": 16, "num_layers": 2, "dropout": 0.0}


def built(name: str, options: dict[str, object], n_features: int = 6) -> Architecture:
    architecture = load_architecture(name)
    return architecture(architecture.Config.model_validate(options), n_features)


def network(name: str, n_features: int = F) -> Architecture:
    torch.manual_seed(3)
    return built(name, minimal(name), n_features).eval()


def reference(case: str) -> dict[str, Tensor]:
    """A file of the reference, with the weights that stand for nothing and those it holds twice."""
    state = load_file(GOLDEN / f"{case}.init.safetensors")
    recorded = next(record for name, record in MODELS.items() if name in (f"{case}_ts", f"{case}_flat"))
    for name in recorded["state_dict_keys_not_stored"]:
        twin = name.replace(".net.0.", ".conv1.").replace(".net.4.", ".conv2.")
        state[name] = state[twin].clone() if twin in state else torch.randn(recorded["state_dict"][name])
    return state


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_file_of_the_reference_gives_the_reference_s_scores(case: str, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"weights{suffix}"
    (torch.save if suffix == ".pt" else save_file)(reference(case), file)
    io = CASES[case].io()
    made = built(CASES[case].model, CASES[case].config, io["x"].shape[-1])
    done = transplant_whole(made, from_reference(type(made), read_state(file)))
    with torch.no_grad():
        np.testing.assert_allclose(made.eval()(io["x"]), io["out_eval"], rtol=0, atol=1e-5)
    assert set(done.copied) == set(made.state_dict())
    assert done.misfits == ()


def test_a_file_whose_two_copies_of_a_weight_differ_is_refused() -> None:
    state = reference("tcn")
    state["tcn.network.1.net.4.bias"] += 1
    with pytest.raises(
        ConfigError, match=r"network\.1\.conv2\.bias and tcn\.network\.1\.net\.4\.bias are one weight by two"
    ):
        from_reference(load_architecture("tcn"), state)


HELD: dict[str, Callable[[dict[str, Tensor]], object]] = {
    "bare": lambda state: state,
    "model_state_dict": lambda state: {"epoch": 3, "model_state_dict": state, "optimizer": {"state": {}}},
    "state_dict": lambda state: {"state_dict": state, "loss": 0.5},
    "model": lambda state: {"model": state},
    "module.": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "model_state_dict, module.": lambda state: {"model_state_dict": {f"module.{n}": t for n, t in state.items()}},
}


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("is_zip", [True, False])
def test_weights_are_found_wherever_a_training_script_put_them(held: str, is_zip: bool, tmp_path: Path) -> None:
    state = reference("lstm")
    torch.save(HELD[held](state), tmp_path / "w.pt", _use_new_zipfile_serialization=is_zip)
    found = read_state(tmp_path / "w.pt")
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


class Hostile:
    """Pickled, it asks whoever reads it to make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.folder,)


HOSTILE: dict[str, Callable[[object, Path], None]] = {
    "torch": torch.save,
    "legacy torch": lambda thing, file: torch.save(thing, file, _use_new_zipfile_serialization=False),
    "beside weights": lambda thing, file: torch.save({"model_state_dict": reference("gru"), "extra": thing}, file),
    "bare pickle": lambda thing, file: file.write_bytes(pickle.dumps(thing)) and None,
}


@pytest.mark.parametrize("how", HOSTILE)
def test_code_in_a_file_does_not_run(how: str, tmp_path: Path) -> None:
    HOSTILE[how](Hostile(tmp_path / "ran"), tmp_path / "w.pkl")
    with pytest.raises(InputError, match=r"more than tensors.* to run code out of it, and none was run") as caught:
        read_state(tmp_path / "w.pkl")
    assert "torch.save(network.state_dict(), FILE)" in str(caught.value.hint)
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "w.pkl", weights_only=False) if how != "bare pickle" else pickle.loads(  # noqa: S301
        (tmp_path / "w.pkl").read_bytes()
    )
    assert (tmp_path / "ran").exists()  # the file does bring code along


def test_a_whole_network_saved_as_an_object_is_refused_by_the_name_of_what_it_asks_for(tmp_path: Path) -> None:
    torch.save(nn.LSTM(F, 4), tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"more than tensors \(torch\.nn\.modules\.rnn\.LSTM\)"):
        read_state(tmp_path / "w.pt")


def half(file: Path) -> None:
    torch.save(reference("lstm"), file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def infinite(file: Path) -> None:
    torch.save({"fc_out.bias": torch.tensor([torch.inf])}, file)


DAMAGED: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "half of it": ("w.pt", half, "no torch file, or a damaged one"),
    "text": ("w.pt", lambda file: file.write_text("weights\n"), "no torch file, or a damaged one"),
    "empty": ("w.pt", lambda file: file.touch(), "no torch file, or a damaged one"),
    "arrays": ("w.npz", lambda file: np.savez(file, a=np.ones(3)), "no torch file, or a damaged one"),
    "a folder": ("w.pt", lambda file: file.mkdir(), "no file"),
    "nothing": ("w.pt", lambda file: None, "no file"),
    "a list": ("w.pt", lambda file: torch.save([torch.ones(2)], file), "holds a list, not named tensors"),
    "no weights": ("w.pt", lambda file: torch.save({"epoch": 3}, file), "holds a dict of epoch, not named tensors"),
    "bad safetensors": ("w.safetensors", lambda file: file.write_bytes(b"\0" * 20), "cannot be read as safetensors"),
    "not finite": ("w.pt", infinite, "fc_out.bias in .* has values that are not finite"),
    "complex": ("w.pt", lambda file: torch.save({"a": torch.ones(2) * 1j}, file), "no plain array of real numbers"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_file_that_is_no_file_of_weights_is_refused_and_said_to_be_what_it_is(case: str, tmp_path: Path) -> None:
    name, write, message = DAMAGED[case]
    write(tmp_path / name)
    with pytest.raises(InputError, match=message) as caught:
        read_state(tmp_path / name)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"hidden_size": 8}, "set model.hidden_size = 16"),
        ({"hidden_size": 16, "num_layers": 3}, "set model.num_layers = 2"),
        ({"hidden_size": 64, "num_layers": 1}, "set model.hidden_size = 16; set model.num_layers = 2"),
    ],
)
def test_a_misfit_names_both_shapes_and_the_keys_to_set(options: dict[str, object], advice: str) -> None:
    state = from_reference(load_architecture("lstm"), reference("lstm"))
    width = options["hidden_size"]
    with pytest.raises(ConfigError) as caught:
        transplant_whole(built("lstm", options), state, source="w.pt")
    if width != 16:
        assert f"rnn.weight_ih_l0: 64x6 in the file, {4 * int(str(width))}x6 in the network" in caught.value.message
    if options.get("num_layers") == 3:
        assert "rnn.weight_ih_l2: nothing in the file, 64x16 in the network" in caught.value.message
    assert caught.value.message.startswith("the weights of w.pt do not fit lstm: ")
    assert advise("lstm", options, 6, reference("lstm")) == advice


def test_other_features_another_cell_and_another_architecture_are_recognised() -> None:
    assert advise("lstm", {"hidden_size": 16}, F, reference("lstm")) == (
        f"it was made for 6 features and the windows have {F}: check [factors] set and select"
    )
    assert advise("alstm", {"hidden_size": 16}, 6, reference("alstm_lstm")) == 'set model.cell = "lstm"'
    assert (
        advise("lstm", {"hidden_size": 16}, 6, reference("gru")) == 'set model.name = "gru"; set model.hidden_size = 16'
    )
    one_layer = built("gats", SIZES | {"num_layers": 1}, 6).state_dict()
    assert advise("gats", {"hidden_size": 16}, 6, one_layer) == "set model.num_layers = 1; set model.dropout = 0.0"
    widths = built("stacked_lstm", {"hidden_sizes": (8, 6, 4)}, 6).state_dict()
    assert advise("stacked_lstm", {}, 6, widths) == "set model.hidden_sizes = [8, 6, 4]"
    assert "the file of another network?" in advise("lstm", {}, 6, {"stem.weight": torch.ones(2, 3, 4)})


@pytest.mark.parametrize("name", model_names())
def test_columns_in_another_order_give_the_same_scores(name: str) -> None:
    if issubclass(load_architecture(name), WholeFit):
        pytest.skip("its weights are not copied")
    ours, theirs = ("CLOSE", "OPEN", "VOLUME"), ("VOLUME", "CLOSE", "OPEN")
    trained, made = network(name), built(name, minimal(name), F).eval()
    if not made.feature_weights:
        with pytest.raises(ConfigError, match="columns in another order cannot be brought into ours"):
            transplant_whole(made, trained.state_dict(), feature_order(ours, theirs))
        return
    done = transplant_whole(made, trained.state_dict(), feature_order(ours, theirs))
    x_theirs = torch.randn(N, T, F)
    x_ours = x_theirs[..., [1, 2, 0]]
    with torch.no_grad():
        torch.testing.assert_close(made(x_ours), trained(x_theirs), rtol=0, atol=1e-6)
        assert not torch.allclose(made(x_theirs), trained(x_theirs), atol=1e-6)
    assert set(done.copied) == set(made.state_dict())


def test_features_that_pass_a_network_unweighted_cannot_be_reordered() -> None:
    """As many channels as features, and the first block of a TCN adds the features themselves to what it made of them."""
    made = built("tcn", {"n_channels": F}, F)
    with pytest.raises(ConfigError, match="columns in another order cannot be brought into ours"):
        fit_into(made, made.state_dict(), order=(1, 2, 0))


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        (("CLOSE", "OPEN"), "2 of 3 features are named; not among them: VOLUME"),
        (("CLOSE", "OPEN", "CLOSE"), "CLOSE is named 2 times"),
        (("CLOSE", "OPEN", "VOLUM"), '"VOLUM" is no feature of the windows'),
    ],
)
def test_an_order_names_every_feature_once(theirs: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        feature_order(("CLOSE", "OPEN", "VOLUME"), theirs)


def test_a_part_of_a_network_starts_another_and_the_rest_stays_as_initialised() -> None:
    base, made = built("lstm", SIZES, F), built("gats", SIZES, F)
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    done = transplant_part(made, base.state_dict(), only=["rnn"])
    assert set(done.copied) == {name for name in before if name.startswith("rnn.")}
    for name, tensor in made.state_dict().items():
        assert torch.equal(tensor, base.state_dict()[name] if name in done.copied else before[name])
    assert set(transplant_part(made, base.state_dict()).copied) == set(base.state_dict())  # the head as well
    told = "\n".join(done.lines())
    assert "copied 8 tensors: rnn.weight_ih_l0" in told
    assert "as initialised, because they were not to be had: a, " in told


def test_a_start_that_copies_nothing_is_refused() -> None:
    made = built("gats", SIZES, F)
    with pytest.raises(ConfigError, match='the network has no part "rn"') as caught:
        transplant_part(made, built("lstm", SIZES, F).state_dict(), only=["rn"])
    assert caught.value.hint == 'did you mean "rnn"?'
    with pytest.raises(ConfigError, match="no weight fits the network"):
        transplant_part(made, {"rnn.weight_ih_l0": torch.ones(4, F)}, only=["rnn"])


def test_what_did_not_fit_is_told_by_kind() -> None:
    made = built("gru", {"hidden_size": 4, "num_layers": 1}, F)
    done = fit_into(made, {"rnn.weight_ih_l0": torch.ones(12, F), "head.bias": torch.ones(2), "tail": torch.ones(())})
    assert done.copied == ("rnn.weight_ih_l0",)
    assert {m.name for m in done.missing} == {"rnn.weight_hh_l0", "rnn.bias_ih_l0", "rnn.bias_hh_l0", "head.weight"}
    assert [str(m) for m in done.mismatched] == ["head.bias: 2 in the file, 1 in the network"]
    assert [str(m) for m in done.unexpected] == ["tail: a number in the file, nothing in the network"]
