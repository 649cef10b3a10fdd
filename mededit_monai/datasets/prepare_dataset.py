# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Prepare a data set as downloaded: check everything, make the cases, split by patient, write lists and report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mededit_monai.core.errors import InputError, require_whole, say
from mededit_monai.core.paths import user_path
from mededit_monai.datasets.dataset_facts import datalist_of, dataset_facts, strata_and_splits
from mededit_monai.datasets.integrity import Problem, complaint
from mededit_monai.datasets.prepare_cases import (
    check_volume,
    finished_volume,
    make_volume,
    record_name,
    require_own_cases,
    warnings_as_problems,
)
from mededit_monai.datasets.recipe import DatasetRecipe
from mededit_monai.datasets.sources import Listing, SourceVolume
from mededit_monai.io.atomic import json_bytes, swept
from mededit_monai.io.claims import RUNS, claim
from mededit_monai.io.finished import remove_listed
from mededit_monai.io.formats.registry import image_sha256, is_there
from mededit_monai.io.outputs import MARKER, OutputFolder, facts_in, list_files, require_apart, written_files
from mededit_monai.simulation.pool import MOST_WORKERS, one_thread, results

#: Raise it whenever the same recipe and the same files give other bytes.
PREPARATION_VERSION = 1

#: Files of a prepared data set that are about all of it.
SET_FILES = ("recipe.json", "datalist.json", "dataset.json", "report.html")

#: Key of recipe.json: SHA-256 of the table that lists the volumes, where there is one.
TABLE = "table_sha256"

#: Warnings that are said one by one at the end of a run.
MOST_WARNINGS = 10


@dataclass
class Prepared:
    """What a run did: the list, volumes made now and found done, the content of ``dataset.json``."""

    datalist: Path
    made: int
    found: int
    facts: dict[str, Any]


