# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Simulated raters of known skill, through the same files as people: what the analysis has to find is known beforehand.

Every image has a true score on every scale. A rater of skill s says it with probability s, and otherwise guesses,
each score as often as it occurs among all images. So, of a scale,

- the mean of an arm is s · (its true mean) + (1 − s) · (the true mean of all),
- the weighted kappa of two raters is s₁ · s₂, and of a rater with themselves s²,

since the answers of all have the same distribution, and only answers that are both the truth go together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import require_number, require_whole
from mededit_monai.core.paths import user_path
from mededit_monai.io.atomic import json_bytes
from mededit_monai.io.held import held_folder
from mededit_monai.reader_study.design import Arm, Scale
from mededit_monai.reader_study.page import RATINGS_VERSION
from mededit_monai.reader_study.ratings import KIND, Study, read_study

#: What was put in, beside the ratings.
TRUTH = "rehearsal.json"


def true_scores(study: Study, seed: int) -> dict[str, list[int]]:
    """
    Scale → the true score of every image of the study.

    Scores of an arm are binomial about its published mean, or, without one, about the middle; whether an image is real
    is what it is.
    """
    found = {}
    for number, scale in enumerate(study.design.scales.values()):
        rng = np.random.default_rng([seed, 3, number])
        found[scale.name] = [_score(study.design.arm(image["arm"]), scale, rng) for image in study.images]
    return found


def _score(arm: Arm, scale: Scale, rng: np.random.Generator) -> int:
    values = list(scale.values)
    if scale.asks_real:
        return int(arm.real)
    mean = arm.published.get(scale.name, (values[0] + values[-1]) / 2)
    share = float(np.clip((mean - values[0]) / (values[-1] - values[0]), 0, 1))
    return int(values[rng.binomial(len(values) - 1, share)])


def simulated_ratings(study: Study, skill: Mapping[str, float], seed: int) -> dict[str, list[dict[str, Any]]]:
    """
    Rater → ratings as the page saves them, without times.

    Args:
        skill: rater → share of answers that are the truth.
        seed: of truth and answers.
    """
    truth = true_scores(study, seed)
    stages = study.design.stages
    found: dict[str, list[dict[str, Any]]] = {}
    for number, (rater, share) in enumerate(skill.items()):
        rng = np.random.default_rng([seed, 4, number])
        found[rater] = []
        for item in study.items.values():
            pool = [k for k, image in enumerate(study.images) if image["arm"] in stages[item.stage].arms]
            for scale in stages[item.stage].scales:
                knows = rng.random() < share
                image = item.image if knows else pool[rng.integers(len(pool))]
                line = {"stage": item.stage, "item": item.code, "scale": scale.name, "value": truth[scale.name][image]}
                found[rater].append(line)
    return found


def expected(study: Study, skill: float, seed: int) -> dict[str, Any]:
    """What the analysis has to find, but for chance: scale → arm → ``means``, and the two ``kappa``."""
    truth, means = true_scores(study, seed), {}
    for stage in study.design.stages:
        for scale in stage.scales:
            scores = {
                arm: [truth[scale.name][k] for k, image in enumerate(study.images) if image["arm"] == arm]
                for arm in stage.arms
            }
            every = float(np.mean([score for arm in scores.values() for score in arm]))
            means[scale.name] = {a: skill * float(np.mean(s)) + (1 - skill) * every for a, s in scores.items()}
    return {"means": means, "kappa_within": skill**2, "kappa_between": skill**2}


def rehearse(study: str | Path, output_dir: str | Path, skill: float = 0.8, seed: int = 0) -> list[Path]:
    """
    Write ratings of simulated raters, a file for each rater of a study, and what the analysis has to find.

    Args:
        study: folder of the key; output_dir: of ``ratings_….json`` and ``rehearsal.json``.
        skill: of every rater, 0 to 1; seed: of truth and answers.

    Returns:
        the files of ratings.

    Raises:
        InputError: no study, or a skill that is none.
    """
    require_number("skill", skill, 0, 1)
    require_whole("seed", seed, 0)
    known = read_study(study)
    ratings = simulated_ratings(known, dict.fromkeys(known.design.raters, skill), seed)
    head = {"program": "mededit_monai", "kind": KIND, "version": RATINGS_VERSION, "study": known.name}
    contents = {
        f"ratings_{known.design.name}_{known.name}_{rater}.json": json_bytes(
            {**head, "key_sha256": known.key_sha256, "rater": rater, "simulated": True, "ratings": lines}
        )
        for rater, lines in ratings.items()
    }
    told = {"note": "Simulated raters; nobody looked at the images.", "skill": skill, "seed": seed}
    output = user_path(output_dir)
    with held_folder(output, [*contents, TRUTH], [known.folder / "key.json"]) as folder:
        folder.write({**contents, TRUTH: json_bytes(told | expected(known, skill, seed))})
    return [output / name for name in contents]
