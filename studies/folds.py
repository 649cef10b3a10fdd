# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
The default editor of slices, cross-validated: every brain held out once, from networks that were trained alike.

    python -m studies.folds --disease stroke --anatomies DIR --lesions DIR -o out/folds_stroke

Five folds: a cohort each (``mededit simulate --fold i/5``), an effects network and a painter trained on its training
list, and its test list edited with both. Errors are those over no edit's, of all cases of a brain together; means of
the brains with 95 % intervals (bootstrap over brains), and a signed-rank test of the brains against no edit.
Beside them stand the shipped networks, on the same cases of the brains that they have not seen (``--split_seed``). Run
again it goes on; ``--fold`` does some of the folds, such as one on each of several machines, and the page is written
once all are there, with the same shipped weights. Writes ``folds.md``, ``folds.json`` and ``folds.png``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError, exit_on_bad_input, require_choice, require_whole, say
from mededit_monai.core.paths import bundle_root, user_path
from mededit_monai.core.program import run_program
from mededit_monai.io.atomic import json_bytes
from mededit_monai.io.case_names import stem
from mededit_monai.io.hashing import sha256
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.io.provenance import DISCLAIMER, versions
from mededit_monai.io.weight_files import find_weights
from mededit_monai.methods.record import network_named
from mededit_monai.simulation.anatomies import list_anatomies
from mededit_monai.simulation.plan import Recipe
from mededit_monai.simulation.pool import worker_count
from mededit_monai.simulation.simulate import simulate_cohort
from mededit_monai.simulation.splits import split_names
from mededit_monai.workflows import train
from studies.error_by_samples import samples_seen
from studies.folds_page import OWN, SHIPPED, markdown, picture, summary
from studies.known_brains import edited_cases, ratios_of

FILES = ("folds.md", "folds.json", "folds.png")

FOLDS, VALIDATED, EPOCHS = 5, 64, 10

#: File of each fold that is done.
FOLD_FILE = "fold.json"

#: In a fold's request: what must be the same in all folds of a page, and yet does not decide a fold's trainings.
SHIPPED_WEIGHTS = "shipped_weights"

#: Networks of the default editor, and how many samples a training makes of each case of an epoch.
NETWORKS = {"effects": 1, "paint": 2}

#: Options of the shipped networks' trainings beside the overlays' (docs of each bundle: the commands).
OPTIONS: dict[str, dict[str, dict[str, Any]]] = {"stroke": {"effects": {"ventricle_weight": 1.5}}}

CONFIGS = Path(__file__).parents[1] / "configs"


def table_of(disease: str, weights: Mapping[str, Path]) -> dict[str, Any]:
    """The default editor with a fold's weights and with those that are shipped, as a table of ``mededit evaluate``."""
    settings: dict[str, Any] = {"method": "morph", "steps": None}
    given = {"weights": str(weights["paint"]), "effects_weights": str(weights["effects"])}
    return {
        "table": "fold",
        "title": "Deformation and paint, of this fold and as shipped",
        "bundle": disease,
        "condition": "mask",
        "kind": "methods",
        "columns": ["zone_error", "contrast", "end_point", "end_point_idle", "carried_error"],
        "presets": {name: {"cases": 1_000_000, "spacing": "logsnr"} for name in ("quick", "full")},
        "rows": {
            OWN: {"label": "this fold's networks", "settings": settings | given},
            SHIPPED: {"label": "the shipped networks", "settings": settings},
        },
    }


