# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a run changed inside components of its bundle's config, which no option of its own records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from mededit_monai.core.paths import user_path
from mededit_monai.core.plain_values import as_written

#: Components of an ``inference.yaml`` that decide what comes out.
DECIDING = (
    "scheduler",
    "network_def",
    "network_size",
    "effects_network_def",
    "autoencoder_def",
    "preprocessing",
    "inferer",
)

#: Stands for a value that one of two configs does not have.
_ABSENT = object()


def overridden(parser: ConfigParser, bundle_root: str | Path) -> dict[str, dict[str, Any]]:
    """
    Values inside :data:`DECIDING` that differ from those of the bundle's own ``inference.yaml``: of overlays, and of
    ``--id#key value``. For the request of a case, beside its options.

    Args:
        parser: of the run.

    Returns:
        ``overridden``: id → value (None: left out), as text where it is no plain value, such as
        ``scheduler#prediction_type: epsilon`` with ``configs/thesis_network.yaml``. Empty if nothing was changed, or if
        the bundle has no such file.
    """
    file = user_path(bundle_root) / "configs" / "inference.yaml"
    if not file.is_file():
        return {}
    own, config = ConfigParser.load_config_file(str(file)), parser.get()
    found = {
        key: value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
        for name in DECIDING
        for key, value in _differences(name, own.get(name, _ABSENT), config.get(name, _ABSENT))
    }
    return {"overridden": found} if found else {}


def _differences(name: str, own: Any, now: Any) -> Iterator[tuple[str, Any]]:
    """Innermost values that differ."""
    if isinstance(own, dict) and isinstance(now, dict):
        pairs = {key: (own.get(key, _ABSENT), now.get(key, _ABSENT)) for key in dict.fromkeys([*own, *now])}
    elif isinstance(own, list) and isinstance(now, list) and len(own) == len(now):
        pairs = dict(enumerate(zip(own, now)))
    else:
        if own is not now and as_written(own) != as_written(now):
            yield name, None if now is _ABSENT else now
        return
    for key, (before, after) in pairs.items():
        yield from _differences(f"{name}#{key}", before, after)
