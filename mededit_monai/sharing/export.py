# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit export`: a bundle as the MONAI Model Zoo or Hugging Face wants it."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mededit_monai import __version__
from mededit_monai.core.errors import InputError, require_choice
from mededit_monai.core.paths import bundle_root, user_path
from mededit_monai.io.atomic import write_bytes, write_json, write_text
from mededit_monai.io.checksums import APART, CHECKSUMS, OK, UNDECLARED, checksums, weights_states
from mededit_monai.io.finished import finished_folder
from mededit_monai.io.hashing import sha256
from mededit_monai.io.outputs import require_outside
from mededit_monai.io.weight_files import LARGE_FILES, large_files_list, released_files
from mededit_monai.networks.weights import read_weights
from mededit_monai.sharing.hub import EXTRA, require_hub_id
from mededit_monai.sharing.pages import alone, how_to_get_it, hub_metadata, model_card

#: Where a bundle can go.
TARGETS = ("zoo", "hf")

#: Bytes of the largest file that the zoo takes: GitHub shows no larger one.
LARGEST = 25 * 10**6

#: What every bundle needs, whoever takes it.
NEEDED = ("LICENSE", "configs/metadata.json", "docs/README.md", "docs/data_license.txt")


@dataclass(frozen=True)
class Bundle:
    """
    A bundle that is fit to be shared.

    Args:
        root: its folder; metadata: what its ``configs/metadata.json`` says.
        undeclared: weights that no list of checksums names; the exported one does.
        apart: weights that are not here, but released apart.
    """

    root: Path
    metadata: dict[str, Any]
    undeclared: tuple[str, ...]
    apart: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The folder's name among those of others: what the metadata calls the bundle, in lower case."""
        return re.sub(r"\W+", "_", self.metadata["name"].lower(), flags=re.ASCII).strip("_")

    @property
    def page(self) -> str:
        """Its page, for readers who have the bundle alone."""
        text = (self.root / "docs" / "README.md").read_text(encoding="utf-8")
        return alone(text, self.root.name, self.metadata["required_packages_version"].get("mededit_monai", __version__))

    @property
    def edits(self) -> bool:
        """Whether it edits scans; else it synthesizes volumes."""
        return "scan" in yaml.safe_load((self.root / "configs" / "inference.yaml").read_bytes())


def export_bundle(
    bundle: str | Path,
    to: str,
    output_dir: str | Path,
    hub_id: str | None = None,
    files_url: str | None = None,
) -> dict[str, Any]:
    """
    Write a bundle as somebody else keeps it.

    Args:
        bundle: a name or a folder.
        to: ``zoo``: what goes into a clone of the MONAI Model Zoo, ``models/NAME``, ``ci/unit_tests`` and, with
            ``hub_id``, ``hf_models/NAME``. ``hf``: ``NAME``, as ``monai.bundle push_to_hf_hub`` lays it out, with a
            model card and the weights as safetensors too.
        output_dir: a new folder.
        hub_id: ORG/NAME of the bundle on Hugging Face, for the pages.
        files_url: web address that the names of files are put behind that are too large for the zoo, or released apart.

    Returns:
        ``written``, ``name``, ``to``, ``files``, ``bytes``, ``large_files`` (left out), ``undeclared`` (weights that no
        checksum was declared for) and ``apart`` (weights that are not here, but released apart).

    Raises:
        InputError: a folder that is there or lies in the bundle, or a bundle that is not whole.
    """
    require_choice("to", to, TARGETS)
    if hub_id is not None:
        require_hub_id("hub_id", hub_id)
    if files_url is not None and (to != "zoo" or not re.match(r"https?://", files_url)):
        raise InputError(f"--files_url: got '{files_url}', wanted a web address (https://…), with --to zoo alone.")
    final = user_path(output_dir)
    if os.path.lexists(final) and (not final.is_dir() or any(final.iterdir())):
        raise InputError(f"--output_dir: {final} is there already, and an export replaces nothing; name a new folder.")
    root = bundle_root(bundle)
    require_outside(final, root, "the bundle, so the next export would pack it too")
    source = whole_bundle(root)
    with finished_folder(final, bundle=source.name) as folder:
        large = (_write_zoo if to == "zoo" else _write_hub)(source, folder, hub_id, files_url)
    written = [p for p in final.rglob("*") if p.is_file()]
    return {
        "written": str(final),
        "name": source.name,
        "to": to,
        "files": len(written),
        "bytes": sum(p.stat().st_size for p in written),
        "large_files": large,
        "undeclared": list(source.undeclared),
        "apart": list(source.apart),
    }


