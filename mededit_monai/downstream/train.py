# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""One training of the segmentation network, and its measure on the cases held out."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import Compose, CutMixd, MixUpd, RandFlipd
from torch.utils.data import DataLoader, Dataset, Subset

from mededit_monai.core.devices import autocast_on_cpu, takes_bf16
from mededit_monai.core.errors import InputError
from mededit_monai.datasets.seeded import EpochBatches, SeededCases
from mededit_monai.metrics.adherence import dice, iou
from mededit_monai.sampling.noise import case_seed
from mededit_monai.training.options import learning_rate_factor

#: Of the network, each level at half the resolution of the one above; of AdamW, and the share of its warm-up.
CHANNELS, LEARNING_RATE, WARMUP = (16, 32, 64, 128), 5e-3, 0.05

KEYS = ("image", "label")

#: Figures of a case that shows no lesion on this grid: there is nothing to be found.
NOTHING = {"dice": None, "iou": None}


def segmentation_network(spatial_dims: int, channels: int, seed: int) -> UNet:
    """
    MONAI's residual U-Net for background and lesion.

    Args:
        channels: of an image; seed: of its first weights, which are the same for every row.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(case_seed(seed, "weights"))
        return UNet(spatial_dims, channels, 2, CHANNELS, (2,) * (len(CHANNELS) - 1), num_res_units=2)


def train_and_measure(
    cases: Dataset,
    training: Sequence[int],
    testing: Sequence[int],
    augmentation: str | None = None,
    seed: int = 0,
    iterations: int = 200,
    batch_size: int = 4,
    device: str | torch.device = "cpu",
    tick: Callable[[int], Any] = lambda steps: None,
    synthetic: Sequence[int] = (),
) -> dict[str, Any]:
    """
    Train for a number of steps and measure.

    Args:
        cases: items of :class:`~mededit_monai.downstream.cases.LoadExample`.
        training, testing: numbers of the cases to learn from and to be measured on.
        augmentation: ``flips`` (along each axis, every second time), ``mixup``, ``cutmix`` or None.
        seed: of weights, order and augmentation.
        tick: called after every step with 1.
        synthetic: numbers of synthetic cases to be measured on too.

    Returns:
        ``cases`` and ``synthetic`` (a dictionary each: ``case_id``, ``dice``, ``iou``; None where there is no lesion),
        ``loss`` (mean of the last tenth of the steps) and ``seconds``.

    Raises:
        InputError: a loss that is not finite.
    """
    start = time.perf_counter()
    first = cases[0]["image"]
    network = segmentation_network(first.ndim - 1, len(first), seed).to(device)
    predict = _predictor(network, first.ndim - 1, device)
    loss_of = DiceCELoss(softmax=True, include_background=False)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)
    factor = learning_rate_factor("cosine", int(WARMUP * iterations), iterations)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    flips = _flips(first.ndim - 1) if augmentation == "flips" else None
    mix = _mixer(augmentation, batch_size, seed)
    losses = []
    network.train()
    learned = SeededCases(Subset(cases, list(training)), flips, seed)
    for batch in islice(_batches(learned, batch_size, seed), iterations):
        mixed = mix({key: batch[key].float() for key in KEYS})
        share = mixed["label"].to(device)
        loss = loss_of(predict(mixed["image"].to(device)), torch.cat([1 - share, share], dim=1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        tick(1)
    if not np.isfinite(losses).all():
        raise InputError(
            "the training of the segmentation network diverged (its loss is not finite); check the images."
        )
    network.eval()
    return {
        "cases": _measured(predict, cases, testing, device),
        "synthetic": _measured(predict, cases, synthetic, device),
        "loss": float(np.mean(losses[-max(1, iterations // 10) :])),
        "seconds": round(time.perf_counter() - start, 2),
    }


def _predictor(network: UNet, spatial_dims: int, device: str | torch.device) -> Callable[..., torch.Tensor]:
    """The network, of volumes in bf16 on a CPU that takes it: half the time of single precision."""
    return autocast_on_cpu(network, "bf16" if spatial_dims == 3 and takes_bf16() else None, device)


def _batches(cases: SeededCases, batch_size: int, seed: int) -> Iterator[Mapping[str, torch.Tensor]]:
    """Batches without end, shuffled anew each time that all cases had their turn."""
    order = EpochBatches(len(cases), batch_size, seed)
    loader = DataLoader(cases, batch_sampler=order)
    for epoch in count(1):
        order.set_epoch(epoch)
        yield from loader


def _flips(spatial_dims: int) -> Compose:
    return Compose([RandFlipd(keys=KEYS, prob=0.5, spatial_axis=axis) for axis in range(spatial_dims)])


def _mixer(augmentation: str | None, batch_size: int, seed: int) -> Callable[[Any], Any]:
    """What mixes the cases of a batch with one another: the labels as the images."""
    if augmentation == "mixup":
        mixer = MixUpd(KEYS, batch_size)
    elif augmentation == "cutmix":
        mixer = CutMixd(KEYS[:1], batch_size, label_keys=KEYS[1:])
    else:
        return lambda batch: batch
    mixer.set_random_state(seed=case_seed(seed, "mix") % 2**32)

    def mix(batch: Any) -> Any:
        with warnings.catch_warnings():  # MONAI's CutMix indexes with a list, which torch takes for a tuple as yet
            warnings.filterwarnings("ignore", message="Using a non-tuple sequence")
            return mixer(batch)

    return mix


@torch.no_grad()
def _measured(
    predict: Callable[..., torch.Tensor], cases: Dataset, testing: Sequence[int], device: str | torch.device
) -> list[dict[str, Any]]:
    found = []
    for case in (cases[number] for number in testing):
        predicted = predict(case["image"][None].float().to(device))[0].argmax(dim=0).cpu().numpy() > 0
        wanted = case["label"][0].numpy() > 0
        scores = {"dice": dice(predicted, wanted), "iou": iou(predicted, wanted)} if wanted.any() else dict(NOTHING)
        found.append({"case_id": case["case_id"], **scores})
    return found
