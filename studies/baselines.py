# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
The networks of the thesis's methods, trained for a release: each file on at least 300 000 slices, warm starts included.

    python -m studies.baselines --disease stroke --cohort out/cohort_stroke -o out/baselines
    python -m studies.baselines --disease tumor --cohort out/cohort_tumor -o out/baselines

In this order, each from the weights above it; tumours begin with the stroke's, so strokes come first. A training that
was stopped goes on, one that is done is kept. ``--file`` does some of them, such as on another core. Writes a folder
each, ``stroke_model``, …, with ``model.pt``, and prints the table of samples seen of the model cards.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError, exit_on_bad_input, require_choice, say
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.datasets.evaluation import cohort_facts
from mededit_monai.reports.plain_text import markdown_table
from mededit_monai.workflows import train
from studies.error_by_samples import samples_seen

CONFIGS = Path(__file__).parents[1] / "configs"


@dataclass(frozen=True)
class Training:
    """
    One file of a bundle: the training that it starts from, its overlays and its epochs.

    Args:
        start: another training's folder, ``DISEASE_FILE``; None: random weights.
        overlay: of ``configs/`` or ``train_palette.yaml``, over ``configs/release.yaml``.
    """

    start: str | None
    epochs: int
    overlay: str | None = None
    family: str | None = None


PLAN: dict[str, dict[str, Training]] = {
    "stroke": {
        "model": Training(None, 30),
        "palette": Training("stroke_model", 6, "train_palette.yaml", "palette"),
        "palette_original": Training("stroke_model", 6, "train_palette.yaml", "palette_original"),
        "model_box": Training("stroke_model", 6, "condition_box.yaml"),
    },
    "tumor": {
        "model": Training("stroke_model", 10),
        "model_regions": Training("tumor_model", 6, "condition_regions.yaml"),
        "palette": Training("stroke_palette", 6, "train_palette.yaml", "palette"),
        "palette_original": Training("stroke_palette_original", 6, "train_palette.yaml", "palette_original"),
        "model_box": Training("tumor_model", 6, "condition_box.yaml"),
    },
}


def overlays_of(disease: str, training: Training) -> list[Path]:
    """Config files of a training, in the order in which they are laid over the bundle's."""
    files = [CONFIGS / "release.yaml"]
    if training.overlay == "train_palette.yaml":
        files.append(CONFIGS.parent / "bundles" / disease / "configs" / training.overlay)
    elif training.overlay:
        files.append(CONFIGS / training.overlay)
    return files


def seen_by(output: Path, name: str) -> int:
    """Samples that a training's weights have seen, those of all that it started from included."""
    disease, file = name.split("_", 1)
    start = PLAN[disease][file].start
    return max(samples_seen(output / name).values()) + (seen_by(output, start) if start else 0)


def weights_to_start_from(output: Path, name: str) -> Path:
    """
    ``model.pt`` of a training that is done.

    Raises:
        InputError: it was not begun, or has epochs left.
    """
    disease, file = name.split("_", 1)
    wanted, weights = PLAN[disease][file].epochs, output / name / "model.pt"
    done = max(samples_seen(output / name)) if weights.is_file() else 0
    if done < wanted:
        raise InputError(
            f"{output / name}: has {done} of {wanted} epochs; train '{file}' of {disease} to its end first."
        )
    return weights


def baselines(disease: str, cohort: str | Path, output: str | Path, files: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """
    Train what is missing.

    Args:
        cohort: of ``mededit simulate``, slices; files: names of :data:`PLAN`; none: all of the disease.

    Returns:
        rows of the model card's table: file, weights it started from, own samples, all samples.

    Raises:
        InputError: an unknown disease or file, a cohort of the other disease, or a start that is not done yet.
    """
    require_choice("disease", disease, PLAN)
    plan = PLAN[disease]
    for name in files:
        require_choice("file", name, plan)
    output = user_path(output)
    if (found := cohort_facts(cohort)["disease"]) != disease:
        raise InputError(f"{cohort}: holds cases of disease '{found}', wanted '{disease}'.")
    rows = []
    for file in files or plan:
        training, name = plan[file], f"{disease}_{file}"
        options: dict[str, Any] = {"family": training.family} if training.family else {}
        if training.start:
            options["init_weights"] = weights_to_start_from(output, training.start)
        say(f"{name}: {training.epochs} epochs from {training.start or 'random weights'}")
        train(
            disease,
            overlays_of(disease, training),
            dataset_dir=cohort,
            output_dir=output / name,
            max_epochs=training.epochs,
            progress=False,
            **options,
        )
        own = max(samples_seen(output / name).values())
        rows.append((f"`{file}.pt`", training.start or "–", f"{own:,}", f"{seen_by(output, name):,}"))
    return rows


def main(words: Sequence[str] | None = None) -> None:
    """Command line; exit code 2 and a sentence for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--disease", default="stroke", help="stroke or tumor")
    parser.add_argument("--cohort", required=True, help="folder of mededit simulate, slices")
    parser.add_argument("--file", action="append", default=[], help="such as palette, may be repeated; default: all")
    parser.add_argument("--output_dir", "-o", default="out/baselines")
    given = parser.parse_args(words)
    with exit_on_bad_input():
        rows = baselines(given.disease, given.cohort, given.output_dir, given.file)
    print("\n".join(markdown_table(("file", "started from", "samples of its own", "in all"), rows)))


if __name__ == "__main__":
    run_program(main)
