# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Held-out masks synthesized and measured against the real volumes that they are of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from tqdm import tqdm

from mededit_monai.core.errors import InputError, reporting_bad_input
from mededit_monai.core.paths import user_path
from mededit_monai.datasets.evaluation import group_of
from mededit_monai.diseases.modalities import TUMOR_LABELS
from mededit_monai.evaluation.write import csv_text
from mededit_monai.io.atomic import json_bytes
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.held import held_folder
from mededit_monai.io.nifti import read_array
from mededit_monai.io.provenance import DISCLAIMER, versions
from mededit_monai.judges.features import Extractor
from mededit_monai.judges.volume_features import VolumeExtractor
from mededit_monai.metrics.statistics import bootstrap
from mededit_monai.metrics.synthesis import (
    FEWEST,
    diversity,
    mean_squared_error,
    mmd,
    ms_ssim,
    part_contrast,
    planes_fid,
    shared_information,
    vessel_continuity,
    volumes_fid,
)
from mededit_monai.reports.plain_text import markdown_table
from mededit_monai.sampling.noise import case_seed
from mededit_monai.space.intensity import to_unit_range
from mededit_monai.synthesis.labels import told_of
from mededit_monai.synthesis.sampler import MaskToVolume
from mededit_monai.synthesis.writer import save_volume_preview

#: Files of an evaluation, and how many cases are shown.
FILES, SHOWN = ("cases.csv", "summary.json", "summary.md"), 3

logger = logging.getLogger(__name__)

#: What the figures mean, for people.
MEANING = {
    "mse": "mean squared error against the real volume of the mask; two real heads differ too",
    "ms_ssim": "MS-SSIM with it",
    "contrast": "mean brightness of a part of the tumour minus that of the brain around, synthetic and real, of heads "
    f"with {FEWEST} voxels of it or more",
    "information": "mutual information between modalities, synthetic and real",
    "vessel_share": "share of the brain outside the tumour that is brighter on t1ce than on t1, synthetic and real",
    "vessel_longest": "extent of the longest vessel over the brain's, synthetic and real",
}


def evaluation_heads(datalist: str | Path, split: str, modalities: Sequence[str], limit: int | None) -> list[dict]:
    """
    The cases of a split.

    Raises:
        InputError: no list, or a case without a modality or its label.
    """
    cases = read_datalist(datalist, split)[:limit]
    for case in cases:
        for key in (*modalities, "label"):
            if not case.get(key) or not Path(case[key]).is_file():
                raise InputError(f"{datalist}: case '{case['case_id']}' has no file '{key}'; evaluation needs it.")
    if len(cases) < 2:
        raise InputError(f"{datalist}: has {len(cases)} cases under '{split}', wanted at least two to compare sets.")
    return cases


def measure_head(made: np.ndarray, real: np.ndarray, labels: np.ndarray, modalities: Sequence[str]) -> dict[str, float]:
    """
    Figures of one head.

    Args:
        made, real: MxXxYxZ in [0, 1]; labels: uint8.
    """
    found: dict[str, float] = {}
    for name, one, other in zip(modalities, made, real):
        found[f"mse_{name}"], found[f"ms_ssim_{name}"] = mean_squared_error(one, other), ms_ssim(one, other)
        for part, value in TUMOR_LABELS.items():
            for ending, volume in (("", one), ("_real", other)):
                found[f"contrast_{name}_{part}{ending}"] = part_contrast(volume, labels, value)
    for a, b in combinations(range(len(modalities)), 2):
        pair = f"{modalities[a]}_{modalities[b]}"
        found[f"information_{pair}"] = shared_information(made[a], made[b], labels > 0)
        found[f"information_{pair}_real"] = shared_information(real[a], real[b], labels > 0)
    if {"t1", "t1ce"} <= set(modalities):
        plain, enhanced = (list(modalities).index(name) for name in ("t1", "t1ce"))
        for ending, volume in (("", made), ("_real", real)):
            seen = vessel_continuity(volume[enhanced], volume[plain], labels)
            found |= {f"vessel_share{ending}": seen["share"], f"vessel_longest{ending}": seen["longest"]}
    return found


