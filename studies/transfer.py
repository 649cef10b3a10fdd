# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Does what the shipped weights learned hold under another law of effects and another look of lesions?

    python -m studies.transfer --disease stroke --anatomies DIR --lesions DIR --cases 60 -o out/transfer
    python -m studies.transfer --disease stroke --bases SCANS --cases 60 -o out/transfer_scans

Simulates a held-out cohort for every ``--law`` and ``--look`` of ``mededit simulate``, edits and measures it as
``mededit evaluate`` does, without any training, and puts the default editor beside doing nothing, law by law. ``own``
and ``own`` are what it was trained on: the other lines are to be read against theirs. With ``--bases`` the anatomies
are real lesion-free T1 scans, which keep their own appearance (a scan, and its brain mask beside it), all of them: no
training saw any. Of three ``--anatomies`` or more those of the test split are used, the same ones for every ``--seed``.

Writes ``transfer.json``, ``transfer.md`` and, a folder each, ``LAW_LOOK/cohort``, ``LAW_LOOK/scores`` and
``LAW_LOOK/cases.png``. Run again it goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from mededit_monai.core.errors import InputError, exit_on_bad_input, require_choice, say
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.diseases import DISEASES
from mededit_monai.evaluation.evaluate import EvaluationOptions, evaluate
from mededit_monai.evaluation.tables import tables_folder
from mededit_monai.evaluation.write import interval
from mededit_monai.io.atomic import write_json, write_text
from mededit_monai.io.outputs import OutputFolder, require_outside
from mededit_monai.io.provenance import DISCLAIMER, versions
from mededit_monai.reports.plain_text import markdown_table
from mededit_monai.simulation.laws import LAWS
from mededit_monai.simulation.looks import LOOKS
from mededit_monai.simulation.plan import Recipe
from mededit_monai.simulation.pool import worker_count
from mededit_monai.simulation.simulate import simulate_cohort
from mededit_monai.space.conditions import CONDITIONS
from studies.cases_picture import save_cases
from studies.release_targets import DEFAULT

#: What is written beside the laws' folders.
FILES = ("transfer.json", "transfer.md", "table.yaml")

#: Columns of the summary: the default editor's figure, and the row and figure that it is held against.
SHOWN: tuple[tuple[str, str, tuple[str, str] | None], ...] = (
    ("end-point error, mm (no edit)", "end_point", (DEFAULT, "end_point_idle")),
    ("ventricle r", "carried_r", None),
    ("ventricle slope", "carried_slope", None),
    ("ventricle error (no edit)", "carried_error", ("no_edit", "carried_error")),
    ("error in M∖p (no edit)", "zone_error", ("no_edit", "zone_error")),
    ("error outside M (no edit)", "outside_error", ("no_edit", "outside_error")),
    ("change where truth has none", "needless", None),
    ("contrast", "contrast", None),
    ("Dice (truth)", "dice", ("truth", "dice")),
)


def recipes(
    disease: str, laws: Sequence[str], looks: Sequence[str], cases: int, spatial_dims: int, seed: int, **more: Any
) -> dict[str, Recipe]:
    """
    What is simulated, by the name of its folder; test cases alone. more: of the recipes.

    Raises:
        InputError: a value that ``mededit simulate`` refuses.
    """
    found = {}
    for law, look in product(dict.fromkeys(laws), dict.fromkeys(looks)):
        counts = (0, 0, cases)
        recipe = Recipe(disease, cases, seed=seed, spatial_dims=spatial_dims, counts=counts, law=law, look=look, **more)
        recipe.check()
        found[f"{law}_{look}"] = recipe
    return found


def transfer(
    output: str | Path,
    disease: str = "stroke",
    laws: Sequence[str] = (),
    looks: Sequence[str] = (),
    cases: int = 60,
    spatial_dims: int = 2,
    seed: int = 0,
    anatomies: str | None = None,
    lesions: str | None = None,
    judge: str | None = None,
    workers: int = 1,
    progress: bool = False,
    bases: str | None = None,
    condition: str = "mask",
) -> dict[str, Any]:
    """
    Measure the shipped weights on every law and look; see the module.

    Args:
        laws, looks: names; none for all.
        anatomies, lesions: folders as for ``mededit simulate``.
        bases: folder of lesion-free scans in place of ``anatomies``, each of which is used.
        condition: what the editor is told of the lesion.

    Returns:
        what ``transfer.json`` holds.

    Raises:
        InputError: a name or folder that cannot be used.
    """
    output = user_path(output)
    folders = {"anatomies": anatomies if bases is None else bases, "lesions": lesions}
    options = {**folders, "testing_only": bases is not None}
    planned = recipes(disease, laws or list(LAWS), looks or list(LOOKS), cases, spatial_dims, seed, **options)
    for given in filter(None, folders.values()):
        require_outside(output, user_path(given), "a folder that is read")
    shipped = tables_folder() / f"transfer_{disease}.yaml"
    if not shipped.is_file():
        raise InputError(f"--disease: got '{disease}', but there is no table {shipped.name}; wanted stroke or tumor.")
    require_choice("condition", condition, CONDITIONS if DISEASES[disease].labels else CONDITIONS[:2])
    own = OutputFolder(output)
    own.require_free(FILES)
    table = output / FILES[2]
    asked = yaml.safe_load(shipped.read_bytes()) | {"condition": condition}
    own.write({FILES[2]: yaml.safe_dump(asked, sort_keys=False, allow_unicode=True).encode()})
    content: dict[str, Any] = {"synthetic": True, "note": DISCLAIMER, "disease": disease, "spatial_dims": spatial_dims}
    content["condition"] = condition
    content |= {"seed": seed, "cases": cases, "versions": versions(), "truths": {}}
    content |= {name: None if given is None else Path(given).name for name, given in folders.items()}
    for number, (name, recipe) in enumerate(planned.items(), start=1):
        say(f"[{number}/{len(planned)}] law {recipe.law}, look {recipe.look}")
        content["truths"][name] = {"law": recipe.law, "look": recipe.look} | _measured(
            output / name, recipe, table, judge, workers, progress
        )
    own.reserve(FILES)
    write_json(output / "transfer.json", content)
    write_text(output / "transfer.md", markdown(content))
    return content


