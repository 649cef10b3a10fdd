# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
What the MONAI Model Zoo checks of a bundle, on every bundle of the repository as `mededit export` writes it.

    python -m studies.zoo_check [--bundle NAME] [--quick]

One line a check, ``ok``, ``skipped`` or ``failed``; warnings of MONAI and Python below it. Exit code 1 if one failed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from monai.bundle import ckpt_export, verify_metadata, verify_net_in_out

from mededit_monai.core.errors import InputError
from mededit_monai.io.checksums import APART, OK, weights_states
from mededit_monai.methods.record import METHODS, network_named
from mededit_monai.sharing.export import LARGEST, NEEDED, export_bundle
from studies.release_check import DEFAULT

REPOSITORY = Path(__file__).resolve().parents[1]

#: The zoo's schema of metadata; see tests/data/README.md.
SCHEMA = REPOSITORY / "tests" / "data" / "meta_schema_20240725.json"

BUNDLES = ("stroke", "tumor", "semantic_synthesis")

#: What the zoo checks and this program cannot, for every bundle.
NOT_HERE = (
    "that the version was not published yet (models/model_info.json of the zoo)",
    "that pip installs required_packages_version: the zoo installs mededit_monai from a package index",
    "metadata of hf_models against meta_schema_hf_20250321.json: the file is not at hand",
    "TorchScript by scripting: MONAI's SpatialAttentionBlock cannot be scripted; the zoo lists such bundles in "
    "exclude_verify_torchscript_list",
)


class Skip(Exception):
    """A check that does not apply, and why."""


def require(true: bool, sentence: str) -> None:
    """
    Raises:
        InputError: with the sentence, unless it is true.
    """
    if not true:
        raise InputError(sentence)


@dataclass(frozen=True)
class Checked:
    """
    A bundle under check.

    Args:
        root: its folder; export: the folder that it was exported to, None for a bundle without weights.
    """

    root: Path
    export: Path | None

    @property
    def metadata(self) -> dict:
        """What its metadata says."""
        return json.loads((self.root / "configs" / "metadata.json").read_bytes())

    def require_weights(self) -> None:
        """
        Raises:
            Skip: the bundle has none.
        """
        if self.export is None:
            raise Skip("the bundle has no weights yet")


def files(one: Checked) -> None:
    """The files that the zoo asks for, none of them too large."""
    wanted = (*NEEDED, "configs/inference.yaml", "configs/logging.conf")
    missing = [name for name in wanted if not (one.root / name).is_file()]
    require(not missing, f"{', '.join(missing)} missing")
    large = [p.name for p in one.root.rglob("*") if p.is_file() and p.stat().st_size > LARGEST]
    require(not large, f"{', '.join(large)}: larger than {LARGEST // 10**6} MB")
    require(not any(p.is_symlink() for p in one.root.rglob("*")) or one.export is None, "links in the exported folder")


def weights(one: Checked) -> None:
    """``models/model.pt``, and every weight file as its checksum says."""
    one.require_weights()
    states = weights_states(one.root / "models")
    require("model.pt" in states, "models/model.pt missing")
    wrong = {name: state for name, state in states.items() if state not in (OK, APART)}
    require(not wrong, str(wrong))


def changelog(one: Checked) -> None:
    """The version is in the changelog."""
    require(one.metadata["version"] in one.metadata["changelog"], f"{one.metadata['version']} is not in the changelog")


def schema(one: Checked) -> None:
    """The metadata, against the zoo's schema."""
    if not SCHEMA.is_file():
        raise Skip(f"{SCHEMA.name} is not at hand")
    require(SCHEMA.name in one.metadata["schema"], f"the metadata names another schema: {one.metadata['schema']}")
    verify_metadata(meta_file=str(one.root / "configs" / "metadata.json"), filepath=str(SCHEMA))


def scores(one: Checked) -> None:
    """``eval_metrics`` in the metadata."""
    one.require_weights()
    require(bool(one.metadata.get("eval_metrics")), "no eval_metrics; run python -m studies.write_eval_metrics")


def packages(one: Checked) -> None:
    """The versions that the metadata names are those installed here."""
    wanted = {key: value for key, value in one.metadata["required_packages_version"].items() if key != "mededit_monai"}
    wanted |= {name: one.metadata[f"{key}_version"] for name, key in (("monai", "monai"), ("numpy", "numpy"))}
    found = {}
    for name in wanted:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    other = [f"{name} {found[name]}, wanted {number}" for name, number in wanted.items() if found[name] != number]
    require(torch.__version__.partition("+")[0] == one.metadata["pytorch_version"], f"torch {torch.__version__}")
    require(not other, "; ".join(other))


