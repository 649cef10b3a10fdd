# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A small skull-stripped head on disk, with brain and lesion masks, in any orientation, grid and data type."""

from __future__ import annotations

import copy
import functools
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monai.bundle import ConfigParser, config_parser
from monai.bundle.config_item import ComponentLocator
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from scipy import ndimage

from mededit_monai.judges import scan_check
from mededit_monai.networks import weights

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass
class Head:
    """Paths of one case and its image object."""

    scan: Path
    brain: Path
    pathology: Path
    image: nib.Nifti1Image


def head_array(shape=(80, 100, 20), spacing=(2.0, 2.0, 4.0)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Intensities 0 … 900, brain mask and a lesion in the right hemisphere; RAS order."""
    rng = np.random.default_rng(0)
    grid = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing)]
    x, y, z = np.meshgrid(*grid, indexing="ij")
    brain = (x / 66) ** 2 + (y / 82) ** 2 + (z / 60) ** 2 < 1
    ventricle = (np.abs(x) - 14) ** 2 / 64 + (y / 26) ** 2 + (z / 24) ** 2 < 1
    texture = ndimage.gaussian_filter(rng.standard_normal(shape), 1.0)
    value = np.where(ventricle, 150, 650) + 60 * texture / texture.std()
    lesion = ((x - 38) ** 2 + (y + 8) ** 2 < 14**2) & (np.abs(z) < 9) & brain
    return np.where(brain, np.clip(value, 30, 900), 0), brain, lesion


def write_head(
    folder: Path,
    axcodes: str = "RAS",
    dtype=np.int16,
    slope: float = 1.0,
    inter: float = 0.0,
    spacing=(2.0, 2.0, 4.0),
    rotation: float = 0.0,
    shape=(80, 100, 20),
) -> Head:
    """Write the head in an orientation, with stored integers under a slope and intercept; oblique by ``rotation``°."""
    folder.mkdir(parents=True, exist_ok=True)
    value, brain, lesion = head_array(shape, spacing)
    angle = np.deg2rad(rotation)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(spacing)
    affine[:3, 3] = (-80, -100, -30)
    paths = {name: folder / f"{name}.nii.gz" for name in ("scan", "brain", "pathology")}
    ornt = ornt_transform(io_orientation(affine), axcodes2ornt(axcodes))
    images = {}
    for name, array in (("scan", value), ("brain", brain), ("pathology", lesion)):
        if name == "scan":
            stored = (array - inter) / slope
            stored = np.rint(stored).astype(dtype) if np.dtype(dtype).kind in "iu" else stored.astype(dtype)
        else:
            stored = array.astype(np.uint8)
        image = nib.Nifti1Image(stored, affine).as_reoriented(ornt)
        image.set_sform(image.affine, code=2)
        image.set_qform(image.affine, code=1)
        if name == "scan" and (slope, inter) != (1.0, 0.0):
            image.header.set_slope_inter(slope, inter)
        nib.save(image, paths[name])
        images[name] = nib.load(paths[name])
    return Head(paths["scan"], paths["brain"], paths["pathology"], images["scan"])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """
    Of a family of tests, ``@pytest.mark.one_in(n)``, every n-th is in the default suite, the others in the slow one.
    """
    seen: Counter[str] = Counter()
    for item in items:
        if (mark := item.get_closest_marker("one_in")) is None:
            continue
        family = item.nodeid.split("[")[0]
        if seen[family] % mark.args[0]:
            item.add_marker(pytest.mark.slow)
        seen[family] += 1


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Simulated cohorts of a test run go into its own folder, not the user's cache."""
    os.environ["MEDEDIT_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def read_once():
    """
    Configs and weights of the repository are read from disk, and MONAI's modules are searched for names, once a run of
    tests, not once an edit, of which they are a third at toy size; a file that changed is read again.
    """
    read_config, read_weights = ConfigParser.load_config_file.__func__, weights.read_archive
    known = {}

    def once(path, kind, read):
        place = Path(path).resolve()
        if not place.is_relative_to(REPOSITORY) or not place.is_file():
            return read()
        key = (kind, place, place.stat().st_mtime_ns, place.stat().st_size)
        if key not in known:
            known[key] = read()
        return copy.deepcopy(known[key])

    def config(cls, filepath, **keywords):
        return once(filepath, "config", lambda: read_config(cls, filepath, **keywords))

    def archive(path, kind, way_out):
        return once(path, kind, lambda: read_weights(path, kind, way_out))

    @functools.lru_cache(maxsize=8)
    def table(names):
        return ComponentLocator()._find_classes_or_functions(names)

    class Locator(ComponentLocator):
        def get_component_module_name(self, name):
            if self._components_table is None:
                self._components_table = table(tuple(self._find_module_names()))
            return super().get_component_module_name(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConfigParser, "load_config_file", classmethod(config))
        patch.setattr(weights, "read_archive", archive)
        patch.setattr(config_parser, "ComponentLocator", Locator)
        yield


@pytest.fixture(autouse=True)
def no_judge_of_scans(monkeypatch):
    """No judge looks at a scan that is to be edited: these heads are no brains, and it takes them for ill."""
    monkeypatch.setattr(scan_check, "shipped_judge", lambda disease: None)


@pytest.fixture()
def head(tmp_path) -> Head:
    return write_head(tmp_path / "head")


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY
