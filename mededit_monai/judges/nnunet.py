# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
nnU-Net as the judge of adherence (spec of the thesis: 2d, default settings, 200 epochs, same training split).

Everything is kept in one folder: ``raw``, ``preprocessed`` and ``results`` are nnU-Net's three, which it is told of in
processes of its own, so that nobody has to set environment variables. Each step is skipped where it is done.
Needs the extra ``nnunet``: pip install -c constraints.txt 'mededit_monai[nnunet]'.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import nibabel as nib
import numpy as np
import torch

from mededit_monai.core.devices import require_device
from mededit_monai.core.errors import InputError, require_choice, require_whole
from mededit_monai.diseases import DISEASES
from mededit_monai.io.atomic import replacing, write_bytes, write_json
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.held import held_folder
from mededit_monai.io.nifti import TUMOR_LABELS, binary_mask, label_mask, read_array, read_volume
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.judges.judge_files import nifti_slice

#: nnU-Net wants a number and a name.
DATASET_ID, DATASET = 801, "Dataset801_MedEdit"

#: Trainers by what they are for: the thesis's 200 epochs of 250 iterations (a GPU), and a short one for a CPU.
TRAINERS = {"thesis": "MedEditTrainerThesis", "short": "MedEditTrainerShort"}

#: What tells the folder of an nnU-Net from that of an embedded judge: which data set it is about.
IDENTITY_FILE = "mededit_nnunet.json"

#: What nnU-Net itself fills, as names of the root's marker, and the logs of its programs.
NNUNET_PLACES = tuple(f"{part}/{DATASET}" for part in ("raw", "preprocessed", "results"))
NNUNET_NAMES = (IDENTITY_FILE, *NNUNET_PLACES, "plan.log", "train.log", "predict.log")


def require_nnunet() -> None:
    """Raises InputError where nnU-Net is not installed."""
    if importlib.util.find_spec("nnunetv2") is None:
        raise InputError(
            "--judge nnunet: the package nnunetv2 is not installed, wanted 2.8.1; run pip install -c constraints.txt "
            "'mededit_monai[nnunet]', or use --judge embedded."
        )


@dataclass(frozen=True)
class NNUNetFolder:
    """
    Where one nnU-Net lives.

    Args:
        root: cache folder; holds one data set.
        trainer: ``thesis``, ``short``, or the name of any of nnU-Net's own.
        max_epochs, iterations, batch_size: of ``short``: epochs, iterations an epoch, and images of an iteration.
        device: ``cpu``, ``cuda``; None: a GPU if there is one.
        workers: processes of nnU-Net's preprocessing and loading.
    """

    root: Path
    trainer: str = "short"
    max_epochs: int = 20
    iterations: int = 50
    device: str | None = None
    workers: int = 1
    batch_size: int = 16

    def check(self) -> None:
        """Raises InputError for a value that cannot be used."""
        require_whole("max_epochs", self.max_epochs, 1, most=10**6)
        require_whole("iterations", self.iterations, 1, most=10**6)
        require_whole("workers", self.workers, 1, most=256)
        require_whole("batch_size", self.batch_size, 1, most=10**6)
        if re.fullmatch(r"[A-Za-z_]\w*", self.trainer) is None:
            raise InputError(f"--trainer: got {self.trainer!r}, wanted {', '.join(TRAINERS)} or a class of nnU-Net's.")
        require_device(self.device)

    def reserve(self) -> None:
        """
        Know the folder's files as ours before anything is written.

        Raises:
            InputError: another data set or model of nnU-Net's in the way, or a file that is not ours.
        """
        OutputFolder(self.root).reserve(NNUNET_NAMES)

    @property
    def trainer_class(self) -> str:
        """Class name of the trainer."""
        return TRAINERS.get(self.trainer, self.trainer)

    @property
    def results(self) -> Path:
        """Folder of the trained model (all folds)."""
        return self.root / "results" / DATASET / f"{self.trainer_class}__nnUNetPlans__2d"

    def environment(self, verb: str) -> dict[str, str]:
        """What nnU-Net's processes are told."""
        loaders = self.workers if self.workers > 1 else 0  # 0: the training loads for itself; planning wants threads
        folders = {name: str((self.root / name).resolve()) for name in ("raw", "preprocessed", "results")}
        return os.environ | {
            **{f"nnUNet_{name}": folder for name, folder in folders.items()},
            "nnUNet_extTrainer": str(Path(__file__).parent / "nnunet_trainers"),
            "nnUNet_n_proc_DA": str(max(1, loaders) if verb == "plan" else loaders),
            "nnUNet_def_n_proc": str(max(1, self.workers)),
            "nnUNet_compile": "f",
            "MEDEDIT_NNUNET_EPOCHS": str(self.max_epochs),
            "MEDEDIT_NNUNET_ITERATIONS": str(self.iterations),
            "MEDEDIT_NNUNET_BATCH": str(self.batch_size),
        }

    def run(self, verb: str, *words: str) -> None:
        """
        Run a program of nnU-Net; its output goes to ``<verb>.log``.

        Raises:
            InputError: it failed; names the log and its last line.
        """
        require_nnunet()
        OutputFolder(self.root).reserve([f"{verb}.log"])
        log = self.root / f"{verb}.log"
        command = [sys.executable, "-m", "mededit_monai.judges.nnunet_run", verb, *words]
        env = self.environment(verb)
        with open(log, "wb") as stream:
            code = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, env=env).returncode
        if code:
            last = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()][-1:]
            raise InputError(f"nnU-Net's {verb} ended with code {code} ({' '.join(last)[:200]}); read {log}.")


