# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What an edit's provenance says, as headings, names and texts for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

#: Options that stand among the facts, under these names.
_EDIT = {
    "disease": "disease",
    "method": "method",
    "condition": "told of the lesion",
    "region": "region",
    "spatial_dims": "dimensions",
    "effects": "strength",
    "global_atrophy": "global atrophy",
    "sampler": "sampler",
    "steps": "noise levels",
    "resample": "resampling",
    "guidance": "guidance",
    "restore": "texture",
    "seed": "seed",
}

Facts = dict[str, list[tuple[str, str]]]


def facts_of(provenance: Mapping[str, Any], effects: Sequence[Mapping[str, Any]] = ()) -> Facts:
    """
    Heading → names and texts; what is not known is left out.

    Args:
        provenance: of an edit.
        effects: ``effects.json`` of its samples or steps.
    """
    options = provenance.get("options", {})
    found = {
        "Edit": [
            *_some({"case": provenance.get("case_id"), "lesion": _with_unit(provenance.get("lesion_ml"), "ml")}),
            *_some({name: options.get(key) for key, name in _EDIT.items()}),
            *_some({"model's pixel": _with_unit(provenance.get("model_pixel_mm"), "mm")}),
            *_some({"painter's pixel": _with_unit(provenance.get("paint_pixel_mm"), "mm")}),
            *_some({"brain": _brain(provenance)}),
        ],
        "What moved": [
            *_some({"largest displacement": _span(effects, "largest_displacement_mm", "mm")}),
            *_some({"midline shift": _span(effects, "midline_shift_mm", "mm")}),
            *_some({"smallest Jacobian": _span(effects, "smallest_jacobian", "")}),
        ],
        "Cost": list(
            _some(
                {"network evaluations": provenance.get("nfe"), "time": _with_unit(provenance.get("seconds"), "seconds")}
            )
        ),
        "Files, by SHA-256": list(_files(provenance)),
        "Versions": list(_some(provenance.get("versions", {}))),
        "All options": list(_some(options)),
    }
    return {heading: facts for heading, facts in found.items() if facts}


def _some(named: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    return ((name, _text(value)) for name, value in named.items() if value not in (None, "", [], {}))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    return ", ".join(map(_text, value)) if isinstance(value, (list, tuple)) else str(value)


def _with_unit(value: Any, unit: str) -> str | None:
    return f"{value:.3g} {unit}".strip() if isinstance(value, (int, float)) else None


def _span(effects: Iterable[Mapping[str, Any]], key: str, unit: str) -> str | None:
    """A figure of all steps: its value, or the smallest and largest."""
    found = [one[key] for one in effects if isinstance(one.get(key), (int, float))]
    if not found:
        return None
    low, high = (_with_unit(one, unit) for one in (min(found), max(found)))
    return high if low == high else f"{low} to {high}"


def _brain(provenance: Mapping[str, Any]) -> str | None:
    words = {"file": "mask given", "background": "all that is not background", "network": "found by a network"}
    source = provenance.get("brain_source")
    return words.get(str(source), source)


def _files(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names without their folders, which are nobody's business but the user's."""
    named = provenance.get("files", {})
    for key, digest in provenance.get("inputs", {}).items():
        yield f"{key}: {PurePath(str(named.get(key, ''))).name or key}", str(digest)
    for key, digest in provenance.get("options", {}).items():
        if key.endswith("_sha256") and digest:
            yield key.removesuffix("_sha256"), str(digest)