def one_fold(part: int, output: Path, recipe: Recipe, samples: int, workers: int = 1, **asked: Any) -> dict[str, Any]:
    """
    Simulate, train both networks, edit and measure; what is there of a run that was stopped is gone on from.

    Args:
        part: which fold, from 1; output: its folder.
        recipe: of its cohort; samples: that each network sees; asked: further options of the evaluation.

    Returns:
        content of ``fold.json``: its test brains, their errors over no edit's by row, and samples seen.
    """
    say(f"fold {part}/{FOLDS}, {recipe.disease}")
    cohort = output / "cohort"
    simulate_cohort(recipe, cohort, workers, progress=False)
    weights, seen = {}, {}
    for family, each in NETWORKS.items():
        plan = {"epoch_cases": samples // EPOCHS // each, "max_epochs": EPOCHS, "val_cases": recipe.counts[1]}
        plan |= options_of(recipe.disease).get(family, {})
        folder = train(
            recipe.disease,
            [CONFIGS / f"{family}.yaml"],
            dataset_dir=cohort,
            output_dir=output / family,
            seed=recipe.seed,
            progress=False,
            **plan,
        )
        weights[family], seen[family] = folder / "model.pt", max(samples_seen(folder).values())
    request = request_of(recipe, samples)  # of now: the shipped weights may have been replaced while others trained
    cases = edited_cases(output, table_of(recipe.disease, weights), **asked)
    ratios = {name: ratios_of([case for case in cases if case["row"].endswith(f"_{name}")]) for name in (OWN, SHIPPED)}
    content = {"synthetic": True, "fold": part, "request": request, "samples": seen}
    content |= {"ratios": ratios, "versions": versions()}
    OutputFolder(output).write({FOLD_FILE: json_bytes(content)})
    return content


def options_of(disease: str) -> dict[str, dict[str, Any]]:
    """What the disease's networks are trained with beside the overlays' values, by family."""
    return OPTIONS.get(disease, {})


def request_of(recipe: Recipe, samples: int) -> dict[str, Any]:
    """What all folds have in common, and what must not change between them."""
    shared = {key: value for key, value in recipe.as_json().items() if key != "fold"}
    request = {"recipe": shared, "samples": samples, "options": options_of(recipe.disease)}
    return json.loads(json.dumps(request | {SHIPPED_WEIGHTS: shipped_weights(recipe.disease)}))


def shipped_weights(disease: str) -> dict[str, str]:
    """SHA-256 of the weights that the default editor of slices has without ``--weights``, by file name."""
    names = [network_named(family).weights_file("mask") for family in NETWORKS]
    return {name: sha256(find_weights(bundle_root(disease), name)) for name in names}


def finished(output: Path, request: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """
    Folds that are done.

    One that was measured beside other shipped weights is not: :func:`one_fold` goes through it again. Its trainings do
    not ask for these weights, so their folders are whole, and the evaluation keeps edits by the weights that made them:
    the shipped networks' edits and the scores alone are made anew.

    Raises:
        InputError: one of other settings.
    """
    found = {}
    for part in range(1, FOLDS + 1):
        place = output / f"fold_{part}" / FOLD_FILE
        if not place.is_file():
            continue
        content = json.loads(place.read_bytes())
        if {**content["request"], SHIPPED_WEIGHTS: request[SHIPPED_WEIGHTS]} != request:
            raise InputError(f"{place}: was made with other settings than these; choose another --output_dir.")
        if content["request"] == request:
            found[part] = content
    return found


def folds(
    output: str | Path,
    disease: str,
    anatomies: str,
    lesions: str | None = None,
    parts: Sequence[int] = tuple(range(1, FOLDS + 1)),
    samples: int = 60_000,
    training: int = 6000,
    cases: int = 144,
    seed: int = 0,
    split_seed: int = 0,
    workers: int = 1,
    **asked: Any,
) -> dict[str, Any] | None:
    """
    Do the folds asked for, and write the page once all are there.

    Args:
        anatomies, lesions: folders as for ``mededit simulate``; split_seed: of the shipped networks' cohort.
        samples: that each network sees; training, cases: pairs of a fold to train on and to edit.
        asked: further options of the evaluation.

    Returns:
        what ``folds.json`` holds; None: folds are missing.

    Raises:
        InputError: a folder that cannot be used, or one with folds of other settings.
    """
    for part in parts:
        require_choice("fold", part, range(1, FOLDS + 1))
    require_whole("cases", cases, 1, most=10**6)
    require_whole("samples", samples, 2 * EPOCHS, most=10**9)
    require_whole("training", training, 1, most=10**6)
    output = user_path(output)
    counts = (training, min(VALIDATED, training), cases)
    recipe = Recipe(
        disease, sum(counts), anatomies, lesions, seed=seed, split_seed=split_seed, counts=counts, fold=f"1/{FOLDS}"
    )
    recipe.check()
    request = request_of(recipe, samples)
    folder = OutputFolder(output)
    folder.require_free(FILES)
    for part in parts:
        if part not in finished(output, request):  # asked anew: another process may have done it in the meantime
            own = replace(recipe, fold=f"{part}/{FOLDS}")
            one_fold(part, output / f"fold_{part}", own, samples, workers, **asked)
    done = finished(output, request)
    if len(done) < FOLDS:
        missing = ", ".join(str(part) for part in range(1, FOLDS + 1) if part not in done)
        say(f"folds {missing} are not done yet; the page is written once they are")
        return None
    names = [stem(Path(name)) for name in list_anatomies(anatomies)]
    content = summary([done[part] for part in sorted(done)], split_names(names, split_seed)["testing"])
    content |= {"note": DISCLAIMER, "synthetic": True, "disease": disease, "folds": FOLDS, "cases": FOLDS * cases}
    content |= {"samples": samples, SHIPPED_WEIGHTS: request[SHIPPED_WEIGHTS], "versions": versions()}
    files = {FILES[0]: markdown(content).encode(), FILES[1]: json_bytes(content), FILES[2]: picture(content)}
    folder.write(files)
    return content


def main(words: Sequence[str] | None = None) -> None:
    """Command line; exit code 2 and a sentence for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--disease", default="stroke", help="stroke or tumor")
    parser.add_argument("--anatomies", required=True, help="folder as for mededit simulate")
    parser.add_argument("--lesions", default=None, help="folder of lesion masks; default: drawn lesions")
    parser.add_argument("--fold", action="append", type=int, help="1 to 5, may be repeated; default: all that are left")
    parser.add_argument("--samples", type=int, default=60_000, help="that each network sees")
    parser.add_argument("--training", type=int, default=6000, help="pairs of a fold to train on")
    parser.add_argument("--cases", type=int, default=144, help="pairs of a fold to edit")
    parser.add_argument("--seed", type=int, default=0, help="of cohorts and trainings")
    parser.add_argument("--split_seed", type=int, default=0, help="of the shipped networks' cohort")
    parser.add_argument("--workers", type=int, default=1, help="processes that simulate; 0: one a core")
    parser.add_argument("--output_dir", "-o", default="out/folds")
    given = parser.parse_args(words)
    with exit_on_bad_input():
        content = folds(
            given.output_dir,
            given.disease,
            given.anatomies,
            given.lesions,
            given.fold or range(1, FOLDS + 1),
            given.samples,
            given.training,
            given.cases,
            given.seed,
            given.split_seed,
            worker_count(given.workers),
        )
    if content is not None:
        print(markdown(content))


if __name__ == "__main__":
    run_program(main)
