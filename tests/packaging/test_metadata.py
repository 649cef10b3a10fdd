# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the package says of itself, in several files, is one thing."""

from __future__ import annotations

import configparser
import re

import pytest
import yaml
from conftest import REPOSITORY
from packaging.requirements import Requirement

from mededit_monai import __version__


@pytest.fixture(scope="module")
def settings() -> configparser.ConfigParser:
    found = configparser.ConfigParser()
    found.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    return found


def test_one_range_of_pythons(settings):
    listed = re.findall(r":: Python :: (3\.\d+)$", settings["metadata"]["classifiers"], re.MULTILINE)
    assert listed == ["3.10", "3.11", "3.12", "3.13"] and settings["options"]["python_requires"] == f">={listed[0]}"
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert project.count("py310") == 2 and not re.search(r"py3(?!10)\d+", project)  # black and ruff


def test_the_citation():
    """CITATION.cff, by the rules of CFF 1.2.0 that it could break."""
    cited = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    known = {"cff-version", "message", "title", "type", "version", "license", "abstract", "keywords", "authors"}
    assert set(cited) == known | {"preferred-citation"} and cited["cff-version"] == "1.2.0"
    assert cited["version"] == __version__ and cited["type"] == "software" and cited["license"] == "Apache-2.0"
    assert cited["authors"] == [{"name": "the mededit_monai authors"}]
    paper = cited["preferred-citation"]
    assert {"authors", "title", "type"} <= set(paper) and isinstance(paper["year"], int)
    assert all(set(one) == {"family-names", "given-names"} for one in paper["authors"])
    assert paper["identifiers"][0]["value"] == "arXiv:2407.15270" and paper["url"].endswith("2407.15270")
    assert paper["url"] in (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_what_make_installs_is_pinned(settings):
    """Else two runs of 'make docs' or 'make dist-check' could differ."""
    pins = re.findall(r"^([\w.-]+)==", (REPOSITORY / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    known = {re.sub(r"[-_.]+", "-", name).lower() for name in pins}
    extras = settings["options.extras_require"]
    wanted = re.findall(r"^\s*([\w-]+)", "\n".join(extras[name] for name in ("docs", "dev", "hub")), re.MULTILINE)
    assert {name.lower().replace("_", "-") for name in wanted} <= known


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_a_python_finds_one_pin_of_a_package(python):
    """Where a release has no wheel for every Python, two pins share them out."""
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    applying = [pin.name for pin in pins if pin.marker is None or pin.marker.evaluate({"python_version": python})]
    assert len(applying) == len(set(applying)) > 200
