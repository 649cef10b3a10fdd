# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Plugins for the time of a test: loaded as `mededit` loads them, and gone afterwards."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mededit_monai.core import registry
from mededit_monai.diseases import DISEASES
from mededit_monai.methods.record import METHODS
from mededit_monai.sampling.sampler import SAMPLERS

REGISTRIES = (SAMPLERS, METHODS, DISEASES)


@contextmanager
def loaded(*files: Path) -> Iterator[None]:
    """While it lasts, this process is one that was started with the files in ``$MEDEDIT_PLUGINS``."""
    before = [{name: known[name] for name in known} for known in REGISTRIES]
    plugins, modules = set(registry._loaded_plugins), set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        try:
            patch.setenv(registry.PLUGINS_VARIABLE, os.pathsep.join(map(str, files)))
            yield
        finally:
            patch.undo()
            for known, entries in zip(REGISTRIES, before):
                known._entries.clear()
                known._entries.update(entries)
            registry._loaded_plugins.intersection_update(plugins)
            for name in {name for name in sys.modules if name.startswith("mededit_plugin_")} - modules:
                del sys.modules[name]
