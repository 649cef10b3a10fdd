# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Write a simulated cohort: resumable, on several processes, the same bytes whatever their number."""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from mededit_monai import __version__
from mededit_monai.diseases import DISEASES
from mededit_monai.errors import InputError
from mededit_monai.paths import default_cache, write_json
from mededit_monai.simulation.anatomies import load_anatomy, stem
from mededit_monai.simulation.draw_case import LesionPool, draw_case
from mededit_monai.simulation.files import entry, file_names, write_case
from mededit_monai.simulation.layouts import write_layout_files
from mededit_monai.simulation.lesion_library import LesionLibrary, open_library
from mededit_monai.simulation.plan import SPLITS, Case, Recipe, plan_cases, split_names

#: Raise it whenever the same recipe gives other bytes or other files. 3: ``tissue`` and ``prior_tissue`` beside the
#: files of 2, which kept their bytes.
SIMULATOR_VERSION = 3

#: Fewest and most slices that a worker takes at a time. They share an anatomy, which costs a third of a second to open:
#: as much as seven slices.
CHUNK = (5, 120)


@dataclass
class Written:
    """What a run did: the cohort's list, cases made now and found done, cases of every split, seconds of making."""

    datalist: Path
    made: int
    found: int
    splits: dict[str, int]
    seconds: float


def simulate_cohort(recipe: Recipe, output: str | Path, workers: int = 1, progress: bool = True) -> Written:
    """
    Simulate a cohort, or the part of it that an earlier run did not finish.

    Args:
        output: folder; gets the cases, ``datalist.json`` (lists ``training``, ``validation``, ``testing``, relative
            paths) and ``cohort.json`` (recipe, splits, version).
        workers: processes.
        progress: bar on stderr.

    Raises:
        InputError: an option or input that cannot be used, or a folder that holds another cohort.
    """
    recipe.check()
    if workers < 1:
        raise InputError(f"--workers: got {workers}, wanted at least 1.")
    root = Path(output)
    cases, anatomies = plan_cases(recipe)
    library = _library(recipe, progress)
    members = _members(library, recipe.seed)
    todo = [case for case in cases if not (root / file_names(recipe, case)["parameters"]).is_file()]
    _check_anatomies(recipe, todo)
    _claim(root, recipe)
    bar = tqdm(
        total=len(cases), initial=len(cases) - len(todo), desc=f"simulating {recipe.disease}", disable=not progress
    )
    start = time.perf_counter()
    with bar:
        for done in _run(root, recipe, todo, library, members, workers):
            bar.update(done)
    seconds = time.perf_counter() - start
    listed: dict[str, list[dict]] = {split: [] for split in SPLITS}
    for case in cases:
        parameters = json.loads((root / file_names(recipe, case)["parameters"]).read_text())
        listed[case.split].append(entry(recipe, case, parameters))
    content = {
        "name": f"simulated {recipe.disease}",
        "description": "Simulated pairs with and without the lesion (synthetic; research use only).",
        "synthetic": True,
        **{key: value for key, value in _identity(recipe).items() if key != "synthetic"},
        "anatomies": {split: [stem(Path(a)) for a in names] for split, names in anatomies.items()},
        "lesions": "drawn" if library is None else {split: len(ids) for split, ids in members.items()},
        "lesions_left_out": {} if library is None else library.excluded,
    }
    write_json(root / "cohort.json", content)
    if recipe.layout != "nnunet":
        write_json(root / "datalist.json", content | listed)
    write_layout_files(root, recipe, listed)
    datalist = root / ("dataset.json" if recipe.layout == "nnunet" else "datalist.json")
    return Written(datalist, len(todo), len(cases) - len(todo), {s: len(listed[s]) for s in SPLITS}, seconds)


