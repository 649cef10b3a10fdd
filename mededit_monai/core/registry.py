# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Samplers, methods and diseases by name: the package's own, and those that a file outside of it adds."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import TypeVar

from mededit_monai.core.errors import InputError, require_choice

#: Names Python files to load, separated as in PATH; installed packages use the entry points of the group instead.
PLUGINS_VARIABLE, PLUGINS_GROUP = "MEDEDIT_PLUGINS", "mededit_monai.plugins"

Entry = TypeVar("Entry")


class Registry(Mapping[str, Entry]):
    """
    What an option chooses from, by name: the package's own in their order, then the others as they were registered.

    The package's own entries, then those of plugins, are loaded when something is first looked up, so that a module
    with a registry stays light to import.

    Args:
        option: name of the option that chooses, for sentences.
        builtin: modules that register the package's own entries when they are imported, each named as its entry.
    """

    def __init__(self, option: str, builtin: Sequence[str] = ()) -> None:
        self.option, self._builtin = option, {module.rpartition(".")[2]: module for module in builtin}
        self._entries: dict[str, Entry] = {}

    def add(self, name: str, entry: Entry) -> Entry:
        """
        Register an entry.

        Raises:
            InputError: another one bears the name.
        """
        if self._entries.setdefault(name, entry) is not entry:
            raise InputError(f"--{self.option}: '{name}' is registered twice; rename the one that was added.")
        return entry

    def names(self) -> tuple[str, ...]:
        """All names, the package's own first."""
        return tuple(self)

    def __getitem__(self, name: str) -> Entry:
        """
        Raises:
            InputError: no such entry; names the known ones and the nearest.
        """
        require_choice(self.option, name, tuple(self))
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._loaded()

    def __iter__(self) -> Iterator[str]:
        # Whichever module somebody imported first, lists that people read have one order.
        known = self._loaded()
        return iter([*(name for name in self._builtin if name in known), *(n for n in known if n not in self._builtin)])

    def __len__(self) -> int:
        return len(self._loaded())

    def _loaded(self) -> dict[str, Entry]:
        for module in self._builtin.values():
            importlib.import_module(module)
        load_plugins(os.environ.get(PLUGINS_VARIABLE, ""))
        return self._entries


#: Plugins that were loaded, or are being loaded: one may look up the package's own entries.
_loaded_plugins: set[str] = set()


def load_plugins(files: str) -> None:
    """
    Import the plugins: files named by ``$MEDEDIT_PLUGINS``, and installed ones. Each is imported once.

    Raises:
        InputError: a file that is not there or cannot be run; says why.
    """
    for given in filter(None, files.split(os.pathsep)):
        path = Path(os.path.expanduser(given))
        if (place := str(path.absolute())) in _loaded_plugins:
            continue
        if not path.is_file():
            raise InputError(f"{PLUGINS_VARIABLE}: {given} not found; name existing Python files.")
        name = f"mededit_plugin_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise InputError(f"{PLUGINS_VARIABLE}: {given} is no Python file; name files that end in .py.")
        _loaded_plugins.add(place)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # for pickles, which workers are sent
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            _loaded_plugins.discard(place)  # who tries again is told again
            if isinstance(error, InputError):
                raise
            raise InputError(f"{PLUGINS_VARIABLE}: {given} cannot be run ({error!r}); mend it.") from error
    if PLUGINS_GROUP not in _loaded_plugins:
        _loaded_plugins.add(PLUGINS_GROUP)
        for point in entry_points(group=PLUGINS_GROUP):
            point.load()