def _measured(
    folder: Path, recipe: Recipe, table: Path, judge: str | None, workers: int, progress: bool
) -> dict[str, Any]:
    """Simulate, edit and measure one truth; ``rows``: name → figures by column."""
    cohort, scores = folder / "cohort", folder / "scores"
    simulate_cohort(recipe, cohort, workers, progress)
    options = EvaluationOptions(
        cohort=str(cohort),
        tables=(str(table),),
        output=str(scores),
        pairing="paired",
        preset="full",
        judge=judge,
        seed=recipe.seed,
        progress=progress,
        report=False,
    )
    (written,) = evaluate(options) or [None]
    found = json.loads(Path(str(written)).read_bytes())
    keys = {line["row"].removeprefix(f"{found['bundle']}_{found['condition']}_"): line for line in found["rows"]}
    if recipe.spatial_dims == 2:
        save_cases(scores, keys[DEFAULT]["row"], folder / "cases.png", overwrite=True)
    return {"rows": {name: line["figures"] for name, line in keys.items()}, "notes": found["notes"]}


def markdown(content: Mapping[str, Any]) -> str:
    """The result for people: a line a law and look."""
    lines = []
    for truth in content["truths"].values():
        cells = [truth["law"], truth["look"]]
        for _, column, beside in SHOWN:
            told = interval(truth["rows"][DEFAULT].get(column))
            if beside is not None:
                row, key = beside
                other = truth["rows"][row].get(key)
                told += " (–)" if other is None else f"; {other['value']:.3g}"
            cells.append(told)
        lines.append(cells)
    kind = "volumes" if content["spatial_dims"] == 3 else "slices"
    bases = f"anatomies of {content['anatomies']}" if content["anatomies"] else "persons of the ICBM 152 template"
    text = [
        f"# Other truths than the training simulator's: {content['disease']}, {kind}, {content['condition']}",
        "",
        f"{content['note']} {content['cases']} test cases a line, {bases}, "
        f"{'drawn lesions' if content['lesions'] is None else 'lesions of ' + content['lesions']}, seed "
        f"{content['seed']}. The default editor with the weights as they are shipped; in brackets 95 % intervals, "
        "after the semicolon what the column's head names in brackets. `own` is what the networks were trained on.",
        "",
        *markdown_table(["law", "look", *(head for head, _, _ in SHOWN)], lines),
        "",
        "Under `none` nothing moves: an end-point error and a slope do not exist, and every change of the ventricles "
        "is an error. All other figures and their notes: `transfer.json`, and `LAW_LOOK/scores`.",
        "",
    ]
    return "\n".join(text)


def main(words: Sequence[str] | None = None) -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--disease", default="stroke", help="stroke or tumor")
    parser.add_argument("--law", nargs="+", default=(), help=f"of {', '.join(LAWS)}; default: all")
    parser.add_argument("--look", nargs="+", default=(), help=f"of {', '.join(LOOKS)}; default: all")
    parser.add_argument("--cases", type=int, default=60, help="test cases of each")
    bases = parser.add_mutually_exclusive_group()
    bases.add_argument("--anatomies", default=None, help="folder as for mededit simulate; default: the template")
    bases.add_argument("--bases", default=None, help="folder of real lesion-free T1 scans, in its place")
    parser.add_argument("--lesions", default=None, help="folder of lesion masks; default: drawn lesions")
    parser.add_argument("--condition", default="mask", help="mask, box or (tumours) regions: what the editor is told")
    parser.add_argument("--spatial_dims", type=int, default=2, help="2 or 3")
    parser.add_argument("--judge", default=None, help="folder of another judge than the shipped one")
    parser.add_argument("--seed", type=int, default=0, help="of cohorts and edits")
    parser.add_argument("--workers", type=int, default=1, help="processes that simulate; 0: one a core")
    parser.add_argument("--output_dir", "-o", default="out/transfer")
    given = parser.parse_args(words)
    with exit_on_bad_input():
        content = transfer(
            given.output_dir,
            given.disease,
            given.law,
            given.look,
            given.cases,
            given.spatial_dims,
            given.seed,
            given.anatomies,
            given.lesions,
            given.judge,
            worker_count(given.workers),
            progress=sys.stderr.isatty(),
            bases=given.bases,
            condition=given.condition,
        )
    print(markdown(content))
    return 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))