def shapes(one: Checked) -> None:
    """The network, by the channels and types of the metadata."""
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(one.root / "configs" / "metadata.json"),
        config_file=str(one.root / "configs" / "inference.yaml"),
        bundle_root=str(one.root),
        device="cpu",
    )


def traced(one: Checked) -> None:
    """MONAI's TorchScript by tracing: of the default editor's two networks, or of the one that synthesizes."""
    one.require_weights()
    for name, (file, channels) in traced_networks(one).items():
        with tempfile.TemporaryDirectory() as folder:
            ckpt_export(
                net_id=name,
                filepath=str(Path(folder) / "model.ts"),
                ckpt_file=str(one.root / "models" / file),
                meta_file=str(one.root / "configs" / "metadata.json"),
                config_file=str(one.root / "configs" / "inference.yaml"),
                use_trace=True,
                bundle_root=str(one.root),
                input_shape=[1, channels, 32, 32, 32],
            )


def traced_networks(one: Checked) -> dict[str, tuple[str, int]]:
    """Networks of ``inference.yaml`` that work as it stands → their weight file and channels of their input."""
    families = {"network_def": METHODS[DEFAULT].network, "effects_network_def": network_named("effects")}
    editor = {name: (one_of.weights_file("mask", 3), one_of.in_channels("mask")) for name, one_of in families.items()}
    if all((one.root / "models" / file).is_file() for file, _ in editor.values()):
        return editor
    return {"network_def": ("model.pt", one.metadata["network_data_format"]["inputs"]["image"]["num_channels"])}


def hub_entry(one: Checked) -> None:
    """``hf_models``: page, licence, and metadata with an address and the version in the changelog."""
    one.require_weights()
    entry = Path(str(one.export)) / "hf_models" / one.root.name
    missing = [name for name in ("README.md", "LICENSE", "metadata.json") if not (entry / name).is_file()]
    require(not missing, f"{', '.join(missing)} missing")
    metadata = json.loads((entry / "metadata.json").read_bytes())
    whole = metadata["version"] in metadata["changelog"] and "huggingface_url" in metadata
    require(whole, "metadata without huggingface_url, or its version not in the changelog")


def unit_test(one: Checked) -> None:
    """The zoo's unit test, from the zoo's root: both workflows have all that MONAI looks for, and run."""
    one.require_weights()
    place = Path("ci") / "unit_tests" / f"test_{one.root.name}.py"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, str(place)], cwd=one.export, env=environment, capture_output=True, text=True)
    require(done.returncode == 0, done.stderr[-2000:])


CHECKS: tuple[Callable[[Checked], None], ...] = (
    files,
    weights,
    changelog,
    schema,
    scores,
    packages,
    shapes,
    traced,
    hub_entry,
    unit_test,
)
#: Those that take a minute.
SLOW = (traced, unit_test)


@contextmanager
def heard(lines: list[str]) -> Iterator[None]:
    """Collect warnings of Python and of loggers."""

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{record.name}: {record.getMessage()}")

    keep = Keep(level=logging.WARNING)
    logging.getLogger().addHandler(keep)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            yield
        lines += [f"{one.category.__name__}: {one.message}" for one in caught]
    finally:
        logging.getLogger().removeHandler(keep)


def check(one: Checked, quick: bool = False) -> Iterator[tuple[str, str, str, list[str]]]:
    """
    Run the checks.

    Yields:
        ``ok``, ``skipped`` or ``failed``; the check's name; why; and warnings.
    """
    for function in CHECKS:
        name, lines = function.__name__, []
        try:
            if quick and function in SLOW:
                raise Skip("--quick")
            with heard(lines), redirect_stdout(sys.stderr):
                function(one)
            yield "ok", name, (function.__doc__ or "").splitlines()[0], lines
        except Skip as error:
            yield "skipped", name, str(error), lines
        except Exception as error:
            yield "failed", name, f"{type(error).__name__}: {error}", lines


def main() -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", action="append", choices=BUNDLES, help="only this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="without traced networks and unit tests")
    given = parser.parse_args()
    failed = 0
    for bundle in given.bundle or BUNDLES:
        with tempfile.TemporaryDirectory(prefix="mededit_zoo_") as name:
            source, export = REPOSITORY / "bundles" / bundle, Path(name) / "zoo"
            if any((source / "models").glob("*.pt")):
                facts = export_bundle(source, "zoo", export, hub_id="ORG/NAME")
                one = Checked(export / "models" / facts["name"], export)
            else:
                one = Checked(source, None)
            print(f"\n{bundle}: {one.root.name}")
            for state, check_name, said, lines in check(one, given.quick):
                failed += state == "failed"
                print(f"{state:<8} {check_name}: {said}", flush=True)
                for line in dict.fromkeys(lines):
                    print(f"         warning: {' '.join(line.split())[:200]}")
    print("\nNot checked here:", *NOT_HERE, sep="\n- ")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
