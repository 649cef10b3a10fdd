# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from mededit_monai.core.errors import InputError
from mededit_monai.networks import load_weights, read_weights, save_weights, weights_sha256


def network(seed: int = 0, width: int = 3) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(2, width), torch.nn.BatchNorm1d(width))


# --- round trip ------------------------------------------------------------------------------------------------------


def test_round_trip_is_half_precision(tmp_path):
    saved = network()
    saved[1].num_batches_tracked.fill_(100_003)  # not a number of half precision
    save_weights(saved, tmp_path / "new" / "model.pt")
    loaded = load_weights(network(seed=1), tmp_path / "new" / "model.pt")
    for name, value in saved.state_dict().items():
        found = loaded.state_dict()[name]
        assert found.dtype == value.dtype, name
        assert torch.equal(found, value.half().float() if value.is_floating_point() else value), name
    assert not torch.equal(loaded[0].weight, saved[0].weight)  # rounded
    assert torch.allclose(loaded[0].weight, saved[0].weight, rtol=2**-11)


def test_file_is_a_plain_state_dict(tmp_path):
    save_weights(network(), tmp_path / "model.pt")
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert list(state) == list(network().state_dict())
    assert {k: v.dtype for k, v in state.items() if v.dtype != torch.float16} == {"1.num_batches_tracked": torch.int64}
    assert not any(v.requires_grad for v in state.values())


def test_saving_leaves_the_network_as_it_is(tmp_path):
    saved, untouched = network(), network()
    save_weights(saved, tmp_path / "model.pt")
    assert all(torch.equal(a, b) for a, b in zip(saved.state_dict().values(), untouched.state_dict().values()))
    assert saved[0].weight.dtype == torch.float32


@pytest.mark.parametrize("before", [True, False])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, before):
    path = tmp_path / "model.pt"
    if before:
        save_weights(network(0), path)
        old = path.read_bytes()

    def interrupted(state, stream):
        stream.write(b"half of it")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", interrupted)
        with pytest.raises(InputError, match=r"model.pt: cannot be written \(No space left on device\); make room"):
            save_weights(network(1), path)
    assert path.read_bytes() == old if before else not path.exists()
    assert list(tmp_path.iterdir()) == ([path] if before else [])
    save_weights(network(1), path)
    assert torch.equal(load_weights(network(0), path)[0].weight, network(1)[0].weight.half().float())


def test_a_killed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    save_weights(network(0), path)
    old = path.read_bytes()

    def killed(state, stream):
        stream.write(b"half of it")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            save_weights(network(1), path)
    assert path.read_bytes() == old
    save_weights(network(1), path)  # what was left behind is no obstacle
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() != old


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        InputError, match=r"model.pt: cannot be written \(.*\); make room or choose another --output_dir"
    ):
        save_weights(network(), tmp_path / "file" / "model.pt")


# --- files that cannot be used ---------------------------------------------------------------------------------------


def test_reading_alone_gives_the_tensors_as_stored(tmp_path):
    save_weights(network(), tmp_path / "model.pt")
    state = read_weights(tmp_path / "model.pt")
    assert torch.equal(state["0.weight"], network()[0].weight.half()) and "1.running_mean" in state


def refused(path, words: str) -> None:
    target = network(seed=9)
    before = {k: v.clone() for k, v in target.state_dict().items()}
    with pytest.raises(InputError, match=words) as caught:
        load_weights(target, path)
    assert str(caught.value).startswith(f"{path}: ") and str(caught.value).endswith(".")
    assert all(torch.equal(v, before[k]) for k, v in target.state_dict().items())


def test_missing_file(tmp_path):
    refused(tmp_path / "none.pt", "weights not found; train the bundle or give another file with --weights")
    with pytest.raises(InputError, match="none.pt: weights not found"):
        weights_sha256(tmp_path / "none.pt")


def test_truncated_file(tmp_path):
    path = tmp_path / "model.pt"
    save_weights(network(), path)
    path.write_bytes(path.read_bytes()[:-200])
    refused(path, r"cannot be read as a weight file \(is truncated\); save a plain state dict")


def test_file_with_code_in_it(tmp_path):
    torch.save(network(), tmp_path / "model.pt")
    refused(tmp_path / "model.pt", r"cannot be read as a weight file \(holds more than tensors\)")


@pytest.mark.parametrize("content", [{"network": {"a": torch.zeros(1)}}, [torch.zeros(1)], torch.zeros(3), {"a": 3}])
def test_file_without_a_plain_state_dict(tmp_path, content):
    torch.save(content, tmp_path / "model.pt")
    refused(tmp_path / "model.pt", "holds no plain state dict; save network.state_dict")


def test_weights_of_another_network(tmp_path):
    path, state = tmp_path / "model.pt", network().state_dict()
    torch.save({k: v for k, v in state.items() if k != "0.bias"}, path)
    refused(path, "does not fit the network: '0.bias' is missing from the file")
    torch.save({**state, "2.extra": torch.zeros(1)}, path)
    refused(path, "does not fit the network: '2.extra' is not in the network")
    save_weights(network(width=4), path)
    refused(path, r"'0.weight' has shape \(4, 2\), wanted \(3, 2\); use weights trained with this config")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_no_numbers(tmp_path, value):
    state = network().state_dict()
    state["0.bias"][1] = value
    torch.save(state, tmp_path / "model.pt")
    refused(tmp_path / "model.pt", "'0.bias' holds NaN or infinite values, wanted finite numbers")


def test_a_flipped_bit_is_seen(tmp_path):
    """torch reads what it finds; the archive's checksums know better."""
    path = tmp_path / "model.pt"
    save_weights(network(), path)
    raw, wanted = bytearray(path.read_bytes()), network()[0].weight.half().detach().numpy().tobytes()
    raw[raw.index(wanted)] ^= 1
    path.write_bytes(raw)
    assert torch.isfinite(torch.load(path, weights_only=True)["0.weight"]).all()
    refused(path, r"is damaged \(checksum of .*\); copy it again")


def test_a_folder_and_a_home(tmp_path, monkeypatch):
    refused(tmp_path, "is a folder, wanted a weight file; give the file in it")
    monkeypatch.setenv("HOME", str(tmp_path))
    save_weights(network(), tmp_path / "model.pt")
    assert weights_sha256("~/model.pt") == weights_sha256(tmp_path / "model.pt")
    assert list(read_weights("~/model.pt")) == list(network().state_dict())


def test_saving_writes_through_no_link_and_over_no_other_file(tmp_path):
    for name in ("model.pt.tmp", ".model.pt"):
        (tmp_path / name).write_text("mine")
    save_weights(network(), tmp_path / "model.pt")
    assert all((tmp_path / name).read_text() == "mine" for name in ("model.pt.tmp", ".model.pt"))


# --- hash -------------------------------------------------------------------------------------------------------------


def test_hash_is_that_of_the_bytes(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"abc")  # the test vector of FIPS 180-2
    wanted = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert weights_sha256(tmp_path / "model.pt") == wanted