def export_datalist(datalist: str | Path, folder: NNUNetFolder, disease: str) -> Path:
    """
    Write the lists ``training`` and ``validation`` as nnU-Net's raw data set; slices as (x, y, 1).

    Args:
        datalist: cases with ``image`` and ``pathology`` (tumours: ``regions``), 2-D or 3-D NIfTI.

    Returns:
        the data set's folder.

    Raises:
        InputError: a case without image or mask, or a folder that holds another data set.
    """
    require_choice("disease", disease, tuple(DISEASES))
    source = {name: read_datalist(datalist, name) for name in ("training", "validation")}
    identity = {"disease": disease, "datalist": hashlib.sha256(Path(datalist).read_bytes()).hexdigest()}
    place, raw = folder.root / IDENTITY_FILE, folder.root / "raw" / DATASET
    if place.is_file():
        found = read_identity(folder.root)
        if found != identity:
            raise InputError(
                f"{place}: is about another datalist or disease ({found['disease']}, {found['datalist'][:12]}, wanted "
                f"{disease}, {identity['datalist'][:12]}); choose another folder with -o."
            )
        return raw
    folder.reserve()
    for part in ("imagesTr", "labelsTr"):
        (raw / part).mkdir(parents=True, exist_ok=True)
    for case in (case for cases in source.values() for case in cases):
        _export_case(case, raw, disease, datalist)
    content = {
        "channel_names": {"0": DISEASES[disease].channel_name},
        "labels": DISEASES[disease].label_numbers,
        "numTraining": sum(map(len, source.values())),
        "file_ending": ".nii.gz",
    }
    write_json(raw / "dataset.json", content)
    split = {key: [c["case_id"] for c in source[name]] for key, name in (("train", "training"), ("val", "validation"))}
    write_json(raw / "splits_final.json", [split])
    write_json(place, identity)
    return raw


def read_identity(root: Path) -> dict[str, str]:
    """
    ``disease`` and ``datalist`` (SHA-256) of the data set in a folder.

    Raises:
        InputError: none there, or a file that cannot be read.
    """
    place = root / IDENTITY_FILE
    if not place.is_file():
        raise InputError(f"{place}: not found; give the folder that 'mededit judge train --judge nnunet' wrote.")
    try:
        found = json.loads(place.read_bytes())
        return {key: str(found[key]) for key in ("disease", "datalist")}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{place}: is damaged; train the judge again in another folder.") from error


def _export_case(case: Mapping[str, Any], raw: Path, disease: str, datalist: str | Path) -> None:
    key = DISEASES[disease].mask_key
    if not case.get("image") or not case.get(key):
        raise InputError(f"{datalist}: case '{case['case_id']}' has no 'image' or no '{key}'; nnU-Net needs both.")
    image, mask = read_volume(case["image"]), read_volume(case[key])
    if not mask.data.any():
        labels = np.zeros(mask.data.shape, np.uint8)
    else:
        labels = label_mask(mask) if DISEASES[disease].labels else binary_mask(mask).astype(np.uint8)
    if mask.data.shape != image.data.shape:
        raise InputError(f"{mask.path}: has shape {mask.data.shape}, wanted {image.data.shape} as {image.path}.")
    affine = slice_affine(image.affine) if image.data.shape[2] == 1 else image.affine
    # Through RAS, so that all cases lie alike whatever the files' orientation.
    for data, place in (
        (image.data, raw / "imagesTr" / f"{case['case_id']}_0000.nii.gz"),
        (labels, raw / "labelsTr" / f"{case['case_id']}.nii.gz"),
    ):
        with replacing(place) as unfinished:
            nib.save(nib.Nifti1Image(np.ascontiguousarray(data), affine), unfinished)


def slice_affine(affine: np.ndarray) -> np.ndarray:
    """
    A slice's affine with a third axis of 999 mm, as nnU-Net itself gives flat pictures.

    Its planner takes the axis with the largest spacing for the one across slices. A slice of 1 mm with pixels of 1.6 or
    1.8 mm would be turned on its side, and the network planned for patches one pixel wide.
    """
    result = np.array(affine, dtype=np.float64)
    result[:3, 2] *= 999 / np.linalg.norm(result[:3, 2])
    return result


def plan_and_preprocess(folder: NNUNetFolder) -> None:
    """Plan the 2-D configuration and prepare the data; nothing to do where that is done."""
    prepared = folder.root / "preprocessed" / DATASET
    done = prepared / "mededit_done"
    if done.is_file():
        return
    np_ = str(max(1, folder.workers))
    folder.run("plan", "-d", str(DATASET_ID), "-c", "2d", "-np", np_, "-npfp", np_, "--no_pbar")
    write_bytes(prepared / "splits_final.json", (folder.root / "raw" / DATASET / "splits_final.json").read_bytes())
    write_bytes(done, b"")


