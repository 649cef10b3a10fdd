# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit synthesize`: a volume from its segmentation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from mededit_monai.cli.generated import BUNDLE, JSON, add_verb, say_written
from mededit_monai.core.errors import SomeFailed
from mededit_monai.core.options import Option, options_of
from mededit_monai.synthesis.options import SynthesisOptions

#: Files laid over the bundle's config.
CONFIG = Option(
    name="config",
    help="YAML laid over the bundle's inference.yaml, for other modalities and sizes: a path, or the name of one of "
    "the bundle's own, such as four_modalities.yaml; may be repeated.",
    file=True,
    several=True,
)


def register(app: typer.Typer) -> None:
    """Add the verb to the program."""
    declared = [one for one in options_of(SynthesisOptions).values() if one.verb]
    bundle = replace(
        BUNDLE, default="semantic_synthesis", help="semantic_synthesis, a bundle's folder, or hf:ORG/NAME."
    )
    add_verb(
        app,
        "synthesize",
        [declared[0], bundle, CONFIG, *declared[1:], JSON],
        synthesize_command,
        "Synthesize brain volumes from a segmentation (Med-DDPM). Defaults are the bundle's.",
        "mededit synthesize --mask seg.nii.gz --samples 4 -o out",
    )


def synthesize_command(given: dict[str, Any]) -> None:
    """Synthesize, and say where the results are; what was done before is said too."""
    from mededit_monai.workflows import synthesize

    as_json, overlays = given.pop("json"), given.pop("config", ())
    try:
        say_written(synthesize(overlays=overlays, **given), as_json, _line)
    except SomeFailed as some:
        say_written(some.written, as_json, _line, some.failed)
        raise


def _line(folder: Path) -> str:
    return f"{folder}: look at {sorted(folder.rglob('*.png'))[0]}"
