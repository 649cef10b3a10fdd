# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Prepare a data set as downloaded: check everything, make the cases, split by patient, write lists and report."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from mededit_monai.datasets.dataset_facts import datalist_of, dataset_facts, strata_and_splits
from mededit_monai.datasets.integrity import Problem, complaint
from mededit_monai.datasets.prepare_cases import check_volume, finished_volume, make_volume
from mededit_monai.datasets.recipe import DatasetRecipe
from mededit_monai.datasets.sources import SourceVolume
from mededit_monai.errors import InputError
from mededit_monai.paths import write_json

#: Raise it whenever the same recipe and the same files give other bytes.
PREPARATION_VERSION = 1


@dataclass
class Prepared:
    """What a run did: the list, volumes made now and found done, the content of ``dataset.json``."""

    datalist: Path
    made: int
    found: int
    facts: dict[str, Any]


def prepare_dataset(
    recipe: DatasetRecipe, output: str | Path, workers: int = 1, skip_bad: bool = False, progress: bool = True
) -> Prepared:
    """
    Prepare a data set, or the part of it that an earlier run did not finish.

    Args:
        output: folder; gets ``cases/``, ``volumes/`` (a JSON file each), ``datalist.json`` (lists ``training``,
            ``validation``, ``testing`` with pathology, ``lesion_free_training`` and so on without; relative paths),
            ``dataset.json`` (every count) and ``report.html``.
        workers: processes; the bytes written do not depend on their number.
        skip_bad: leave volumes out that cannot be used, and record them, instead of refusing.
        progress: bars on stderr.

    Raises:
        InputError: an option that cannot be used, all that is wrong with the volumes, a folder that holds something
            else, or data in which no slice shows pathology.
    """
    recipe.check()
    if workers < 1:
        raise InputError(f"--workers: got {workers}, wanted at least 1.")
    root = Path(output)
    _require_free(root, recipe)
    listing = recipe.find()
    records = {v.volume_id: record for v in listing.volumes if (record := finished_volume(root, v))}
    todo = [volume for volume in listing.volumes if volume.volume_id not in records]
    problems = {name: [Problem(s) for s in sentences] for name, sentences in listing.problems.items()}
    checks = list(_each(partial(check_volume, recipe=recipe), todo, workers, "checking", progress))
    problems |= {volume.volume_id: found for volume, found in zip(todo, checks) if found}
    total = len(listing.volumes) + len(listing.problems)
    if problems and not skip_bad:
        raise InputError(complaint(problems, total, recipe.root))
    todo = [volume for volume in todo if volume.volume_id not in problems]
    if not todo and not records:
        raise InputError(f"{recipe.root}: none of its {total + len(listing.ignored)} volumes can be used; see --root.")

    root.mkdir(parents=True, exist_ok=True)
    write_json(root / "recipe.json", _identity(recipe))
    make = partial(_make, root=root, recipe=recipe)
    records |= {r["volume_id"]: r for r in _each(make, todo, workers, "preparing", progress)}
    used = [records[v.volume_id] for v in listing.volumes if v.volume_id in records]
    splits = strata_and_splits(recipe, used)
    left_out = {name: [p.sentence for p in found] for name, found in problems.items()}
    facts = _identity(recipe) | dataset_facts(recipe, used, splits, _without_paths(left_out, recipe), listing.ignored)
    facts["skip_bad"] = skip_bad
    write_json(root / "datalist.json", datalist_of(recipe, used, splits, facts))
    write_json(root / "dataset.json", facts)
    from mededit_monai.reports.dataset_report import write_report

    write_report(root, facts, splits.cases)
    return Prepared(root / "datalist.json", len(todo), len(used) - len(todo), facts)


def _identity(recipe: DatasetRecipe) -> dict[str, Any]:
    return {"recipe": recipe.as_json(), "preparation_version": PREPARATION_VERSION}


def _require_free(root: Path, recipe: DatasetRecipe) -> None:
    """A folder is ours if it holds the same recipe, and free if it is empty or not there."""
    place, wanted = root / "recipe.json", _identity(recipe)
    if root.exists() and not root.is_dir():
        raise InputError(f"{root}: is a file, wanted a folder; choose another with -o.")
    if not place.is_file():
        if root.is_dir() and any(root.iterdir()):
            raise InputError(f"{root}: is not empty and holds no prepared data set; choose another folder with -o.")
        return
    try:
        found = json.loads(place.read_text())
    except ValueError as error:
        raise InputError(
            f"{place}: is not valid JSON ({error}); remove the folder or choose another with -o."
        ) from error
    for key, value in wanted["recipe"].items():
        if found.get("recipe", {}).get(key) != value:
            raise InputError(
                f"{root}: holds another data set ({key} {found.get('recipe', {}).get(key)}, wanted {value}); choose "
                f"another folder with -o or remove it."
            )
    if found.get("preparation_version") != PREPARATION_VERSION:
        raise InputError(
            f"{root}: was prepared by another version ({found.get('preparation_version')}, this is "
            f"{PREPARATION_VERSION}); choose another folder with -o or remove it."
        )


def _make(source: SourceVolume, root: Path, recipe: DatasetRecipe) -> dict[str, Any]:
    return make_volume(root, source, recipe)


def _each(
    function: Callable[[SourceVolume], Any], items: Sequence[SourceVolume], workers: int, what: str, progress: bool
) -> Iterator[Any]:
    """Results in the order of the items, computed here or by several processes."""
    with tqdm(total=len(items), desc=f"{what} volumes", disable=not progress or not items) as bar:
        if workers == 1 or len(items) < 2:
            before = torch.get_num_threads()
            torch.set_num_threads(1)  # small images: more threads cost more than they give
            try:
                for item in items:
                    yield function(item)
                    bar.update()
            finally:
                torch.set_num_threads(before)
            return
        # fork, as PyTorch's own loader does on Linux: a fresh interpreter would import MONAI for ten seconds.
        method = "fork" if sys.platform.startswith("linux") else "spawn"
        with ProcessPoolExecutor(
            workers, mp_context=get_context(method), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            pending = [pool.submit(function, item) for item in items]
            try:
                for future in pending:
                    yield future.result()
                    bar.update()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _without_paths(sentences: dict[str, list[str]], recipe: DatasetRecipe) -> dict[str, list[str]]:
    """Sentences as they are kept: file names relative to the root, for files must not hold a machine's paths."""
    root = Path(recipe.root)
    folder = f"{root.parent if root.suffix.lower() == '.csv' else root}/"
    return {name: [text.replace(folder, "") for text in found] for name, found in sorted(sentences.items())}