def measure_sets(
    made: Sequence[np.ndarray],
    real: Sequence[np.ndarray],
    modalities: Sequence[str],
    planes: Extractor | None,
    volumes: VolumeExtractor | None = None,
    groups: Sequence[Hashable] | None = None,
) -> dict[str, dict[str, float]]:
    """
    Figures of the whole sets by modality; the k-th made volume is of the k-th real one's mask. Two halves of the real
    set against each other are the floor; a FID falls with the number of volumes, so the one to be held against the
    floor is that of as many (``_halves``): half of the made set against the real one's other half, both ways.

    Args:
        planes, volumes: whose features FIDs are of; None: no such FID.
        groups: whose heads they are; pairs of one person's count in no MMD. None: each is another person's.
    """
    found = {}
    half = len(real) // 2
    people = list(range(len(real))) if groups is None else list(groups)
    halves = (people[:half], people[half : 2 * half])
    if min(len(set(part)) for part in (people, *halves)) < 2:  # of one person; all that is left are the heads
        people = list(range(len(real)))
        halves = (people[:half], people[half : 2 * half])
    fids: dict[str, Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], float]] = {}
    if planes is not None:
        fids["fid_3d"] = lambda one, two: planes_fid(planes, one, two)["mean"]
    if volumes is not None:
        fids["fid_volumes"] = lambda one, two: volumes_fid(volumes, one, two)
    for k, name in enumerate(modalities):
        ours, theirs = [one[k] for one in made], [one[k] for one in real]
        scores = {
            "diversity": diversity(ours),
            "diversity_real": diversity(theirs),
            "mmd": mmd(ours, theirs, (people, people)),
        }
        if half >= 2:
            scores["mmd_floor"] = mmd(theirs[:half], theirs[half : 2 * half], halves)
        for key, fid in fids.items():
            scores[key] = fid(ours, theirs)
            if half >= 2:
                scores[f"{key}_floor"] = fid(theirs[:half], theirs[half : 2 * half])
                ways = (fid(ours[:half], theirs[half : 2 * half]), fid(ours[half : 2 * half], theirs[:half]))
                scores[f"{key}_halves"] = float(np.mean(ways))
        found[name] = scores
    return found


