# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit study analyse`: from ratings to means, tests, agreement, the size of the next study, and the report."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import require_whole
from mededit_monai.core.paths import user_path
from mededit_monai.io.atomic import json_bytes
from mededit_monai.io.held import held_folder
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.io.provenance import versions
from mededit_monai.metrics.statistics import bootstrap, compare_paired, holm
from mededit_monai.reader_study.design import Scale, Stage
from mededit_monai.reader_study.make import NOTE
from mededit_monai.reader_study.measured import measured_columns
from mededit_monai.reader_study.ratings import RatingFile, Study, checked_ratings, read_study
from mededit_monai.reader_study.report import FILES, report_files
from mededit_monai.reader_study.statistics import (
    LEVEL,
    POWER,
    difference_found,
    images_needed,
    permutation_p,
    spread_with,
    variance_parts,
    weighted_kappa,
)

#: Numbers of raters of the next study, where this one has several: from one alone, nothing is known of others.
NEXT_RATERS = (1, 2, 3, 5)

#: Differences that the next study may be after, as shares of the scale.
NEXT_DIFFERENCES = (1 / 16, 1 / 8, 1 / 4)


def analyse(
    paths: Sequence[str | Path],
    study: str | Path,
    output_dir: str | Path,
    evaluation: str | Path | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """
    Analyse the ratings of a study, and write ``results.json``, ``report.html`` and tables.

    Args:
        paths: files that raters saved, or that were rehearsed; study: folder of the key.
        evaluation: folder of ``mededit evaluate`` whose combined, FID and Dice are to stand beside the means.
        seed: of bootstrap and permutations.

    Returns:
        content of ``results.json``, and ``summary``: a line for people.

    Raises:
        InputError: as :func:`~mededit_monai.reader_study.ratings.checked_ratings`.
    """
    require_whole("seed", seed, 0)
    known = read_study(study)
    output = user_path(output_dir)
    OutputFolder(output).require_free(FILES)
    files = checked_ratings(paths, known)
    measured = None if evaluation is None else measured_columns(evaluation, known.design)
    content = results_of(known, files, seed) | {"measured": measured}
    with held_folder(output, FILES, [*(one.path for one in files), known.folder / "key.json"]) as folder:
        folder.write({"results.json": json_bytes(content)} | report_files(content))
    return content | {"summary": _summary(content)}


class Answers:
    """
    The answers of all raters to one question.

    Args:
        stage, scale: what is asked; the first answers about an image count, those to its repeats are for agreement.
    """

    def __init__(self, study: Study, files: Sequence[RatingFile], number: int, stage: Stage, scale: Scale) -> None:
        self.scale, self.raters = scale, [one.rater for one in files]
        items = [item for item in study.items.values() if item.stage == number]
        self.shown = sorted(item.image for item in items if not item.repeat)
        self.again = sorted(item.image for item in items if item.repeat)
        said = [{r.item: r.value for r in one.ratings if r.scale == scale.name} for one in files]
        code = {(item.image, item.repeat): item.code for item in items}
        self.first = np.array([[one[code[k, False]] for k in self.shown] for one in said], dtype=np.float64)
        self.second = np.array([[one[code[k, True]] for k in self.again] for one in said], dtype=np.float64)
        images = [study.images[k] for k in self.shown]
        self.arm, self.case, self.group = ([one[name] for one in images] for name in ("arm", "case", "group"))
        shuffled = "case" if study.design.same_cases else "" if study.design.strata == "none" else "stratum"
        self.block = [
            one.get(shuffled, "") for one in images
        ]  # among which images arms could have been dealt otherwise
        self.arms = [arm for arm in stage.arms if arm in self.arm]
        self.mean = self.first.mean(axis=0)

    def of(self, arm: str) -> np.ndarray:
        """Places of an arm's images, in the order of their cases."""
        return np.array(sorted((k for k, name in enumerate(self.arm) if name == arm), key=lambda k: self.case[k]))

    def groups(self, places: Sequence[int]) -> list[str]:
        """Whom images are of."""
        return [self.group[k] for k in places]


def results_of(study: Study, files: Sequence[RatingFile], seed: int = 0) -> dict[str, Any]:
    """Content of ``results.json``."""
    design = study.design
    questions = [
        Answers(study, files, number, stage, scale)
        for number, stage in enumerate(design.stages)
        for scale in stage.scales
    ]
    same = design.same_cases
    return {
        "note": NOTE,
        "synthetic": any(not arm.real for arm in design.arms),
        "simulated_raters": any(one.simulated for one in files),
        "study": study.name,
        "design": study.content["design"],
        "raters": [one.rater for one in files],
        "missing_raters": [name for name in design.raters if name not in {one.rater for one in files}],
        "seed": seed,
        "means": {a.scale.name: {arm: _mean(study, a, arm, seed) for arm in a.arms} for a in questions},
        "any_difference": {a.scale.name: _any(a, seed) for a in questions},
        "comparisons": [line for a in questions for line in _comparisons(a, same, seed)],
        "agreement": [line for a in questions for line in _agreement(a, seed)],
        "detection": [line for a in questions if a.scale.asks_real for line in _detection(study, a, seed)],
        "next": [line for a in questions for line in _next(a, same)],
        "power": POWER,
        "level": LEVEL,
        "versions": versions(),
    }


def _mean(study: Study, answers: Answers, arm: str, seed: int) -> dict[str, Any]:
    places = answers.of(arm)
    mean = bootstrap(answers.mean[places], answers.groups(places), seed=seed)
    given = answers.first[:, places]
    return {
        "value": mean.value,
        "low": mean.low,
        "high": mean.high,
        "n_images": mean.n_cases,
        "n_groups": mean.n_groups,
        "by_rater": {rater: float(row.mean()) for rater, row in zip(answers.raters, given)},
        "counts": [int((given == value).sum()) for value in answers.scale.values],
        "published": study.design.arm(arm).published.get(answers.scale.name),
    }


def _any(answers: Answers, seed: int) -> float | None:
    if len(answers.arms) < 2:
        return None
    return permutation_p(answers.mean, answers.arm, answers.block, seed)


def _comparisons(answers: Answers, same: bool, seed: int) -> list[dict[str, Any]]:
    """Every pair of arms: difference of the means with its interval, and a test."""
    lines = []
    for one, other in itertools.combinations(answers.arms, 2):
        first, second = answers.of(one), answers.of(other)
        both = np.concatenate([first, second])
        if same:
            found = compare_paired(answers.mean[first], answers.mean[second], answers.groups(first), seed=seed)
            difference, low, high = found.difference, found.low, found.high
        else:
            rows = np.stack([answers.mean[both], np.arange(len(both)) < len(first)], axis=1)
            gap = bootstrap(rows, answers.groups(both), _gap, seed=seed)
            difference, low, high = gap.value, gap.low, gap.high
        p = permutation_p(answers.mean[both], [answers.arm[k] for k in both], [answers.block[k] for k in both], seed)
        figures = {"difference": difference, "low": low, "high": high, "p": p}
        lines.append({"scale": answers.scale.name, "arm": one, "against": other, **figures, "n_images": len(both)})
    for line, adjusted in zip(lines, holm([line["p"] for line in lines])):
        line["p_holm"] = adjusted
    return lines


def _gap(rows: np.ndarray) -> float:
    """Mean of the first arm minus that of the second; NaN where a draw has none of one."""
    first = rows[:, 1] > 0
    return float(rows[first, 0].mean() - rows[~first, 0].mean()) if 0 < first.sum() < len(first) else float("nan")


def _agreement(answers: Answers, seed: int) -> list[dict[str, Any]]:
    """Weighted kappa of every rater with themselves, where images were shown twice, and of every two raters."""
    place = {image: k for k, image in enumerate(answers.shown)}
    again = [place[image] for image in answers.again]
    pairs = []
    for number, rater in enumerate(answers.raters):
        if len(again) > 1:
            answered = np.stack([answers.first[number, again], answers.second[number]], axis=1)
            pairs.append(("within", [rater], answered, answers.groups(again)))
    for one, other in itertools.combinations(range(len(answers.raters)), 2):
        answered = np.stack([answers.first[one], answers.first[other]], axis=1)
        pairs.append(("between", [answers.raters[one], answers.raters[other]], answered, answers.group))
    lines = []
    for kind, raters, answered, groups in pairs:
        kappa = bootstrap(answered, groups, weighted_kappa, seed=seed)
        figures = {"kappa": kappa.value, "low": kappa.low, "high": kappa.high}
        lines.append(
            {
                "scale": answers.scale.name,
                "kind": kind,
                "raters": raters,
                **{name: value if np.isfinite(value) else None for name, value in figures.items()},
                "same": float((answered[:, 0] == answered[:, 1]).mean()),
                "n_images": len(answered),
            }
        )
    return lines


def _detection(study: Study, answers: Answers, seed: int) -> list[dict[str, Any]]:
    """How often raters were right about what is real, each and all; 0.5 is chance where both halves count alike."""
    real = np.array([study.design.arm(arm).real for arm in answers.arm])
    lines = []
    for rater, given in [*zip(answers.raters, answers.first), ("all", answers.mean)]:
        rows = np.stack([given, real], axis=1)
        right = bootstrap(rows, answers.group, _right, seed=seed)
        shares = {
            f"{name}_called_real": float(given[which].mean()) if which.any() else None
            for name, which in (("real", real), ("synthetic", ~real))
        }
        known = {
            name: v if np.isfinite(v) else None
            for name, v in (("right", right.value), ("low", right.low), ("high", right.high))
        }
        lines.append({"scale": answers.scale.name, "rater": rater, **known, **shares, "n_images": len(given)})
    return lines


def _right(rows: np.ndarray) -> float:
    """Balanced share of right answers: the mean of those about real and about synthetic images."""
    called, real = rows[:, 0], rows[:, 1] > 0
    return float((called[real].mean() + 1 - called[~real].mean()) / 2) if 0 < real.sum() < len(real) else float("nan")


def _next(answers: Answers, same: bool) -> list[dict[str, Any]]:
    """How many images an arm the next study needs, by the spread that was found in this one."""
    if len(answers.arms) < 2:
        return []
    parts = _parts(answers, same)
    if not np.isfinite(parts[0]):
        return []
    values = list(answers.scale.values)
    now, counts = len(answers.raters), NEXT_RATERS if parts[1] is not None else (1,)
    each = min(len(answers.of(arm)) for arm in answers.arms)
    lines: list[dict[str, Any]] = []
    for raters in counts:
        spread = spread_with(parts, raters if parts[1] is not None else 1)
        wanted = {share * (values[-1] - values[0]): None for share in NEXT_DIFFERENCES}
        needed = [{"difference": d, "images": images_needed(spread, d, same)} for d in wanted]
        lines.append(
            {"scale": answers.scale.name, "raters": raters, "spread": spread, "paired": same, "needed": needed}
        )
    found = difference_found(each, spread_with(parts, now if parts[1] is not None else 1), same)
    return [line | {"found_now": found, "raters_now": now, "images_now": each} for line in lines]


def _parts(answers: Answers, same: bool) -> tuple[float, float | None]:
    """Variances of paired differences, or within arms, over all pairs (arms) alike."""
    places = {arm: answers.of(arm) for arm in answers.arms}
    if same:
        tables = [
            answers.first[:, places[one]] - answers.first[:, places[other]]
            for one, other in itertools.combinations(answers.arms, 2)
        ]
    else:
        tables = [answers.first[:, places[arm]] for arm in answers.arms]
    found = [variance_parts(table) for table in tables]
    residual = [rest for _, rest in found if rest is not None]
    return float(np.mean([images for images, _ in found])), float(np.mean(residual)) if residual else None


def _summary(content: dict[str, Any]) -> str:
    raters = content["raters"]
    who = f"{len(raters)} {'simulated ' if content['simulated_raters'] else ''}rater{'s' if len(raters) > 1 else ''}"
    scales = {name: max(arms, key=lambda arm: arms[arm]["value"]) for name, arms in content["means"].items()}
    best = ", ".join(f"{name} {arm} ({content['means'][name][arm]['value']:.2f})" for name, arm in scales.items())
    return f"{who}; highest means: {best}"