def train_nnunet(datalist: str | Path, folder: NNUNetFolder, disease: str) -> Path:
    """
    Export, plan, prepare and train, or whatever of these is not done yet.

    Returns:
        the trained model's folder (``fold_0/checkpoint_final.pth``, ``fold_0/validation/summary.json``).

    Raises:
        InputError: nnU-Net is missing or failed, or the folder holds another data set.
    """
    require_nnunet()
    folder.check()
    with held_folder(folder.root, NNUNET_NAMES, sealed=False):
        export_datalist(datalist, folder, disease)
        plan_and_preprocess(folder)
        fold = folder.results / "fold_0"
        if not (fold / "validation" / "summary.json").is_file():
            words = [str(DATASET_ID), "2d", "0", "-tr", folder.trainer_class, "-device", _device(folder)]
            resumable = any((fold / f"checkpoint_{name}.pth").is_file() for name in ("latest", "final"))
            folder.run("train", *words, *(["--c"] if resumable else []))
    return folder.results


def validation_dice(model: Path) -> tuple[Path, float]:
    """
    nnU-Net's own summary of its validation list, and the mean Dice in it.

    Raises:
        InputError: the file is not there, or damaged.
    """
    place = model / "fold_0" / "validation" / "summary.json"
    try:
        return place, float(json.loads(place.read_bytes())["foreground_mean"]["Dice"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{place}: is damaged; remove it, and run the same command again.") from error


def predict_nnunet(images: Path, output: Path, folder: NNUNetFolder) -> None:
    """
    Segment a folder of ``NAME_0000.nii.gz``; writes ``NAME.nii.gz`` (labels), skipping those that are there.

    Raises:
        InputError: nothing trained in the folder.
    """
    if not (folder.results / "fold_0" / "checkpoint_final.pth").is_file():
        raise InputError(
            f"{folder.results}: holds no trained model; run 'mededit judge train --judge nnunet' with -o {folder.root}."
        )
    folder.check()
    output.mkdir(parents=True, exist_ok=True)
    words = ["-i", str(images.resolve()), "-o", str(output.resolve()), "-d", str(DATASET_ID), "-c", "2d", "-f", "0"]
    words += ["-tr", folder.trainer_class, "-device", _device(folder), "-npp", "0", "-nps", "0"]
    folder.run("predict", *words, "--disable_progress_bar", "--continue_prediction")


def _device(folder: NNUNetFolder) -> str:
    return folder.device or ("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class NNUNetJudge:
    """A trained nnU-Net with the embedded judge's ``segment``; it knows lesions and regions, not ventricles."""

    folder: NNUNetFolder

    #: Looked at at a time: nnU-Net starts a process for each.
    portion: ClassVar[int] = 10_000
    spatial_dims: ClassVar[int] = 2

    @property
    def structures(self) -> tuple[str, ...]:
        """The parts of a lesion."""
        return DISEASES[self.disease].structures

    @property
    def disease(self) -> str:
        """Of the data set it was trained on."""
        return read_identity(self.folder.root)["disease"]

    @property
    def name(self) -> str:
        """Trainer and data set's hash."""
        return f"nnunet_2d_{self.folder.trainer_class}_{read_identity(self.folder.root)['datalist'][:8]}"

    def segment(self, images: np.ndarray | torch.Tensor, pixel_mm: float | None = None) -> dict[str, np.ndarray]:
        """
        Find the lesion.

        Args:
            images: NxHxW in [0, 1], scan x brain, RAS.
            pixel_mm: side of a pixel; None: of the disease's model grid.

        Returns:
            ``pathology`` (bool NxHxW), and for tumours ``regions`` (uint8).
        """
        disease = self.disease
        step = pixel_mm or DISEASES[disease].pixel_mm
        batch = np.asarray(images, dtype=np.float32)
        batch = batch[None] if batch.ndim == 2 else batch
        with tempfile.TemporaryDirectory() as scratch:
            source, target = Path(scratch) / "in", Path(scratch) / "out"
            source.mkdir()
            for k, plane in enumerate(batch):
                nifti_slice(plane, np.diag([step, step, 999.0, 1.0]), source / f"case{k:05d}_0000.nii.gz")
            predict_nnunet(source, target, self.folder)
            labels = _read_labels(target, len(batch))
        masks = {"pathology": labels > 0}
        return masks | ({"regions": labels} if DISEASES[disease].labels else {})


def _read_labels(folder: Path, count: int) -> np.ndarray:
    paths: Sequence[Path] = [folder / f"case{k:05d}.nii.gz" for k in range(count)]
    planes = [read_array(path)[:, :, 0] for path in paths]
    values = set(np.unique(planes).tolist())
    if not values <= set(TUMOR_LABELS[0]):
        raise RuntimeError(f"nnU-Net gave the labels {sorted(values)}; wanted 0 … 3.")
    return np.stack(planes).astype(np.uint8)
