# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A wheel built from the repository edits a scan from another folder, with nothing of the repository on its path."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, write_head


def test_every_package_is_listed():
    """They are listed by hand; where no wheel is built, this tells of one that was left out."""
    settings = configparser.ConfigParser()
    settings.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    listed = settings["options"]["packages"].split()
    ours = {path.parent for path in (REPOSITORY / "mededit_monai").rglob("__init__.py")}
    names = {".".join(path.relative_to(REPOSITORY).parts) for path in ours}
    assert set(listed) == names | {"mededit_monai.bundles", "mededit_monai.configs"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The wheel, built from a copy (setuptools leaves build/ behind) and installed apart from its dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignore = shutil.ignore_patterns(".git", ".venv*", "out", "tests", "docs", "build", "*.egg-info", "__pycache__")
    shutil.copytree(REPOSITORY, source, ignore=ignore, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    wheels, site = folder / "wheels", folder / "site"
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", wheels, source], check=True, timeout=300)
    (wheel,) = wheels.glob("mededit_monai-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True, timeout=300)
    return site


@pytest.mark.slow
def test_wheel_edits_with_the_shipped_bundle(installed, tmp_path):
    head = write_head(tmp_path / "head")
    # -P keeps the current folder off the path; PYTHONPATH comes before the editable install of the repository.
    where = subprocess.run(
        [sys.executable, "-c", "import mededit_monai; print(mededit_monai.__file__)"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(installed)
    done = subprocess.run(
        [sys.executable, str(installed / "bin" / "mededit"), "edit", "--scan", str(head.scan)]
        + ["--pathology", str(head.pathology), "--steps", "2", "--resample", "1", "-o", "out"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "scan" / "edited.nii.gz").is_file()


@pytest.mark.slow
def test_wheel_holds_every_module(installed):
    """Packages are listed by hand: where the repository is installed too, one that is left out is found there."""
    ours, theirs = (
        {path.relative_to(root).as_posix() for path in root.rglob("*.py")}
        for root in (REPOSITORY / "mededit_monai", installed / "mededit_monai")
    )
    assert ours == theirs


@pytest.mark.slow
@pytest.mark.parametrize("ours, theirs", [("configs", "configs"), ("mededit_monai/reports", "reports")])
def test_wheel_holds_every_config_template_and_script(installed, ours, theirs):
    """Tables, designs of reader studies, templates of pages, and what the page about an edit is drawn with."""
    known, packed = (
        {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc"}
        for root in (REPOSITORY / ours, installed / "mededit_monai" / theirs)
    )
    assert known == packed


@pytest.mark.slow
def test_wheel_finds_the_designs_of_reader_studies(installed, tmp_path):
    asked = "from mededit_monai.reader_study.design import design_file as f, read_design as r; print(f('thesis')); "
    told = subprocess.run(
        [sys.executable, "-c", f"{asked}print(r(f('med_ddpm')).title)"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    place, title = told.stdout.splitlines()
    assert Path(place) == installed / "mededit_monai/configs/reader_studies/thesis.yaml"
    assert title == "Realism of synthetic brain volumes"


@pytest.mark.slow
def test_wheel_holds_bundle_and_overlays(installed):
    package = installed / "mededit_monai"
    for name in (
        "bundles/stroke/configs/train.yaml",
        "bundles/stroke/LICENSE",
        "bundles/tumor/LICENSE",
        "bundles/tumor/configs/metadata.json",
        "reports/templates/dataset.html",
        "configs/thesis_sampling.yaml",
        "configs/tables/table_5_1.yaml",
        "py.typed",
    ):
        assert (package / name).is_file(), name
    for name in ("inference.yaml", "train.yaml", "evaluate.yaml"):  # links in the repository, files in the wheel
        place = package / "bundles/tumor/configs" / name
        assert not place.is_symlink()
        assert place.read_bytes() == (REPOSITORY / "bundles/stroke/configs" / name).read_bytes()
    shipped = (package / "bundles/stroke/models/model.pt").read_bytes()
    assert shipped == (REPOSITORY / "bundles/stroke/models/model.pt").read_bytes()


@pytest.mark.slow
def test_wheel_leaves_out_what_measures_the_project_itself(installed):
    package = installed / "mededit_monai"
    places = {path.name for folder in (installed, package) for path in folder.iterdir()}
    assert not {"studies", "tests", "docs", "benchmark"} & places
    for module in package.rglob("*.py"):
        lines = module.read_text(encoding="utf-8").splitlines()
        assert not [line for line in lines if line.split()[:2] in (["from", "studies"], ["import", "studies"])], module
        assert not [line for line in lines if line.lstrip().startswith(("from studies.", "import studies."))], module
