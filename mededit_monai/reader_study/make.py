# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit study make`: images chosen, blinded, and written as one page for raters and a key for whoever asks them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from mededit_monai import __version__
from mededit_monai.core.errors import InputError, require_choice, require_whole
from mededit_monai.core.paths import user_path
from mededit_monai.datasets.pairing import PAIRINGS
from mededit_monai.io.atomic import json_bytes
from mededit_monai.io.formats.registry import image_sha256
from mededit_monai.io.held import held_folder
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.reader_study.blinding import Item, choose_images, make_items, rater_orders
from mededit_monai.reader_study.design import Design, design_content, design_file, read_design
from mededit_monai.reader_study.images import Candidate, evaluation_images, table_images, with_strata
from mededit_monai.reader_study.page import rating_page
from mededit_monai.reader_study.pictures import framed, load_image, pictures, planes_of, same_grid

PAGE, KEY, CHECKSUM, DESIGN, README = "rating.html", "key.json", "key.json.sha256", "design.yaml", "README.txt"
FILES = (PAGE, KEY, CHECKSUM, DESIGN, README)

NOTE = "Some of the images are synthetic. Research use only, not a medical device."

_README = f"""A reader study made by mededit_monai {__version__}. {NOTE}

{PAGE}      for the raters: one file that opens in any browser, without a connection
{KEY}         what each image is; raters must not see it, nor {DESIGN}
{CHECKSUM}  SHA-256 of the key, which the page names, too
"""


def make_study(
    design: str | Path,
    output_dir: str | Path,
    images: str | Path | None = None,
    evaluation: str | Path | None = None,
    cohort: str | Path | None = None,
    pairing: str | None = None,
    per_arm: int | None = None,
    raters: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """
    Choose images by a design, and write the page for the raters and the key.

    Args:
        design: ``thesis``, ``med_ddpm`` or a YAML file.
        output_dir: of ``rating.html``, ``key.json``, ``key.json.sha256``, ``design.yaml`` and ``README.txt``.
        images: CSV file that lists the images; or evaluation: folder of ``mededit evaluate``, of which edits are taken.
        cohort: with an evaluation, where the real images are; default: the evaluation's own pairs.
        pairing: with an evaluation, ``thesis`` or ``paired``; default: the first that there is.
        per_arm, raters: in place of the design's.
        seed: of choice, codes and orders; raters must not know it.

    Returns:
        ``page`` and ``key`` (paths), ``study``, ``images``, ``items`` of a rater, ``raters``, ``synthetic``.

    Raises:
        InputError: bad input, in one sentence; another study in the folder.
    """
    require_whole("seed", seed, 0)
    if (images is None) == (evaluation is None):
        given = "both" if images is not None else "neither"
        raise InputError(f"--images, --evaluation: got {given}; give the one or the other, to say where images are.")
    if evaluation is None and (cohort is not None or pairing is not None):
        raise InputError("--cohort, --pairing: go with --evaluation; leave them out.")
    if pairing is not None:
        require_choice("pairing", pairing, PAIRINGS)
    plan = read_design(design_file(design)).changed(per_arm, raters)
    output = user_path(output_dir)
    OutputFolder(output).require_free(FILES)
    known = (
        table_images(images, plan) if images is not None else evaluation_images(evaluation or "", plan, pairing, cohort)
    )
    chosen = choose_images(known if plan.strata == "none" else with_strata(known), plan, seed)
    items = make_items(chosen, plan, seed)
    orders = rater_orders(items, chosen, plan, seed)
    key = _key(plan, chosen, items, orders, seed, output)
    digest = hashlib.sha256(json_bytes(key)).hexdigest()
    page = rating_page(plan, key["study"], digest, items, orders, *_drawn(plan, chosen, items))
    contents = {
        KEY: json_bytes(key),
        CHECKSUM: f"{digest}  {KEY}\n".encode(),
        PAGE: page.encode(),
        DESIGN: yaml.safe_dump(design_content(plan), sort_keys=False, allow_unicode=True, width=110).encode(),
        README: _README.encode(),
    }
    read = [path for one in chosen for path in one.files.values()]
    with held_folder(output, FILES, read) as folder:
        _require_same_study(output, contents, digest)
        folder.write(contents)
    return {
        "page": str(output / PAGE),
        "key": str(output / KEY),
        "study": key["study"],
        "images": len(chosen),
        "items": len(items),
        "raters": list(plan.raters),
        "synthetic": any(not plan.arm(one.arm).real for one in chosen),
    }


def _drawn(plan: Design, chosen: Sequence[Candidate], items: Sequence[Item]) -> tuple[dict[str, Any], Sequence[Any]]:
    """PNG files of every item, by its code and part; and the planes that they show."""
    shown = framed(same_grid([load_image(one, plan) for one in chosen], plan))
    planes = planes_of(shown[0], plan)
    drawn = {item.code: pictures(shown[item.image], plan.stages[item.stage].shows, planes) for item in items}
    return drawn, planes


def _key(
    plan: Design,
    chosen: Sequence[Candidate],
    items: Sequence[Item],
    orders: Mapping[str, list[list[str]]],
    seed: int,
    output: Path,
) -> dict[str, Any]:
    """What each code stands for. ``study`` is a digest of all else, so that a page and a key belong together."""

    def file(path: Path) -> dict[str, str]:
        return {"path": Path(os.path.relpath(path, output)).as_posix(), "sha256": image_sha256(path)}

    content = {
        "program": "mededit_monai",
        "version": __version__,
        "kind": "key of a reader study",
        "note": f"Keep this from the raters. {NOTE}",
        "seed": seed,
        "design": design_content(plan),
        "images": [
            {
                **{name: getattr(one, name) for name in ("arm", "case", "group", "stratum")},
                "synthetic": not plan.arm(one.arm).real,
                "files": {part: file(path) for part, path in one.files.items()},
            }
            for one in chosen
        ],
        "items": [asdict(item) for item in items],
        "orders": {rater: list(order) for rater, order in orders.items()},
    }
    content = json.loads(json.dumps(content))
    return {"study": hashlib.sha256(json_bytes(content)).hexdigest()[:12], **content}


def _require_same_study(folder: Path, contents: Mapping[str, bytes], digest: str) -> None:
    """
    Raters may be at work with the page that is there: it is never replaced by that of another study.

    Args:
        contents: of the new study's files; digest: SHA-256 of its key, which its page names.

    Raises:
        InputError: names the file; the key may be elsewhere, so its checksum and the page tell as well.
    """
    for name, what in ((KEY, "key"), (CHECKSUM, "checksum of the key")):
        path, content = folder / name, contents[name]
        if path.is_file() and path.read_bytes() != content:
            raise _another_study(path, what)
    page = folder / PAGE
    if page.is_file() and digest.encode() not in page.read_bytes():
        raise _another_study(page, "page")


def _another_study(path: Path, what: str) -> InputError:
    return InputError(
        f"{path}: is the {what} of another study, whose raters may be at work; choose another --output_dir."
    )
