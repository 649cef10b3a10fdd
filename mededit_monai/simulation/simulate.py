# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Write a simulated cohort: resumable, on several processes, the same bytes whatever their number."""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mededit_monai import __version__
from mededit_monai.cluster.where import require_cluster
from mededit_monai.core.errors import InputError, require_whole, say
from mededit_monai.core.loudness import loudness
from mededit_monai.core.paths import default_cache, user_path
from mededit_monai.io.atomic import json_bytes, swept, write_json
from mededit_monai.io.case_names import stem
from mededit_monai.io.claims import RUNS, claim
from mededit_monai.io.outputs import MARKER, OutputFolder, facts_in, require_apart, written_files
from mededit_monai.simulation.anatomies import load_anatomy
from mededit_monai.simulation.crops import draw_crop
from mededit_monai.simulation.draw_case import LesionPool, draw_case
from mededit_monai.simulation.files import entry, file_names, is_written, write_case
from mededit_monai.simulation.layouts import COHORT_FILES, layout_files
from mededit_monai.simulation.lesion_library import LesionLibrary, open_library
from mededit_monai.simulation.modalities import draw_heads
from mededit_monai.simulation.plan import VIEWS, Case, Recipe, plan_cases
from mededit_monai.simulation.pool import MOST_WORKERS, is_stopping, one_thread, results
from mededit_monai.simulation.splits import SPLITS, split_names

#: Raise it whenever the same recipe gives other bytes or other files. 4: named streams, persons drawn more widely,
#: remote atrophy, 16-bit images, displacements in LPS mm.
SIMULATOR_VERSION = 5

#: Fewest and most slices that a worker takes at a time. They share an anatomy, which costs a third of a second to open:
#: as much as seven slices.
CHUNK = (5, 120)


#: Key of cohort.json: what the folders held that it was made from.
INPUTS = "inputs"

#: Warnings about lesion masks that are said one by one.
MOST_WARNINGS = 10


@dataclass
class Written:
    """What a run did: the cohort's list, cases made now and found done, cases of every split, seconds of making."""

    datalist: Path
    made: int
    found: int
    splits: dict[str, int]
    seconds: float


def simulate_cohort(
    recipe: Recipe, output: str | Path, workers: int = 1, progress: bool = True, cluster: str | None = None
) -> Written:
    """
    Simulate a cohort, or the part of it that an earlier run did not finish.

    Args:
        output: folder; gets the cases, ``datalist.json`` (lists ``training``, ``validation``, ``testing``, relative
            paths) and ``cohort.json`` (recipe, splits, version).
        workers: processes.
        progress: bar on stderr.
        cluster: where workers are (:class:`~mededit_monai.cluster.where.Where`), in place of ``workers`` processes.

    Raises:
        InputError: an option or input that cannot be used, or a folder that holds another cohort or anything that is
            not ours.
    """
    recipe.check()
    require_whole("workers", workers, 1, most=MOST_WORKERS)
    require_cluster(cluster)
    if cluster is not None and workers != 1:
        raise InputError(f"--cluster: got '{cluster}' with --workers {workers}; give one or the other.")
    recipe = replace(recipe, **{name: str(folder) for name, folder in recipe.folders().items()})
    root = user_path(output)
    folder = OutputFolder(root)
    _require_apart(root, recipe)
    cases, anatomies = plan_cases(recipe)
    names = [name for case in cases for name in file_names(recipe, case).values()]
    inputs = recipe.inputs()
    _require_own(folder, recipe, inputs)
    with claim(root):
        _require_own(folder, recipe, inputs)  # once more: another run may just have ended
        library = _library(recipe, progress)
        members = _members(library, recipe)
        for split in {case.split: None for case in cases}:
            LesionPool(library, members[split]).require_any(recipe, split)
        todo = _unfinished(root, recipe, cases, workers)
        _check_anatomies(recipe, todo)
        folder.reserve([*COHORT_FILES[recipe.layout], *names])
        if not (root / "cohort.json").is_file():
            write_json(root / "cohort.json", _identity(recipe) | _told(inputs))
        known = _told(facts_in(root / "cohort.json").get(INPUTS))  # a cohort of before they were noted stays as it is
        start = time.perf_counter()
        bar = tqdm(
            total=len(cases), initial=len(cases) - len(todo), desc=f"simulating {recipe.disease}", disable=not progress
        )
        if cluster is None:
            making = _run(root, recipe, todo, library, members, workers)
        else:
            making = _run_on_cluster(root, recipe, todo, cluster)
        with bar, _swept(root, recipe, todo), closing(making) as steps:
            for done in steps:
                bar.update(done)
        seconds = time.perf_counter() - start
        listed: dict[str, list[dict]] = {split: [] for split in SPLITS}
        for case in cases:
            listed[case.split].append(entry(recipe, case, root))
        what = "heads with a tumour, and their labels" if recipe.modalities else "pairs with and without the lesion"
        content = {
            "name": f"simulated {recipe.disease}",
            "description": f"Simulated {what} (synthetic; research use only).",
            "synthetic": True,
            **{key: value for key, value in _identity(recipe).items() if key != "synthetic"},
            "anatomies": {split: [stem(Path(a)) for a in names] for split, names in anatomies.items()},
            "lesions": "drawn" if library is None else {split: len(ids) for split, ids in members.items()},
            "lesions_left_out": {} if library is None else library.excluded,
        }
        lists = {"cohort.json": json_bytes(content | known), **layout_files(recipe, listed)}
        if recipe.layout != "nnunet":
            lists["datalist.json"] = json_bytes(content | listed)
        folder.write(lists)
    datalist = root / ("dataset.json" if recipe.layout == "nnunet" else "datalist.json")
    return Written(datalist, len(todo), len(cases) - len(todo), {s: len(listed[s]) for s in SPLITS}, seconds)


