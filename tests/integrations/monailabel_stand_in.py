# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
As much of MONAI Label as the app needs, with the signatures of its ``interfaces.app`` and
``interfaces.tasks.infer_v2``: MONAI Label itself is not installed where the tests run.
"""

from __future__ import annotations

import copy
import sys
from abc import ABCMeta, abstractmethod
from enum import Enum
from types import ModuleType


class InferType(str, Enum):
    """Kinds of models."""

    SEGMENTATION = "segmentation"
    OTHERS = "others"


class InferTask(metaclass=ABCMeta):
    """A model."""

    def __init__(self, type, labels, dimension, description, config=None):
        self.type, self.dimension, self.description = type, dimension, description
        self.labels = [] if labels is None else [labels] if isinstance(labels, str) else labels
        self._config = dict(config or {})

    def info(self):
        """What clients are told."""
        facts = {"type": self.type, "labels": self.labels, "dimension": self.dimension}
        return facts | {"description": self.description, "config": self.config()}

    def config(self):
        """What a client's user can set."""
        return self._config

    @abstractmethod
    def is_valid(self):
        """Whether it can be used."""

    @abstractmethod
    def __call__(self, request):
        """File and facts."""


class MONAILabelApp:
    """An app."""

    def __init__(self, app_dir, studies, conf, name="", description="", version="2.0", labels=None):
        self.app_dir, self.studies, self.conf = app_dir, studies, conf if conf else {}
        self.name, self.description, self.version, self.labels = name, description, version, labels
        self._infers = self.init_infers()

    def init_infers(self):
        """Models by name."""
        return {}

    def info(self):
        """What clients are told."""
        return {"models": {key: task.info() for key, task in self._infers.items() if task.is_valid()}}

    def infer(self, request, datastore=None):
        """A model's answer."""
        task = self._infers[request["model"]]
        request = copy.deepcopy(request) | {"description": task.description, "save_label": False}
        file, facts = task(request)
        return {"label": file, "file": file, "params": facts}


def modules() -> dict[str, ModuleType]:
    """For ``sys.modules``: the names that the app imports."""
    names = ["monailabel", "monailabel.interfaces", "monailabel.interfaces.app", "monailabel.interfaces.tasks"]
    made = {name: ModuleType(name) for name in [*names, "monailabel.interfaces.tasks.infer_v2"]}
    here = sys.modules[__name__]
    made["monailabel.interfaces.app"].MONAILabelApp = here.MONAILabelApp
    for name in ("InferTask", "InferType"):
        setattr(made["monailabel.interfaces.tasks.infer_v2"], name, getattr(here, name))
    return made