def _library(recipe: Recipe, progress: bool) -> LesionLibrary | None:
    if recipe.lesions is None:
        return None
    with tqdm(desc="reading lesions (once)", disable=not progress, delay=1) as bar:

        def tell(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        library = open_library(recipe.lesions, default_cache(), tell)
    if recipe.disease == "stroke" and library.labelled.any():
        name = library.names[int(library.labelled.argmax())]
        raise InputError(
            f"{Path(recipe.lesions) / name}: holds the labels of a tumour, wanted a binary mask (0 and 1) for "
            f"--disease stroke; choose --disease tumor or another folder."
        )
    return library


def _members(library: LesionLibrary | None, seed: int) -> dict[str, tuple[int, ...]]:
    """Lesion numbers of every split."""
    if library is None:
        return {split: () for split in SPLITS}
    if len(library.names) < len(SPLITS):
        raise InputError(
            f"--lesions: holds {len(library.names)} usable masks, wanted at least {len(SPLITS)}, so that training, "
            f"validation and testing share none; add masks or leave the option out for drawn lesions."
        )
    number = {name: k for k, name in enumerate(library.names)}
    names = split_names(library.names, seed)
    return {split: tuple(number[name] for name in names[split]) for split in SPLITS}


def _identity(recipe: Recipe) -> dict:
    return {
        "recipe": recipe.as_json(),
        "simulator_version": SIMULATOR_VERSION,
        "version": __version__,
        "synthetic": True,
    }


def _claim(root: Path, recipe: Recipe) -> None:
    """Make the folder this recipe's own, or see that it is."""
    place = root / "cohort.json"
    wanted = json.loads(json.dumps(_identity(recipe)))
    if place.is_file():
        try:
            found = json.loads(place.read_text())
        except json.JSONDecodeError as error:
            raise InputError(
                f"{place}: is not valid JSON ({error}); remove the folder or choose another with -o."
            ) from error
        for key in ("recipe", "simulator_version"):
            if found.get(key) != wanted[key]:
                raise InputError(
                    f"{root}: holds another cohort ({key} {found.get(key)}, wanted {wanted[key]}); choose another "
                    f"folder with -o or remove it."
                )
        return
    if root.is_dir() and any(root.iterdir()):
        raise InputError(f"{root}: is not empty and holds no simulated cohort; choose another folder with -o.")
    root.mkdir(parents=True, exist_ok=True)
    write_json(place, wanted)


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
    by_anatomy: dict[tuple[str, str], list[Case]] = {}
    for case in todo:
        by_anatomy.setdefault((case.anatomy, case.split), []).append(case)
    size = int(np.clip(len(todo) / (2 * workers), *CHUNK)) if recipe.spatial_dims == 2 else 1
    chunks = [group[k : k + size] for group in by_anatomy.values() for k in range(0, len(group), size)]
    jobs = [(root, recipe, chunk, LesionPool(library, members[chunk[0].split])) for chunk in chunks]
    if workers == 1:
        with _one_thread():
            for job in jobs:
                yield _make(*job)
        return
    # fork, as PyTorch's own loader does on Linux: a fresh interpreter would import MONAI for ten seconds.
    method = "fork" if sys.platform.startswith("linux") else "spawn"
    with ProcessPoolExecutor(workers, mp_context=get_context(method), initializer=_prepare_worker) as pool:
        pending = [pool.submit(_make, *job) for job in jobs]
        try:
            for future in as_completed(pending):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _prepare_worker() -> None:
    """One thread; freed memory is kept and imported modules are not searched for garbage: a quarter of the time."""
    torch.set_num_threads(1)
    gc.freeze()
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):  # another C library than glibc
            c = ctypes.CDLL(None)
            c.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
            c.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD


def _make(root: Path, recipe: Recipe, chunk: list[Case], pool: LesionPool) -> int:
    for case in chunk:
        pair = draw_case(recipe, case, load_anatomy(case.anatomy), pool)
        write_case(root, recipe, case, pair, DISEASES[recipe.disease].pixel_mm)
    return len(chunk)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Small images: more threads cost more than they give."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
