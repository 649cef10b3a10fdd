# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Training of the embedded judge on a simulated cohort, with MONAI's engines; the same command resumes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from ignite.metrics import Loss
from monai.data import get_track_meta, set_track_meta
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import LrScheduleHandler, MeanDice, ValidationHandler, from_engine
from monai.inferers import SimpleInferer
from monai.losses import DiceLoss
from torch.utils.data import DataLoader

from mededit_monai import __version__
from mededit_monai.core.devices import autocast_on_cpu, require_device
from mededit_monai.core.errors import InputError, raising_bad_input
from mededit_monai.core.options import options_of
from mededit_monai.core.paths import user_path
from mededit_monai.datasets.caching import training_cases
from mededit_monai.datasets.seeded import EpochBatches
from mededit_monai.diseases import DISEASES
from mededit_monai.handlers.checkpoint import BEST_WEIGHTS, TrainingCheckpoint
from mededit_monai.handlers.ema import ExponentialMovingAverage
from mededit_monai.handlers.guards import EpochSetter, FiniteLoss, GradientClipper
from mededit_monai.handlers.training_log import TrainingLog
from mededit_monai.io.atomic import write_json
from mededit_monai.io.outputs import require_outside
from mededit_monai.io.provenance import versions
from mededit_monai.judges.embedded import (
    BATCH,
    CHANNELS,
    FOLD,
    Judge,
    JudgeNetwork,
    judge_files,
    judge_name,
    judge_network,
    load_judge,
)
from mededit_monai.judges.held_out import HELD_OUT_FILES, measure_held_out, write_held_out
from mededit_monai.judges.operating_point import best_threshold, quiet_peak, set_threshold
from mededit_monai.judges.samples import (
    LoadSample,
    Single,
    augmentation,
    cohort_content,
    cohort_dims,
    cohort_disease,
    cohort_samples,
)
from mededit_monai.judges.structures import structures, unpack, without_tissue
from mededit_monai.networks.weights import load_weights, read_weights, save_weights, weights_sha256
from mededit_monai.training.folder import TRAINING_FILES, training_folder
from mededit_monai.training.moved_cases import padded_batches
from mededit_monai.training.options import TrainingOptions, learning_rate_factor, require_ema_decay, require_rate

#: What differs between judges of other structures: one row of each tensor a structure.
LAST_LAYER = ("unet.final_conv.weight", "unet.final_conv.bias")

#: Folder in the output where samples of volumes are kept as they were read.
PREPARED = "prepared"

#: How many times a part of a lesion counts as much as another structure of a volume.
LESION_WEIGHT = 4.0

#: Of the scans without lesion, every so many-th is learned from.
LESION_FREE = 3

#: Pixels added to both sides of a slice's Dice. Without them an image that lacks a structure says nothing by its Dice,
#: and a judge of strokes saw one in half of the slices without; with them ten false pixels cost as much as ten missed.
SMOOTH = 10.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class JudgeOptions:
    """
    What decides a judge's weights.

    Args:
        max_epochs: passes over the training split (each case twice: with lesion and without).
        batch_size: samples a step, None: 16 slices or 2 volumes; learning_rate: of AdamW, cosine to 0 after
            ``warmup_iterations``.
        ema_decay: of the average that is exported.
    """

    max_epochs: int = 8
    batch_size: int | None = None
    learning_rate: float = 0.002
    warmup_iterations: int = 100
    ema_decay: float = 0.995
    seed: int = 0

    def check(self) -> None:
        """Raises InputError for a value that cannot be used."""
        known = options_of(TrainingOptions)
        for name in ("max_epochs", "batch_size", "warmup_iterations", "seed"):
            value = getattr(self, name)
            if name != "batch_size" or value is not None:
                known[name].check(value)
        require_rate(self.learning_rate)
        require_ema_decay(self.ema_decay)


