# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""An app of MONAI Label whose models edit a scan, and answer with the edited image."""

from __future__ import annotations

from lib.infers.mededit import BUNDLES, MedEdit
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.infer_v2 import InferTask


class MyApp(MONAILabelApp):
    """What `monailabel start_server --app` looks for; ``--conf models stroke,tumor`` says which models it offers."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        wanted = [name.strip() for name in (conf.get("models") or ",".join(BUNDLES)).split(",") if name.strip()]
        unknown = [name for name in wanted if name not in BUNDLES]
        if unknown:
            raise SystemExit(f"--conf models: got {', '.join(unknown)}, wanted some of {', '.join(BUNDLES)}.")
        self.bundles = wanted
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="MedEdit",
            description="Adds a lesion, and its effects elsewhere, to a T1 scan of the brain. Research use only.",
        )

    def init_infers(self) -> dict[str, InferTask]:
        """A model a bundle."""
        return {f"mededit_{name}": MedEdit(name) for name in self.bundles}