def prepare_dataset(
    recipe: DatasetRecipe,
    output: str | Path,
    workers: int = 1,
    skip_bad: bool = False,
    progress: bool = True,
    strict: bool = False,
    overwrite: bool = False,
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
        strict: whether a volume with a warning counts as one that cannot be used.
        overwrite: whether prepared files that were changed by hand may be replaced.

    Raises:
        InputError: an option that cannot be used, all that is wrong with the volumes, a folder that holds something
            else or lies among the inputs, or data in which no slice shows pathology.
    """
    recipe.check()
    require_whole("workers", workers, 1, most=MOST_WORKERS)
    recipe = replace(
        recipe,
        root=str(user_path(recipe.root)),
        brains=None if recipe.brains is None else str(user_path(recipe.brains)),
    )
    root = user_path(output)
    _require_outside(root, recipe)
    _require_free(root, recipe, overwrite)
    listing = recipe.find()
    require_apart(root, _inputs(recipe, listing))
    with claim(root):
        _require_free(root, recipe, overwrite)  # once more: another run may just have ended
        return _prepare(root, recipe, listing, workers, skip_bad, progress, strict, overwrite)


def _prepare(
    root: Path,
    recipe: DatasetRecipe,
    listing: Listing,
    workers: int,
    skip_bad: bool,
    progress: bool,
    strict: bool,
    overwrite: bool,
) -> Prepared:
    records = {v.volume_id: record for v in listing.volumes if (record := finished_volume(root, v))}
    if not records:
        _require_same_files(root, recipe, listing)
    todo = [volume for volume in listing.volumes if volume.volume_id not in records]
    for volume in todo:
        require_own_cases(root, volume, overwrite)
    problems = {name: [Problem(s) for s in sentences] for name, sentences in listing.problems.items()}
    check = partial(check_volume, recipe=recipe, strict=strict)
    with closing(_each(check, todo, workers, "checking", progress)) as checks:
        problems |= {volume.volume_id: found for volume, found in zip(todo, checks) if found}
    if strict:
        problems |= {name: found for name, record in records.items() if (found := warnings_as_problems(record))}
        records = {name: record for name, record in records.items() if name not in problems}
    total = len(listing.volumes) + len(listing.problems)
    if problems and not skip_bad:
        raise InputError(complaint(problems, total, recipe.root))
    todo = [volume for volume in todo if volume.volume_id not in problems]
    if not todo and not records:
        raise InputError(f"{recipe.root}: none of its {total + len(listing.ignored)} volumes can be used; see --root.")

    folder = OutputFolder(root, overwrite=overwrite)
    made = [record_name(volume) for volume in todo]
    folder.reserve([*SET_FILES, *made])
    folder.write({"recipe.json": json_bytes(_identity(recipe) | _table(root, recipe))})
    if made:
        list_files(root, dict.fromkeys(made))  # while they are made again, their old digests say nothing
    make = partial(_make, root=root, recipe=recipe, overwrite=overwrite)
    with _swept(root), closing(_each(make, todo, workers, "preparing", progress)) as new:
        records |= {r["volume_id"]: r for r in new}
    used = [records[v.volume_id] for v in _used(listing, records)]
    splits = strata_and_splits(recipe, used)
    left_out = {name: [p.sentence for p in found] for name, found in problems.items()}
    warnings = _without_paths({r["volume_id"]: r["warnings"] for r in used if r.get("warnings")}, recipe)
    left_out = _without_paths(left_out, recipe)
    facts = _identity(recipe) | dataset_facts(recipe, used, splits, left_out, listing.ignored, warnings)
    facts["skip_bad"] = skip_bad
    from mededit_monai.reports.dataset_report import report_page

    contents = {
        "datalist.json": json_bytes(datalist_of(recipe, used, splits, facts)),
        "dataset.json": json_bytes(facts),
        "report.html": report_page(root, facts, splits.cases).encode("utf-8", "surrogateescape"),
    }
    folder.write(contents | {name: (root / name).read_bytes() for name in map(record_name, _used(listing, records))})
    _say_warnings(warnings)
    return Prepared(root / "datalist.json", len(todo), len(used) - len(todo), facts)


@contextmanager
def _swept(root: Path) -> Iterator[None]:
    """What a process that was killed left half-written goes, now and if this run ends early."""
    for old in (root / "cases").glob(".*.old"):  # a case that was just being replaced; it is made again
        remove_listed(old)
    with swept((root, root / "cases", root / "volumes")):
        yield


def _used(listing: Listing, records: Mapping[str, Any]) -> list[SourceVolume]:
    return [volume for volume in listing.volumes if volume.volume_id in records]


def _say_warnings(warnings: Mapping[str, Sequence[str]]) -> None:
    lines = [f"{name}: warning: {sentence}" for name, found in warnings.items() for sentence in found]
    for line in lines[:MOST_WARNINGS]:
        say(line)
    if len(lines) > MOST_WARNINGS:
        say(f"… and {len(lines) - MOST_WARNINGS} more warnings, see dataset.json")


def _inputs(recipe: DatasetRecipe, listing: Listing) -> list[Path]:
    """Everything that is read."""
    brains = [Path(recipe.brains)] if recipe.brains is not None and Path(recipe.brains).is_dir() else []
    return [Path(recipe.root), *brains, *(path for volume in listing.volumes for path in volume.files().values())]


def _require_outside(root: Path, recipe: DatasetRecipe) -> None:
    """Refuse an output in a folder that is searched for data, where a later run would take it for some."""
    data = Path(recipe.root)
    if not data.is_dir() or (recipe.source == "folder" and (data / "cases.csv").is_file()):
        return  # a table names its files
    require_apart(root, [data])
    if data.resolve() in root.resolve().parents:
        raise InputError(
            f"{root}: lies inside the data set {data}, so the next run would take what is written there for data; "
            f"choose a folder outside it with -o."
        )


def _identity(recipe: DatasetRecipe) -> dict[str, Any]:
    return {"recipe": recipe.as_json(), "preparation_version": PREPARATION_VERSION}


def _table(root: Path, recipe: DatasetRecipe) -> dict[str, Any]:
    """What is noted of the table that lists the volumes; a data set of before that was noted stays as it is."""
    digest = recipe.table_sha256()
    known = facts_in(root / "recipe.json") if (root / "recipe.json").is_file() else {TABLE: None}
    return {TABLE: digest} if digest is not None and TABLE in known else {}


def _require_same_files(root: Path, recipe: DatasetRecipe, listing: Listing) -> None:
    """
    Refuse a folder with volumes of which not one was made of any file that was found now: another data set's, whose
    folder has the same name.
    """
    known: set[str] = set()
    for place in sorted((root / "volumes").glob("*.json")):
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):  # damaged: it is made again
            known |= {one["sha256"] for one in json.loads(place.read_bytes())["inputs"].values()}
    if not known:
        return
    files = [path for volume in listing.volumes for path in volume.files().values() if is_there(path)]
    if not any(image_sha256(path) in known for path in files):
        raise InputError(
            f"{root}: holds another data set (its volumes were made from none of the files in {recipe.root}); choose "
            f"another folder with -o or remove it."
        )


def _require_free(root: Path, recipe: DatasetRecipe, overwrite: bool) -> None:
    """
    A folder is ours if it holds the same recipe, of the same table if there is one, and nothing of it was changed, and
    free if it is empty or absent.
    """
    place, wanted = root / "recipe.json", _identity(recipe)
    if root.exists() and not root.is_dir():
        raise InputError(f"{root}: is a file, wanted a folder; choose another with -o.")
    if not place.is_file():
        if root.is_dir() and any(p.name not in (MARKER, RUNS) for p in root.iterdir()):
            raise InputError(f"{root}: is not empty and holds no prepared data set; choose another folder with -o.")
        return
    found = facts_in(place)
    found = found if isinstance(found.get("recipe"), dict) else {"recipe": {}}
    for key, value in wanted["recipe"].items():
        if found["recipe"].get(key) != value:
            raise InputError(
                f"{root}: holds another data set ({key} {found['recipe'].get(key)}, wanted {value}); choose another "
                f"folder with -o or remove it."
            )
    digest = recipe.table_sha256()
    if digest is not None and found.get(TABLE, digest) != digest:
        raise InputError(
            f"{root}: holds another data set (of a table with the SHA-256 {found[TABLE][:12]}…, while that of "
            f"{recipe.root} is {digest[:12]}…); choose another folder with -o or remove it."
        )
    if found.get("preparation_version") != PREPARATION_VERSION:
        raise InputError(
            f"{root}: was prepared by another version ({found.get('preparation_version')}, this is "
            f"{PREPARATION_VERSION}); choose another folder with -o or remove it."
        )
    files = written_files(root)
    if files is None:
        raise InputError(
            f"{root}: was prepared by an older version, which did not list its files ({MARKER} is missing), so it is "
            f"neither finished nor replaced; choose another folder with -o or remove it."
        )
    if not overwrite:
        OutputFolder(root).require_unchanged(files)


def _make(source: SourceVolume, root: Path, recipe: DatasetRecipe, overwrite: bool) -> dict[str, Any]:
    return make_volume(root, source, recipe, overwrite)


def _each(
    function: Callable[[SourceVolume], Any], items: Sequence[SourceVolume], workers: int, what: str, progress: bool
) -> Iterator[Any]:
    """Results in the order of the items, computed here or by several processes."""
    with tqdm(total=len(items), desc=f"{what} volumes", disable=not progress or not items) as bar:
        if workers == 1 or len(items) < 2:
            with one_thread():
                for item in items:
                    yield function(item)
                    bar.update()
            return
        with closing(results(function, [(item,) for item in items], workers)) as found:
            for result in found:
                yield result
                bar.update()


def _without_paths(sentences: Mapping[str, list[str]], recipe: DatasetRecipe) -> dict[str, list[str]]:
    """Sentences as they are kept: file names relative to the root, for files must not hold a machine's paths."""
    root = Path(recipe.root)
    folder = f"{root if root.is_dir() else root.parent}/"
    return {name: [text.replace(folder, "") for text in found] for name, found in sorted(sentences.items())}