def run_synthesis_evaluation(parser: ConfigParser) -> None:
    """
    What ``evaluate.yaml`` runs: synthesize the masks of a cohort's split, measure, and write ``cases.csv``,
    ``summary.json``, ``summary.md`` and pictures of the first cases.

    Raises:
        InputError: bad input, in one sentence.
    """
    with reporting_bad_input():
        get = parser.get_parsed_content
        options, modalities, condition = get("settings"), list(get("modalities")), get("condition")
        datalist = options.datalist or (options.dataset_dir and str(user_path(options.dataset_dir) / "datalist.json"))
        if not datalist:
            raise InputError("--dataset_dir: is missing; give a cohort of 'mededit simulate --modalities'.")
        if options.cluster is not None:
            raise InputError(f"--cluster: got '{options.cluster}', but an evaluation works by itself; leave it out.")
        # Before anything is synthesized, so that a file that cannot be used is said at once.
        planes, volumes = get("planes_extractor"), get("volumes_extractor")
        cases = evaluation_heads(datalist, get("split"), modalities, get("limit"))
        output = user_path(options.output_dir)
        pictures = [f"{case['case_id']}_{kind}.png" for case in cases[:SHOWN] for kind in ("synthetic", "real")]
        with held_folder(output, [*FILES, *pictures], [datalist]) as folder:
            network, inferer, device = get("network").eval(), get("inferer"), get("device")
            inferer.progress = False  # one bar is enough
            lines, made, real = [], [], []
            wanted = (get("side"), get("side"), get("depth"))
            for case in tqdm(cases, desc="synthesizing", unit="volume", disable=not options.progress):
                labels, truth = _read(case, modalities)
                if labels.shape != wanted:
                    raise InputError(
                        f"{case['label']}: has the size {labels.shape}, wanted {wanted}, the network's; give a cohort "
                        f"of that --side, or the --config of another network."
                    )
                volume = synthesized(network, inferer, labels, condition, case["case_id"], options.seed, device)
                names = {"case_id": case["case_id"], "group": group_of(case)}
                lines.append(names | measure_head(volume, truth, labels, modalities))
                made.append(volume)
                real.append(truth)
                if len(lines) <= SHOWN:
                    for kind, shown in (("synthetic", volume), ("real", truth)):
                        place = output / f"{case['case_id']}_{kind}.png"
                        save_volume_preview(dict(zip(modalities, shown)), labels, (1.0, 1.0, 1.0), place)
            content = {
                "synthetic": True,
                "note": DISCLAIMER,
                "request": get("request"),
                "cases": len(cases),
                "heads": _means(lines, options.seed),
                "sets": measure_sets(made, real, modalities, planes, volumes, [line["group"] for line in lines]),
                "extractor": None if planes is None else planes.name,
                "volumes_extractor": None if volumes is None else volumes.name,
                "versions": versions(),
            }
            texts = (csv_text(lines).encode(), json_bytes(content), _markdown(content).encode())
            folder.write(dict(zip(FILES, texts)))
        logger.info("%s: look at summary.md", output)


def synthesized(
    network: torch.nn.Module,
    inferer: MaskToVolume,
    labels: np.ndarray,
    condition: str,
    name: str,
    seed: int,
    device: torch.device | str,
) -> np.ndarray:
    """A volume MxXxYxZ in [0, 1] of labels on the network's own grid."""
    made = inferer(told_of(labels, condition)[None].to(device), network, [case_seed(seed, name)])
    return to_unit_range(made.image)[0].clamp(0, 1).float().cpu().numpy()


def _read(case: Mapping[str, Any], modalities: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    labels = read_array(case["label"]).astype(np.uint8)
    return labels, np.stack([read_array(case[name]).astype(np.float32) for name in modalities])


def _means(lines: Sequence[Mapping[str, Any]], seed: int) -> dict[str, dict[str, float]]:
    """Mean of every figure with its interval, anatomies first, then cases."""
    groups, found = [line["group"] for line in lines], {}
    for key in (key for key in lines[0] if key not in ("case_id", "group")):
        values = np.array([line[key] for line in lines], float)
        if not np.isfinite(values).any():
            continue
        score = bootstrap(values, groups, seed=seed)
        found[key] = {"value": float(np.nanmean(values)), "low": score.low, "high": score.high}
    return found


def _markdown(content: Mapping[str, Any]) -> str:
    heads = [
        [key, f"{one['value']:.4g} ({one['low']:.4g} … {one['high']:.4g})"] for key, one in content["heads"].items()
    ]
    sets = [[name, key, f"{value:.4g}"] for name, scores in content["sets"].items() for key, value in scores.items()]
    text = [
        f"# Synthesized volumes of {content['cases']} held-out masks",
        "",
        DISCLAIMER,
        "",
        *markdown_table(["figure of a head", "mean (95 % interval)"], heads),
        "",
        *markdown_table(["modality", "figure of the set", ""], sets),
        "",
        f"Features of planes: {content['extractor'] or 'none'}; of volumes: {content['volumes_extractor'] or 'none'}. "
        "Floors: the real set's two halves against each other. A FID falls with the number of volumes: hold a floor "
        "against the figure of halves, not of the whole sets.",
        "",
        *(f"- {name}: {meaning}." for name, meaning in MEANING.items()),
        "",
    ]
    return "\n".join(text)