def train_judge(
    cohort: str | Path,
    output: str | Path,
    options: JudgeOptions | None = None,
    disease: str | None = None,
    resume: bool = True,
    progress: bool = True,
    device: str | None = None,
    init_weights: str | Path | None = None,
) -> Judge:
    """
    Train the judge of a cohort's disease and measure it on the cohort's ``testing`` split.

    Args:
        cohort: folder of ``mededit simulate`` (layout datalist): slices, or volumes, which make a judge of volumes.
        output: gets ``judge_<disease>.pt`` (of volumes ``judge_<disease>_3d.pt``; half precision) and ``.json`` (facts,
            held-out Dice), ``held_out.json``, ``held_out.md``, ``held_out.png``, ``history.csv``, ``progress.png``,
            ``checkpoint.pt``.
        resume: go on from ``checkpoint.pt``; False starts anew.
        device: ``cpu``, ``cuda``, …; None: a GPU if there is one.
        init_weights: of a judge of any disease, to start from (:func:`start_from`); a checkpoint goes before it.

    Returns:
        the judge as :func:`~mededit_monai.judges.embedded.load_judge` gives it.

    Raises:
        InputError: bad options, cohort or weights, or a checkpoint of another training.
    """
    options = options or JudgeOptions()
    options.check()
    require_device(device)
    cohort, output = user_path(cohort), user_path(output)
    require_outside(output, cohort)
    disease, dims = cohort_disease(cohort, disease), cohort_dims(cohort)
    if options.batch_size is None:
        options = replace(options, batch_size=16 if dims == 2 else 2)
    samples = {split: cohort_samples(cohort, split, disease) for split in ("training", "validation", "testing")}
    settings = {"disease": disease, "cohort": _cohort_facts(cohort), **asdict(options)}
    settings["channels"] = list(CHANNELS[dims])
    settings.pop("max_epochs")  # a training may be prolonged
    settings |= {"lesion_weight": LESION_WEIGHT} if dims == 3 else {"smooth": SMOOTH}
    settings["init_weights_sha256"] = None if init_weights is None else weights_sha256(init_weights)
    names = (*TRAINING_FILES, *HELD_OUT_FILES, *(place.name for place in judge_files(disease, output, dims)))
    inputs = [] if init_weights is None else [user_path(init_weights)]
    tracked = get_track_meta()
    with training_folder(output, names, inputs):
        set_track_meta(False)  # nothing here reads it, and it costs more than the augmentation
        torch.manual_seed(options.seed)
        try:
            with raising_bad_input():
                trainer = _trainer(
                    samples, output, options, disease, dims, settings, resume, progress, device, init_weights
                )
                # Ignite announces every exception it passes on; the sentence comes once and at the end.
                trainer.logger.addFilter(lambda record: "terminating due to exception" not in record.getMessage())
                trainer.run()
        finally:
            set_track_meta(tracked)
        return _finish(samples, output, disease, dims, settings | {"max_epochs": options.max_epochs})


def _cohort_facts(cohort: str | Path) -> dict[str, Any]:
    """What the cohort is, without paths of this machine."""
    content = cohort_content(cohort)
    return {key: content.get(key) for key in ("recipe", "simulator_version", "anatomies")}


