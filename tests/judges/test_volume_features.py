# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Features of volumes by a user's 3-D ResNet: which network a file is of, what it gives, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.networks.nets import resnet10, resnet18, resnet50

from mededit_monai.core.errors import InputError
from mededit_monai.judges.volume_features import volume_extractor
from mededit_monai.metrics.synthesis import volumes_fid

#: As MedicalNet has them, but narrow; kinds of shortcut as MONAI says of its weights.
KIND = {"spatial_dims": 3, "n_input_channels": 1, "conv1_t_stride": 2, "widen_factor": 0.125, "feed_forward": False}
NETWORKS = {
    "resnet10": (resnet10, {"shortcut_type": "B", "bias_downsample": False}),
    "resnet18": (resnet18, {"shortcut_type": "A", "bias_downsample": True}),
    "resnet50": (resnet50, {"shortcut_type": "B", "bias_downsample": False}),
}


def network(name: str = "resnet10", **options) -> torch.nn.Module:
    make, kind = NETWORKS[name]
    torch.manual_seed(0)
    return make(**{**KIND, **kind, **options}).eval()


def volumes(count: int = 3, level: float = 0.0) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    found = rng.random((count, 32, 32, 32)).astype(np.float32) ** (1 + level)
    found[:, :4] = 0
    return list(found)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_the_network_of_the_file(name, tmp_path):
    """Its own output for each volume with mean 0 and standard deviation 1 where there is something."""
    made = network(name)
    torch.save(made.state_dict(), tmp_path / "own.pth")
    found = volume_extractor(tmp_path / "own.pth")
    assert found.name.startswith(f"{name}_3d/") and len(found.name.split("/")[1]) == 8
    shown = np.stack(volumes())
    inside = shown[:, 4:]
    mean, deviation = (getattr(inside, word)(axis=(1, 2, 3), keepdims=True) for word in ("mean", "std"))
    shown[:, 4:] = (inside - mean) / deviation
    with torch.no_grad():
        wanted = made(torch.from_numpy(shown)[:, None]).numpy()
    assert np.allclose(found.features(volumes()).values, wanted, atol=1e-4) and wanted.std() > 0


def test_a_file_of_medicalnet(tmp_path):
    """Tensors in an entry of a checkpoint, under the names of DataParallel; a head that is not needed; other facts."""
    state = network().state_dict()
    torch.save(state, tmp_path / "plain.pth")
    nested = {f"module.{name}": tensor for name, tensor in state.items()} | {"module.conv_seg.0.weight": torch.ones(2)}
    torch.save({"epoch": 3, "state_dict": nested}, tmp_path / "nested.pth")
    torch.save(network(feed_forward=True, num_classes=2).state_dict(), tmp_path / "with_head.pth")
    one, *others = (
        volume_extractor(tmp_path / f"{name}.pth").features(volumes()).values
        for name in ("plain", "nested", "with_head")
    )
    assert np.array_equal(one, others[0]) and one.shape == others[1].shape == (3, 64)


def test_distances(tmp_path):
    torch.save(network().state_dict(), tmp_path / "own.pth")
    found = volume_extractor(tmp_path / "own.pth")
    assert volumes_fid(found, volumes(), volumes()) == pytest.approx(0, abs=1e-6)
    near, far = (volumes_fid(found, volumes(4, level), volumes(4)) for level in (0.5, 4.0))
    assert 0 < near < far


class Twice(torch.nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image * 2


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        volume_extractor(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


def test_other_files(tmp_path):
    assert "is no file; give the weights of a 3-D ResNet" in refused(tmp_path / "absent.pth")
    assert "is no file" in refused(tmp_path)
    torch.jit.script(Twice()).save(str(tmp_path / "script.pt"))
    assert "holds more than tensors" in refused(tmp_path / "script.pt")
    (tmp_path / "text.pth").write_text("weights")
    assert "cannot be read as a weight file" in refused(tmp_path / "text.pth")
    torch.save({"state_dict": {"a": 3}}, tmp_path / "number.pth")
    assert "holds no plain state dict" in refused(tmp_path / "number.pth")
    for name, options in (("flat", {"spatial_dims": 2}), ("three", {"n_input_channels": 3})):
        torch.save(network(**options).state_dict(), tmp_path / f"{name}.pth")
        assert "holds no 3-D ResNet for one channel" in refused(tmp_path / f"{name}.pth")
    state = network().state_dict()
    del state["layer3.0.conv2.weight"]
    torch.save(state, tmp_path / "part.pth")
    assert "has no 'layer3.0.conv2.weight'; wanted the weights of a 3-D ResNet" in refused(tmp_path / "part.pth")
    state = network().state_dict() | {"bn1.weight": torch.full((8,), torch.nan)}
    torch.save(state, tmp_path / "nan.pth")
    assert "NaN or infinite" in refused(tmp_path / "nan.pth")
