# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the golden record runs, as tables: adapt these, and only these, to a tree whose options are named otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: What is recorded, in this order.
PARTS = ("edits", "simulated", "trained")

#: Cases of a simulated cohort; the seed of everything that takes one.
CASES, SEED = 10, 3

#: Axial slice (RAS) in the middle of the lesion of ``scan.nii.gz``.
SLICE = 24

# --- Edits ---------------------------------------------------------------------------------------------------------

#: Arguments of ``mededit_monai.edit``, of every edit. Whatever a default may become, the record shall not move with it.
EDIT_OPTIONS: dict[str, Any] = {
    "spatial_dims": 2,
    "steps": 4,
    "spacing": "logsnr",
    "restore": "residual",
    "seed": SEED,
    "device": "cpu",
    "progress": False,
}

#: Of a method. Only what it uses: an option without effect may be refused one day, and would prove nothing.
METHOD_OPTIONS: dict[str, dict[str, Any]] = {
    "morph": {"sampler": "dpm2m", "effects": 1.0},
    "mededit": {"sampler": "ddpm", "resample": 2, "region": "dilate"},
    "naive_repaint": {"sampler": "ddpm", "resample": 2},
    "sdedit": {"sampler": "ddpm"},
    "palette": {"sampler": "ddpm"},
    "palette_original": {"sampler": "ddpm"},
}

#: Side of the dilation square; applies where the region is a dilated lesion.
DILATION = {"mask": 25, "box": 20, "regions": 25}

#: Conditions of a bundle; the methods that take no regions.
CONDITIONS = {"stroke": ("mask", "box"), "tumor": ("mask", "box", "regions")}
WITHOUT_REGIONS = ("palette", "palette_original")

#: Every method is run with every condition in each of these ways; ``files`` is a kind of :func:`files`.
VARIANTS: dict[str, dict[str, Any]] = {
    "slice": {"files": "scan", "slice_index": SLICE},
    "all": {"files": "scan", "slice_index": "all"},
    "samples": {"files": "scan", "slice_index": SLICE, "samples": 2},
    "datalist": {"files": "datalist", "slice_index": "auto"},
}

#: Further runs of both bundles: name → method, and what differs from its run of one slice with a mask. None leaves an
#: option out. A text that ends in ``.nii.gz`` is one of the inputs.
SPECIAL_RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "morph_paint_alone": ("morph", {"effects": 0.0}),
    "morph_opposite": ("morph", {"effects": -1.0}),
    "morph_global_atrophy": ("morph", {"global_atrophy": 1.0}),
    "morph_guidance": ("morph", {"guidance": 2.0}),
    "morph_ddpm": ("morph", {"sampler": "ddpm"}),
    "morph_ddim": ("morph", {"sampler": "ddim"}),
    "morph_spacing_t": ("morph", {"spacing": "t"}),
    "morph_replace": ("morph", {"restore": "replace"}),
    "morph_exact": ("morph", {"exact": True, "slice_index": "all"}),
    "morph_one_step": ("morph", {"steps": 1}),
    "morph_template": ("morph", {"files": "template", "slice_index": "all"}),
    "mededit_region_auto": ("mededit", {"region": "auto", "dilation": None}),
    "mededit_region_brain": ("mededit", {"region": "brain", "dilation": None}),
    "mededit_region_pathology": ("mededit", {"region": "pathology", "dilation": None}),
    "mededit_region_file": ("mededit", {"region": "region.nii.gz", "dilation": None}),
    "mededit_dilation": ("mededit", {"dilation": 8}),
    "mededit_guidance": ("mededit", {"guidance": 2.0}),
    "mededit_paper": ("mededit", {"mode": "paper", "spacing": "t"}),
    "mededit_ddim": ("mededit", {"sampler": "ddim", "eta": 0.5}),
    "mededit_dpm2m": ("mededit", {"sampler": "dpm2m"}),
    "mededit_start": ("mededit", {"start": 0.5, "spacing": "t"}),
    "mededit_jump": ("mededit", {"jump": 2}),
    "mededit_resample_above": ("mededit", {"resample_above": 0.3, "spacing": "t"}),
    "mededit_replace": ("mededit", {"restore": "replace"}),
    "mededit_exact": ("mededit", {"exact": True, "slice_index": "all"}),
    "mededit_batch": ("mededit", {"files": "datalist", "slice_index": "auto", "batch_size": 3}),
    "naive_repaint_guidance": ("naive_repaint", {"guidance": 2.0}),
    "sdedit_own_start": ("sdedit", {"steps": 20, "spacing": "t"}),  # four levels are too few to show where it begins
    "sdedit_start": ("sdedit", {"start": 0.9, "spacing": "t"}),
    "palette_ddim": ("palette", {"sampler": "ddim"}),
    "palette_original_dpm2m": ("palette_original", {"sampler": "dpm2m"}),
}


@dataclass(frozen=True)
class EditRun:
    """
    One call of ``mededit_monai.edit``.

    Args:
        name: in the record.
        bundle: stroke or tumor.
        options: what is given beside ``output_dir`` and ``bundle``; files by their names.
    """

    name: str
    bundle: str
    options: dict[str, Any]


def files(kind: str, bundle: str, condition: str) -> dict[str, str]:
    """What is edited: a binary lesion, but a tumour's labels where its regions are wanted."""
    if kind == "datalist":
        return {"datalist": f"{bundle}.json"}
    lesion = "regions" if condition == "regions" else "lesion"
    if kind == "template":
        return {"scan": "template.nii.gz", "pathology": f"template_{lesion}.nii.gz"}
    return {"scan": "scan.nii.gz", "pathology": f"{lesion}.nii.gz"}