@contextmanager
def _swept(root: Path, recipe: Recipe, todo: list[Case]) -> Iterator[None]:
    """What a process that was killed left half-written goes, now and if this run ends early."""
    with swept({root} | {(root / name).parent for case in todo for name in file_names(recipe, case).values()}):
        yield


def _unfinished(root: Path, recipe: Recipe, cases: list[Case], workers: int) -> list[Case]:
    """Cases of which a file is missing or damaged. Reading compressed ones to their end takes threads well."""
    if not (root / "cohort.json").is_file():
        return cases
    with ThreadPoolExecutor(workers) as pool:
        return [case for case, done in zip(cases, pool.map(partial(is_written, root, recipe), cases)) if not done]


def _library(recipe: Recipe, progress: bool) -> LesionLibrary | None:
    if recipe.lesions is None:
        return None
    with tqdm(desc="reading lesions (once)", disable=not progress, delay=1) as bar:

        def tell(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        library = open_library(recipe.lesions, default_cache(), tell)
    for warning in library.warnings[:MOST_WARNINGS]:
        say(f"warning: {warning}")
    if len(library.warnings) > MOST_WARNINGS:
        say(f"warning: … and {len(library.warnings) - MOST_WARNINGS} more masks of {recipe.lesions} like these.")
    if not recipe.record.labels and library.labelled.any():
        name = library.names[int(library.labelled.argmax())]
        raise InputError(
            f"{Path(recipe.lesions) / name}: holds the labels of a tumour, wanted a binary mask (0 and 1) for "
            f"--disease {recipe.disease}; choose --disease tumor or another folder."
        )
    return library


def lesion_pool(recipe: Recipe, split: str) -> LesionPool:
    """The lesions that a recipe gives to a split; InputError: a folder that cannot be used."""
    library = _library(recipe, progress=False)
    pool = LesionPool(library, _members(library, recipe)[split])
    pool.require_any(recipe, split)
    return pool


def _members(library: LesionLibrary | None, recipe: Recipe) -> dict[str, tuple[int, ...]]:
    """Lesion numbers of every split."""
    if library is None:
        return {split: () for split in SPLITS}
    if len(library.names) < len(SPLITS):
        raise InputError(
            f"--lesions: holds {len(library.names)} usable masks, wanted at least {len(SPLITS)}, so that training, "
            f"validation and testing share none; add masks or leave the option out for drawn lesions."
        )
    number = {name: k for k, name in enumerate(library.names)}
    names = split_names(library.names, recipe.split_seed, fold=recipe.fold, what="lesion masks")
    return {split: tuple(number[name] for name in names[split]) for split in SPLITS}


def _identity(recipe: Recipe) -> dict:
    return {
        "recipe": recipe.as_json(),
        "simulator_version": SIMULATOR_VERSION,
        "version": __version__,
        "synthetic": True,
    }


def _told(inputs: Mapping[str, str] | None) -> dict:
    return {INPUTS: inputs} if inputs else {}


def _require_apart(root: Path, recipe: Recipe) -> None:
    """
    Refuse an output folder that is an input or lies around one; in the lesions' folder, which is read with all that is
    below it, a cohort's masks would be lesions the next time.
    """
    require_apart(root, recipe.folders().values())
    lesions = recipe.folders().get("lesions")
    if lesions is not None and lesions.resolve() in root.resolve().parents:
        raise InputError(
            f"{root}: lies inside --lesions {lesions}, so the next run would take its masks for lesions; choose a "
            f"folder outside it with -o."
        )


def _require_own(folder: OutputFolder, recipe: Recipe, inputs: Mapping[str, str]) -> None:
    """
    A folder is ours if it holds the same recipe, of the same files, and nothing of it was changed, and free if it is
    empty or absent. Cohorts of before the files were noted are known by the recipe alone.
    """
    root, place = folder.path, folder.path / "cohort.json"
    folder.require_free([])
    if not place.is_file():
        if root.is_dir() and any(p.name not in (MARKER, RUNS) for p in root.iterdir()):
            raise InputError(f"{root}: is not empty and holds no simulated cohort; choose another folder with -o.")
        return
    found = facts_in(place)
    wanted = json.loads(json.dumps(_identity(recipe)))
    for key in ("recipe", "simulator_version"):
        if found.get(key) != wanted[key]:
            raise InputError(
                f"{root}: holds another cohort ({key} {found.get(key)}, wanted {wanted[key]}); choose another "
                f"folder with -o or remove it."
            )
    for option, digest in inputs.items():
        known = (found.get(INPUTS) or {}).get(option, digest)
        if known != digest:
            raise InputError(
                f"{root}: holds another cohort (made from other files than those in --{option} "
                f"{recipe.folders()[option]}, whose SHA-256 is {digest[:12]}…, wanted {known[:12]}…); choose another "
                f"folder with -o or remove it."
            )
    if written_files(root) is None:
        raise InputError(
            f"{root}: holds a cohort of an older version, which did not list its files ({MARKER} is missing), so it is "
            f"neither finished nor replaced; choose another folder with -o or remove it."
        )
    folder.require_unchanged(COHORT_FILES[recipe.layout])


def _check_anatomies(recipe: Recipe, todo: list[Case]) -> None:
    """Fail on the first anatomy before processes start, so that the usual mistakes cost seconds."""
    if todo and recipe.anatomies is not None:
        load_anatomy(todo[0].anatomy)


def _run(
    root: Path,
    recipe: Recipe,
    todo: list[Case],
    library: LesionLibrary | None,
    members: dict[str, tuple[int, ...]],
    workers: int,
) -> Iterator[int]:
    """Make the cases in chunks of one anatomy; yields how many were finished."""
    chunks = _chunks(recipe, todo, workers)
    jobs = [(root, recipe, chunk, LesionPool(library, members[chunk[0].split])) for chunk in chunks]
    if workers == 1:
        with one_thread():
            for job in jobs:
                yield _make(*job)
        return
    yield from results(_make, jobs, workers, ordered=False, prepare=_prepare_worker)


def _chunks(recipe: Recipe, todo: list[Case], workers: int) -> list[list[Case]]:
    """Cases that a worker makes one after the other: of one anatomy and split."""
    by_anatomy: dict[tuple[str, str], list[Case]] = {}
    for case in todo:
        by_anatomy.setdefault((case.anatomy, case.split), []).append(case)
    size = int(np.clip(len(todo) / (2 * workers), *CHUNK)) if recipe.spatial_dims == 2 else VIEWS if recipe.crops else 1
    return [group[k : k + size] for group in by_anatomy.values() for k in range(0, len(group), size)]


def _run_on_cluster(root: Path, recipe: Recipe, todo: list[Case], word: str) -> Iterator[int]:
    """As :func:`_run`; workers open the library themselves, once, instead of being sent it with every chunk."""
    from mededit_monai.cluster.run import cluster as opened

    with opened(word, root) as workers:
        jobs = ((root, recipe, chunk) for chunk in _chunks(recipe, todo, workers.workers))
        with closing(workers.results(_make_there, jobs)) as results:
            for _, made in results:
                yield made


def _make_there(root: Path, recipe: Recipe, chunk: list[Case]) -> int:
    return _make(root, recipe, chunk, _pool_there(recipe, chunk[0].split))


@lru_cache(maxsize=len(SPLITS))
def _pool_there(recipe: Recipe, split: str) -> LesionPool:
    _prepare_worker()
    with loudness("quiet"):  # the parent has said what there is to say of it
        return lesion_pool(recipe, split)


def _prepare_worker() -> None:
    """Freed memory is kept and imported modules are not searched for garbage: a quarter of the time."""
    gc.freeze()
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):  # another C library than glibc
            c = ctypes.CDLL(None)
            c.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
            c.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD


def _make(root: Path, recipe: Recipe, chunk: list[Case], pool: LesionPool) -> int:
    for number, case in enumerate(chunk):
        if is_stopping():
            return number
        draw = draw_heads if recipe.modalities else draw_crop if recipe.crops else draw_case
        pair = draw(recipe, case, load_anatomy(case.anatomy), pool)
        write_case(root, recipe, case, pair, recipe.record.pixel_mm)
    return len(chunk)
