# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A cohort of small squares, a bundle with a tiny network, a judge in random weights, and a table of two methods."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml
from conftest import REPOSITORY
from judges.toy_cohort import write_cohort

from mededit_monai.evaluation.evaluate import EvaluationOptions
from mededit_monai.judges.embedded import judge_files, judge_network
from mededit_monai.judges.structures import structures
from mededit_monai.metrics import statistics
from mededit_monai.networks import MaskConditionedUNet, save_weights, weights_sha256

NETWORK = {"channels": [8, 16], "attention_levels": [False, True], "norm_num_groups": 4, "num_head_channels": 8}

TABLE = {
    "table": "5.1",
    "title": "A toy",
    "bundle": "stroke",
    "condition": "mask",
    "kind": "methods",
    "columns": [
        "combined",
        "fid",
        "fid_excess",
        "kid_excess",
        "dice",
        "contrast",
        "outside",
        "zone_error",
        "ventricle_error",
    ],
    "presets": {
        "quick": {"cases": 4, "steps": 2, "spacing": "logsnr"},
        "full": {"cases": 54, "steps": 1000, "spacing": "t"},
    },
    "rows": {
        "palette": {"label": "Palette", "settings": {"method": "palette"}, "published": {"fid": 9.08}},
        "mededit": {
            "label": "MedEdit",
            "settings": {"method": "mededit", "dilation": 9, "resample": 2},
            "published": {"fid": 8.3, "combined": 3.07},
        },
        "no_edit": {"label": "no edit", "settings": {"method": "mededit", "dilation": 9, "control": "no_edit"}},
        "area_regression": {"label": "area", "settings": {"control": "area_regression"}},
        "truth": {"label": "truth", "settings": {"method": "mededit", "dilation": 9, "control": "truth"}},
    },
}


@dataclass(frozen=True)
class Toy:
    """Paths of everything that an evaluation takes."""

    cohort: Path
    bundle: Path
    judge: Path
    overlay: Path
    table: Path

    def options(self, output: Path, **changes) -> EvaluationOptions:
        given = {
            "cohort": str(self.cohort),
            "tables": (str(self.table),),
            "output": str(output),
            "bundle": str(self.bundle),
            "judge": str(self.judge),
            "configs": (str(self.overlay),),
            "batch_size": 3,
            "device": "cpu",
            "report": False,
        }
        return EvaluationOptions(**given | changes)


@contextmanager
def few_draws() -> Iterator[None]:
    """Intervals from 50 resamples: at toy size nobody reads them, and tests/metrics/test_statistics.py holds them."""
    real = statistics._draws
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "_draws", lambda groups, draws, seed: real(groups, min(draws, 50), seed))
        yield


def save_toy_weights(bundle: Path) -> None:
    """Weights that do something: those of a new network give 0 everywhere."""
    network = MaskConditionedUNet(**NETWORK)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    save_weights(network, bundle / "models" / "model.pt")


def save_toy_judge(folder: Path, spatial_dims: int = 2) -> None:
    """A judge in random weights."""
    weights, facts = judge_files("stroke", folder, spatial_dims)
    save_weights(judge_network("stroke", spatial_dims=spatial_dims), weights)
    ceiling = {"lesion": {"value": 0.9, "low": 0.8, "high": 0.95, "n_groups": 2, "n_cases": 6}, "ventricle_left": None}
    known = {"structures": structures("stroke"), "weights_sha256": weights_sha256(weights), "ceiling": ceiling}
    facts.write_text(json.dumps(known))


def make_toy(folder: Path) -> Toy:
    torch.manual_seed(0)
    cohort = write_cohort(folder / "cohort", counts=(6, 2, 8))
    place = cohort / "datalist.json"
    content = json.loads(place.read_text())
    for split in ("training", "validation", "testing"):
        for k, case in enumerate(content[split]):
            case["patient"], case["stratum"] = f"{case['anatomy']}_{k}", ("small", "medium", "large")[k % 3]
    place.write_text(json.dumps(content))
    bundle, judge = folder / "bundle", folder / "judge"
    shutil.copytree(REPOSITORY / "bundles" / "stroke" / "configs", bundle / "configs")
    save_toy_weights(bundle)
    judge.mkdir()
    save_toy_judge(judge)
    overlay, table = folder / "tiny.yaml", folder / "table_toy.yaml"
    overlay.write_text(yaml.safe_dump(NETWORK | {"reference_dilation": 9}))
    table.write_text(yaml.safe_dump(TABLE, sort_keys=False))
    return Toy(cohort, bundle, judge, overlay, table)