def edit_runs() -> list[EditRun]:
    """All edits, in the order in which they are run."""
    runs = []
    for bundle, conditions in CONDITIONS.items():
        for method in METHOD_OPTIONS:
            for condition in conditions:
                if condition == "regions" and method in WITHOUT_REGIONS:
                    continue
                for variant, options in VARIANTS.items():
                    name = f"{bundle}/{method}/{condition}/{variant}"
                    runs.append(_edit_run(name, bundle, method, condition, options))
        for name, (method, options) in SPECIAL_RUNS.items():
            runs.append(_edit_run(f"{bundle}/special/{name}", bundle, method, "mask", VARIANTS["slice"] | options))
    return runs


def _edit_run(name: str, bundle: str, method: str, condition: str, options: dict[str, Any]) -> EditRun:
    own = dict(METHOD_OPTIONS[method])
    if own.get("region") == "dilate":
        own["dilation"] = DILATION[condition]
    given = {"method": method, "condition": condition, **EDIT_OPTIONS, **own, **options}
    given = files(given.pop("files"), bundle, condition) | given
    return EditRun(name, bundle, {key: value for key, value in given.items() if value is not None})


# --- Simulated cohorts ---------------------------------------------------------------------------------------------

#: Words after ``mededit simulate``, without the output folder: name → options.
SIMULATIONS: dict[str, dict[str, Any]] = {
    f"{disease}_{dims}d": {
        "disease": disease,
        "cases": CASES,
        "spatial_dims": dims,
        "seed": SEED,
        "slice": "all",
        "layout": "datalist",
        "workers": 1,
    }
    for disease in ("stroke", "tumor")
    for dims in (2, 3)
}

# --- Trainings -----------------------------------------------------------------------------------------------------

#: Words after ``mededit train``, of every training: a small network, a large learning rate from the first step, and an
#: average that follows quickly, since the half precision of the files would swallow small changes.
TRAINING_OPTIONS: dict[str, Any] = {
    "network_def#channels": [8, 16],
    "network_def#attention_levels": [False, True],
    "network_def#num_head_channels": 8,
    "network_def#norm_num_groups": 4,
    "network_def#patch": 2,
    "max_epochs": 2,
    "batch_size": 2,
    "accumulation_steps": 1,
    "learning_rate": 0.003,
    "lr_schedule": "constant",
    "warmup_iterations": 0,
    "ema_decay": 0.5,
    "flip": 0.5,
    "warp": 0.5,
    "contrast": 0.5,
    "bias": 0.5,
    "lesion_free_share": 0.25,
    "preview_interval": 0,
    "num_workers": 0,
    "device": "cpu",
}

#: Family and condition → overlays of ``train.yaml``, from the tree's top, and options that differ.
FAMILIES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "mask": ((), {"condition": "mask"}),
    "box": (("configs/condition_box.yaml",), {}),
    "regions": (("configs/condition_regions.yaml",), {}),
    "small": (("configs/small.yaml",), {"flip": 0.5, "warp": None, "contrast": None, "bias": None}),
    "palette": (("bundles/{bundle}/configs/train_palette.yaml",), {"family": "palette", "lesion_free_share": None}),
    "palette_original": (
        ("bundles/{bundle}/configs/train_palette.yaml",),
        {"family": "palette_original", "lesion_free_share": None},
    ),
}

#: Training → family, bundle, options that differ, and what a second call gets that goes on in the same folder.
TRAININGS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any] | None]] = {
    "stroke_mask": ("mask", "stroke", {"seed": SEED}, None),
    "stroke_mask_resumed": ("mask", "stroke", {"seed": SEED, "max_epochs": 1}, {"max_epochs": 2}),
    "tumor_mask": ("mask", "tumor", {"seed": SEED + 1}, None),
    "stroke_box": ("box", "stroke", {"seed": SEED}, None),
    "tumor_box": ("box", "tumor", {"seed": SEED + 1}, None),
    "tumor_regions": ("regions", "tumor", {"seed": SEED}, None),
    "tumor_regions_other_seed": ("regions", "tumor", {"seed": SEED + 1}, None),
    "stroke_small": ("small", "stroke", {"seed": SEED}, None),
    "stroke_palette": ("palette", "stroke", {"seed": SEED}, None),
    "tumor_palette": ("palette", "tumor", {"seed": SEED + 1}, None),
    "stroke_palette_original": ("palette_original", "stroke", {"seed": SEED}, None),
    "tumor_palette_original": ("palette_original", "tumor", {"seed": SEED + 1}, None),
}


@dataclass(frozen=True)
class TrainingRun:
    """
    One ``mededit train``.

    Args:
        name: in the record.
        bundle: stroke or tumor.
        overlays: given with ``--config``; from the tree's top.
        options: what is given beside ``datalist`` and ``output_dir``.
        more: what a second call changes, which goes on where the first ended; None: there is none.
    """

    name: str
    bundle: str
    overlays: list[str]
    options: dict[str, Any]
    more: dict[str, Any] | None = field(default=None)


def training_runs() -> list[TrainingRun]:
    """All trainings, in the order in which they are run."""
    runs = []
    for name, (family, bundle, options, more) in TRAININGS.items():
        overlays, of_family = FAMILIES[family]
        given = {key: value for key, value in {**TRAINING_OPTIONS, **of_family, **options}.items() if value is not None}
        runs.append(TrainingRun(name, bundle, [one.format(bundle=bundle) for one in overlays], given, more))
    return runs