def _trainer(
    samples: dict[str, list[dict]],
    output: Path,
    options: JudgeOptions,
    disease: str,
    dims: int,
    settings: Mapping[str, Any],
    resume: bool,
    progress: bool,
    device: str | None,
    init_weights: str | Path | None,
) -> SupervisedTrainer:
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    load, count = LoadSample(disease, dims), len(structures(disease))
    training = lesion_free_thinned(samples["training"])
    kept = {"cache": "memory"} if dims == 2 else {"cache": "disk", "cache_dir": output / PREPARED}
    train_set = training_cases(
        training, load, augmentation(disease, dims), options.seed, **kept, progress=progress  # type: ignore[arg-type]
    )
    sampler = EpochBatches(len(train_set), options.batch_size, options.seed)
    val_set = training_cases(
        samples["validation"], load, Single(), options.seed, **kept, progress=progress  # type: ignore[arg-type]
    )
    collate = None if dims == 2 else padded_batches(2 * FOLD)  # brains' boxes differ
    network = judge_network(disease, spatial_dims=dims)
    if init_weights is not None:
        start_from(network, disease, init_weights)
    network = network.to(place)
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.learning_rate, weight_decay=1e-4)
    steps = options.max_epochs * len(sampler)
    factor = learning_rate_factor("cosine", options.warmup_iterations, steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    average = ExponentialMovingAverage(network, options.ema_decay, warmup_iterations=max(1, steps // 4))
    loss = JudgeLoss(structure_weights(disease, dims), smooth=SMOOTH if dims == 2 else None)
    inferer = autocast_on_cpu(SimpleInferer(), "bf16", place)

    def prepare(batch, device=None, non_blocking=False, **_):
        image, label = batch["image"].to(device), batch["label"].to(device)
        return image, unpack(label, count)

    validator = SupervisedEvaluator(
        device=place,
        val_data_loader=DataLoader(val_set, batch_size=BATCH[dims], collate_fn=collate),
        inferer=inferer,
        network=average.network,
        prepare_batch=prepare,
        key_val_metric={"val_loss": Loss(loss, output_transform=from_engine(["pred", "label"]))},
        additional_metrics={"val_dice": MeanDice(output_transform=_binarised)},
        metric_cmp_fn=lambda new, best: new < best,
        decollate=False,
    )
    objects = {"network": network, "ema": average, "optimizer": optimizer, "lr_scheduler": schedule}
    # In this order: average, then validate, save, tell.
    handlers = [
        average,
        EpochSetter(sampler),
        FiniteLoss(),
        GradientClipper(network, 1.0),
        LrScheduleHandler(schedule, print_lr=False, epoch_level=False),
        ValidationHandler(interval=1, validator=validator, epoch_level=True),
        TrainingCheckpoint(output, objects, average.network, validator, settings, resume),
        TrainingLog(output, {**settings, "max_epochs": options.max_epochs}, validator, progress),
    ]
    return SupervisedTrainer(
        device=place,
        max_epochs=options.max_epochs,
        train_data_loader=DataLoader(train_set, batch_sampler=sampler, collate_fn=collate),
        network=network,
        optimizer=optimizer,
        loss_function=loss,
        inferer=inferer,
        prepare_batch=prepare,
        train_handlers=handlers,
        decollate=False,
    )


def lesion_free_thinned(samples: Sequence[dict], keep: int = LESION_FREE) -> list[dict]:
    """All samples with lesion and every ``keep``-th without, which say little that the others do not."""
    free = [sample for sample in samples if sample["shown"] == "lesion_free"]
    return [sample for sample in samples if sample["shown"] == "lesion"] + free[::keep]


def start_from(network: JudgeNetwork, disease: str, path: str | Path) -> list[str]:
    """
    Load the weights of a judge of any disease: all layers but the last, and of that the rows of structures with the
    same name (of volumes, a row for each voxel of a cell); the others keep their random weights. The number of rows
    says which judge it was; where several have as many, it is taken for one of this disease.

    Returns:
        the structures that were taken over.

    Raises:
        InputError: no weight file, or one of another network.
    """
    state, wanted = read_weights(path), network.state_dict()
    kinds = [names for known in (disease, *DISEASES) for names in (structures(known), without_tissue(known))]
    each = network.cells
    rows = len(state[LAST_LAYER[1]]) / each if LAST_LAYER[1] in state else 0
    source = next((names for names in kinds if len(names) == rows), ())
    body = [name for name in wanted if name not in LAST_LAYER]
    if not source or set(state) != set(wanted) or any(state[n].shape != wanted[n].shape for n in body):
        raise InputError(f"{path}: is not of an embedded judge; give judge_<disease>.pt of 'mededit judge train'.")
    names = structures(disease)
    kept = [name for name in names if name in source]
    for key in LAST_LAYER:
        last = wanted[key].clone()
        for name in kept:
            to, taken = (each * given.index(name) for given in (names, source))
            last[to : to + each] = state[key][taken : taken + each].to(last.dtype)
        state[key] = last
    network.load_state_dict(state)
    fresh = [name for name in names if name not in kept]
    logger.info("start from %s: took over %s; new: %s.", path, ", ".join(kept), ", ".join(fresh) or "nothing")
    return kept


class JudgeLoss(torch.nn.Module):
    """
    Dice of each image plus twice the binary cross-entropy, each structure for itself.

    Dice over the batch would be about large lesions only: a small one is 1 % of their pixels. MONAI's ``DiceFocalLoss``
    with γ = 0 is the same, in three times the time; of volumes it took as long as the network.

    Args:
        weights: of the structures, one each, their mean 1; None: alike.
        smooth: added to both sides of the Dice, as if so many pixels more were found rightly; None: MONAI's 1e-5.
    """

    def __init__(self, weights: torch.Tensor | None = None, smooth: float | None = None) -> None:
        super().__init__()
        smoothing = {} if smooth is None else {"smooth_nr": smooth, "smooth_dr": smooth}
        self.dice = DiceLoss(sigmoid=True, weight=weights, **smoothing)
        self.register_buffer("weights", weights)

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Of NxKxHxW[xD], ``label`` 0 or 1; a number."""
        weights = None if self.weights is None else self.weights.to(logits).view(-1, *[1] * (logits.ndim - 2))
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, label, weight=weights)
        total: torch.Tensor = self.dice(logits, label) + 2 * entropy
        return total


def structure_weights(disease: str, spatial_dims: int) -> torch.Tensor | None:
    """
    How much each structure counts in the loss: of volumes a lesion's parts ``LESION_WEIGHT`` times as much as others.

    They are less than 1 % of the voxels; told of all structures alike, a network that learned ventricles and tissue
    took tumours for nothing after 2000 steps. None: all alike.
    """
    if spatial_dims == 2:
        return None
    parts = len(DISEASES[disease].structures)
    weights = torch.ones(len(structures(disease)))
    weights[:parts] = LESION_WEIGHT
    return weights / weights.mean()


def _binarised(output: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    return (output["pred"] > 0).float(), output["label"]


def _finish(
    samples: Mapping[str, list[dict]], output: Path, disease: str, dims: int, settings: dict[str, Any]
) -> Judge:
    """Put weights and facts where :func:`load_judge` finds them, and measure."""
    weights, place = judge_files(disease, output, dims)
    network = judge_network(disease, spatial_dims=dims)
    load_weights(network, output / BEST_WEIGHTS)
    trained, peak = Judge(disease, network, BEST_WEIGHTS), {}
    if dims == 2:
        peak["peak"] = quiet_peak(trained, samples["validation"])
    else:
        settings["threshold"] = best_threshold(trained, samples["validation"])
        set_threshold(network, disease, settings["threshold"])
    save_weights(network, weights)
    digest = weights_sha256(weights)
    facts = {
        "name": judge_name(disease, digest, dims, **peak),
        "disease": disease,
        "structures": list(structures(disease)),
        "channels": settings["channels"],
        "weights_sha256": digest,
        **peak,
        "mededit_monai": __version__,
        "versions": versions(),
        "training": settings,
        "note": "Trained on simulated brains. Research use only, not a medical device.",
    }
    write_json(place, facts)
    found = measure_held_out(load_judge(disease, output, dims), samples["testing"], settings["cohort"])
    write_held_out(found, output)
    facts |= {"ceiling": found["ceiling"], "false_alarms": found["false_alarms"]}
    write_json(place, facts)
    return load_judge(disease, output, dims)