def whole_bundle(root: Path) -> Bundle:
    """
    Look whether a bundle can be shared.

    Raises:
        InputError: a file that is missing, or weights that are not those declared, or hold more than tensors.
    """
    for name in NEEDED:
        if not (root / name).is_file():
            raise InputError(f"{root / name}: not found; a bundle that is shared needs it.")
    try:
        metadata = json.loads((root / "configs" / "metadata.json").read_bytes())
        metadata["name"], metadata["version"], metadata["required_packages_version"]
    except (ValueError, KeyError, TypeError) as error:
        place = root / "configs" / "metadata.json"
        raise InputError(
            f"{place}: no JSON with name, version and required_packages_version ({error}); mend it."
        ) from None
    states = weights_states(root / "models")
    if "model.pt" not in states:
        raise InputError(f"{root / 'models' / 'model.pt'}: not found; train the bundle and put its weights there.")
    here = {name: state for name, state in states.items() if state != APART}
    for name, state in here.items():
        if state not in (OK, UNDECLARED):
            way = "bring the file back, or the list up to date with sha256sum"
            raise InputError(f"{root / 'models' / name}: {state} in {CHECKSUMS}; {way}.")
        if name.endswith(".pt"):
            read_weights(root / "models" / name)
    undeclared = tuple(name for name, state in here.items() if state == UNDECLARED)
    return Bundle(root, metadata, undeclared, tuple(name for name in states if name not in here))


def _write_zoo(source: Bundle, folder: Path, hub_id: str | None, files_url: str | None) -> list[str]:
    home = folder / "models" / source.name
    large = [name for name in _files(source.root) if (source.root / name).stat().st_size > LARGEST]
    if large and files_url is None:
        way = "put it on the web and give the address of its folder"
        raise InputError(f"--files_url: {large[0]} is larger than the {LARGEST // 10**6} MB that the zoo takes; {way}.")
    _copy(source, home, without=large)
    if files_url is not None and (large or source.apart):
        known = {name: one for name, one in released_files(source.root).items() if name in source.apart}
        entries = [(name, Path(name).name, sha256(source.root / name)) for name in large]
        entries += [(f"models/{name}", one.asset, one.digest) for name, one in known.items()]
        write_text(home / LARGE_FILES, large_files_list(entries, files_url))
    template = Path(__file__).with_name("zoo_unit_test.py").read_text(encoding="utf-8")
    tests = folder / "ci" / "unit_tests"
    tests.mkdir(parents=True)
    write_text(tests / f"test_{source.name}.py", template.replace("BUNDLE_NAME", source.name))
    if hub_id is not None:
        entry = folder / "hf_models" / source.name
        entry.mkdir(parents=True)
        shutil.copyfile(source.root / "LICENSE", entry / "LICENSE")
        page = model_card(source.page, source.root, how_to_get_it(hub_id, source.name, source.edits))
        write_text(entry / "README.md", page)
        write_json(entry / "metadata.json", hub_metadata(source.metadata, hub_id), indent=4)
    return large


def _write_hub(source: Bundle, folder: Path, hub_id: str | None, files_url: str | None) -> list[str]:
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise InputError(f"--to hf: needs safetensors; run pip install '{EXTRA}'.") from error
    home = folder / source.name
    _copy(source, home)
    for place in sorted((home / "models").glob("*.pt")):
        tensors = {key: tensor.contiguous() for key, tensor in read_weights(place).items()}
        write_bytes(place.with_suffix(".safetensors"), save(tensors, metadata={"format": "pt"}))
    write_text(home / "models" / CHECKSUMS, checksums(home / "models"))
    use = how_to_get_it(hub_id, source.name, source.edits) if hub_id else ""
    write_text(home / "README.md", model_card(source.page, source.root, use))
    return []


def _copy(source: Bundle, home: Path, without: list[str] | None = None) -> None:
    """The bundle's files, links resolved; its page and its list of checksums are written anew."""
    for name in _files(source.root):
        if name in (without or ()):
            continue
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.root / name, home / name)
    write_text(home / "docs" / "README.md", source.page)
    write_text(home / "models" / CHECKSUMS, checksums(source.root / "models"))


def _files(root: Path) -> list[str]:
    """What belongs to a bundle, relative to its folder: nothing hidden or compiled, nothing that an export adds."""
    found = []
    for folder, inner, names in os.walk(root, followlinks=True):
        inner[:] = sorted(name for name in inner if not name.startswith((".", "__pycache__")))
        found += [Path(folder, name) for name in names if not name.startswith(".") and not name.endswith(".pyc")]
    relative = sorted(place.relative_to(root).as_posix() for place in found)
    return [name for name in relative if name not in ("README.md", LARGE_FILES) and not name.endswith(".safetensors")]
