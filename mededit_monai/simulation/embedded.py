# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The embedded cohort: pairs drawn from the template alone, enough to train a bundle with no data at hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mededit_monai.core.errors import require_whole, say
from mededit_monai.core.paths import user_path
from mededit_monai.io.outputs import make_folder
from mededit_monai.io.whole import is_whole
from mededit_monai.simulation.files import is_written
from mededit_monai.simulation.plan import MOST_CASES, Recipe, plan_cases
from mededit_monai.simulation.simulate import SIMULATOR_VERSION, simulate_cohort


def write_embedded_cohort(
    root: str | Path, disease: str, cases: int, validation: int, seed: int, progress: bool = True
) -> Path:
    """
    Write the embedded cohort once and return its datalist; a second call with the same arguments reads it back.

    Args:
        root: cache folder; the cohort gets a folder of its own in it, named by disease, version, size and seed.
        cases: training cases.
        validation: validation cases (same template, other persons and lesions: ``mededit simulate --anatomies`` splits
            by anatomy).
        seed: case k of a list depends on (seed, list, k) only, whatever the size of the cohort.

    Returns:
        path of ``datalist.json`` (keys of the interface, relative paths, lists ``training`` and ``validation``).

    Raises:
        InputError: a size, seed or disease that cannot be.
    """
    require_whole("cohort_size", cases, 1, most=MOST_CASES // 2)
    require_whole("validation_size", validation, 1, most=MOST_CASES // 2)
    require_whole("seed", seed, 0)
    folder = user_path(root) / f"embedded_{disease}_v{SIMULATOR_VERSION}_{cases}+{validation}_seed{seed}"
    recipe = Recipe(disease, cases + validation, seed=seed, counts=(cases, validation, 0))
    recipe.check()
    if not _is_whole(folder, recipe):
        with _alone(folder):
            if not _is_whole(folder, recipe):  # by now it may have been made by the run that was waited for
                simulate_cohort(recipe, folder, progress=progress)
    return folder / "datalist.json"


def _is_whole(folder: Path, recipe: Recipe) -> bool:
    """Whether the cohort is there, its list and every file of every case."""
    if not is_whole(folder / "datalist.json"):
        return False
    return all(is_written(folder, recipe, case) for case in plan_cases(recipe)[0])


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Runs that want the same cohort wait for the one that makes it: the cache is common to all of them."""
    make_folder(folder.parent)
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another run is simulating {folder.name}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
