# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A client's request as an edit, and the edit as an answer; nothing of MONAI Label is imported here."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mededit_monai import edit
from mededit_monai.core.errors import InputError

#: What a client can choose, with its type. No file is among them: a client names no file of the server's.
OPTIONS: dict[str, type] = {
    "method": str,
    "condition": str,
    "spatial_dims": int,
    "slice_index": str,
    "effects": float,
    "steps": int,
    "seed": int,
}

#: What of the provenance goes back.
TOLD = ("method", "seed", "nfe", "seconds", "warnings")


def edited_image(
    request: Mapping[str, Any], bundle: str, run: Callable[..., list[Path]] = edit
) -> tuple[str, dict[str, Any]]:
    """
    Edit the image of a request.

    Args:
        request: of MONAI Label: ``image``, path of a T1 scan; ``label``, path of the lesion's mask on its grid;
            ``device``; any of ``OPTIONS``. Its other entries are MONAI Label's own.
        bundle: ``stroke`` or ``tumor``.
        run: edits; :func:`mededit_monai.edit`.

    Returns:
        path of the edited image, which whoever asked removes, and facts about it.

    Raises:
        InputError: no image or label, an option that is none of its type, and what the edit refuses.
    """
    for name, what in (("image", "a T1 scan"), ("label", "the mask of the lesion, sent with the request")):
        if not isinstance(request.get(name), str) or not Path(request[name]).is_file():
            raise InputError(f"{name}: got {request.get(name)!r}, wanted {what}, as a file.")
    options = {name: _value(name, request[name]) for name in OPTIONS if request.get(name) not in (None, "")}
    if request.get("device"):
        options["device"] = str(request["device"])
    with tempfile.TemporaryDirectory(prefix="mededit_label_") as name:
        out = Path(name) / "out"
        (folder,) = run(request["image"], request["label"], out, bundle=bundle, progress=False, **options)
        (volume,) = folder.glob("edited.*")
        facts = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
        with tempfile.NamedTemporaryFile(suffix="".join(volume.suffixes), delete=False) as answer:
            shutil.copyfile(volume, answer.name)
    return answer.name, {"synthetic": True} | {key: facts[key] for key in TOLD if key in facts}


def _value(name: str, given: Any) -> Any:
    """An option as its type has it; a form sends numbers as text."""
    if name == "slice_index" and str(given).isdecimal():
        return int(given)
    try:
        return OPTIONS[name](given)
    except (TypeError, ValueError):
        raise InputError(
            f"{name}: got {given!r}, wanted {'a whole' if OPTIONS[name] is int else 'a'} number."
        ) from None
