# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What ``--cluster`` says: where the workers are. Light, so that an option can be checked without Dask."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mededit_monai.core.errors import InputError, require_choice, require_whole
from mededit_monai.core.options import option
from mededit_monai.core.paths import user_path

#: Most workers that a word may ask for.
MOST_WORKERS = 4096

#: Help of ``--cluster``.
HELP = (
    "Share the cases out to workers: local:N (processes here), tcp://HOST:PORT (a Dask scheduler), or a YAML file of a "
    "SLURM or PBS cluster; docs/how_to/at_scale.md."
)

#: What a YAML file may be about: classes of dask-jobqueue.
SYSTEMS = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
    "oar": "OARCluster",
}

_ADDRESS = re.compile(r"(tcp|tls)://[^\s/:]+:\d+|(tcp|tls)://\[[0-9a-fA-F:]+\]:\d+")


def cluster_option(group: str) -> Any:
    """The option of a verb that can share its cases out."""
    return option(None, HELP, group=group)


@dataclass(frozen=True)
class Where:
    """
    Where the workers are.

    Args:
        workers: processes here; None: elsewhere.
        address: of a scheduler that somebody started.
        system: one of :data:`SYSTEMS`; settings: of its class; jobs: how many it is to run.
    """

    workers: int | None = None
    address: str | None = None
    system: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    jobs: int = 0

    @classmethod
    def of(cls, word: Any) -> Where:
        """
        Raises:
            InputError: a word that is none, or a file that cannot be used.
        """
        text = str(word).strip() if isinstance(word, str) else ""
        kind, _, rest = text.partition(":")
        if kind == "local" and rest.isdecimal():
            require_whole("cluster", int(rest), 1, most=MOST_WORKERS)
            return cls(workers=int(rest))
        if _ADDRESS.fullmatch(text):
            return cls(address=text)
        if text.endswith((".yaml", ".yml")):
            return cls._of_file(text)
        raise InputError(
            f"--cluster: got {word!r}, wanted local:N (so many processes here), tcp://HOST:PORT (a Dask scheduler) or "
            f"a YAML file about a SLURM or PBS cluster."
        )

    @classmethod
    def _of_file(cls, name: str) -> Where:
        path = user_path(name)
        try:
            content = yaml.safe_load(path.read_bytes())
        except FileNotFoundError as error:
            raise InputError(f"--cluster: {name} not found; give an existing YAML file.") from error
        except (OSError, yaml.YAMLError) as error:
            why = " ".join(str(error).split())[:200]
            raise InputError(f"--cluster: {name} cannot be read as YAML ({why}); mend it.") from error
        if not isinstance(content, dict) or not {"system", "jobs"} <= set(content):
            raise InputError(
                f"--cluster: {name} does not say 'system' ({', '.join(SYSTEMS)}) and 'jobs' (how many); add them."
            )
        settings = {str(key): value for key, value in content.items() if key not in ("system", "jobs")}
        require_choice(f"cluster {Path(name).name}, system", content["system"], tuple(SYSTEMS))
        require_whole(f"cluster {Path(name).name}, jobs", content["jobs"], 1, most=MOST_WORKERS)
        return cls(system=content["system"], settings=settings, jobs=content["jobs"])


def require_cluster(word: Any) -> None:
    """Refuse what ``--cluster`` cannot be; None, not given, will do. InputError."""
    if word is not None:
        Where.of(word)
