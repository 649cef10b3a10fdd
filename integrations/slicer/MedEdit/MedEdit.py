# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A module of 3D Slicer: the lesion that was drawn on a T1 scan, with its effects elsewhere, by `mededit edit`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import ctk
import qt
import slicer
from MedEditLib.edit_program import Edit, Result, Run
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleWidget,
)

#: Key of the program's path among Slicer's settings.
PROGRAM = "MedEdit/Program"

#: Milliseconds between two looks at a running edit.
INTERVAL = 500

NOTE = "Research use only, not a medical device. The edited volume is synthetic."


class MedEdit(ScriptedLoadableModule):
    """What Slicer's list of modules says."""

    def __init__(self, parent: object) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "MedEdit"
        self.parent.categories = ["Simulation"]
        self.parent.dependencies = []
        self.parent.contributors = ["the mededit_monai authors"]
        self.parent.helpText = f"Adds a drawn lesion, and its effects elsewhere, to a T1 scan of the brain. {NOTE}"
        self.parent.acknowledgementText = "Counterfactual Diffusion-based Image Editing on Brain MRI, arXiv 2407.15270."


class MedEditWidget(ScriptedLoadableModuleWidget):
    """The panel."""

    def setup(self) -> None:
        """Build the panel."""
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = MedEditLogic()
        self.timer = qt.QTimer()
        self.timer.setInterval(INTERVAL)
        self.timer.connect("timeout()", self.onTimer)

        box = ctk.ctkCollapsibleButton()
        box.text = "Edit"
        self.layout.addWidget(box)
        form = qt.QFormLayout(box)

        self.program = ctk.ctkPathLineEdit()
        self.program.filters = ctk.ctkPathLineEdit.Files
        self.program.currentPath = qt.QSettings().value(PROGRAM, "")
        form.addRow("mededit program:", self.program)

        self.scan = self._selector(["vtkMRMLScalarVolumeNode"], none=False)
        form.addRow("T1 scan:", self.scan)
        self.lesion = self._segments()
        form.addRow("Lesion:", self.lesion)
        self.brain = self._segments()
        self.brain.noneEnabled = True
        form.addRow("Brain (optional):", self.brain)

        self.carry = slicer.qMRMLCheckableNodeComboBox()
        self.carry.nodeTypes = ["vtkMRMLLabelMapVolumeNode"]
        self.carry.setMRMLScene(slicer.mrmlScene)
        form.addRow("Label maps to carry:", self.carry)

        self.bundle = qt.QComboBox()
        self.bundle.addItems(["stroke", "tumor"])
        form.addRow("Disease:", self.bundle)
        self.seed = qt.QSpinBox()
        self.seed.maximum = 2**31 - 1
        form.addRow("Seed:", self.seed)
        self.more = qt.QLineEdit()
        self.more.setPlaceholderText("further options, such as --effects 0.5")
        form.addRow("Options:", self.more)

        self.bar = qt.QProgressBar()
        form.addRow(self.bar)
        self.start = qt.QPushButton("Edit")
        self.start.connect("clicked()", self.onStart)
        self.cancel = qt.QPushButton("Cancel")
        self.cancel.connect("clicked()", self.onCancel)
        row = qt.QHBoxLayout()
        row.addWidget(self.start)
        row.addWidget(self.cancel)
        form.addRow(row)
        form.addRow(qt.QLabel(NOTE))
        self.layout.addStretch(1)
        self._show(running=False)

    def cleanup(self) -> None:
        """The module goes: its edit goes too."""
        self.timer.stop()
        self.logic.cancel()

    def onStart(self) -> None:
        """Write the files, and start the program."""
        with slicer.util.tryWithErrorDisplay("The edit cannot be started."):
            qt.QSettings().setValue(PROGRAM, self.program.currentPath)
            self.logic.start(
                self.program.currentPath,
                self.scan.currentNode(),
                (self.lesion.currentNode(), self.lesion.currentSegmentID()),
                (self.brain.currentNode(), self.brain.currentSegmentID()),
                self.carry.checkedNodes(),
                self.bundle.currentText,
                self.seed.value,
                self.more.text,
            )
            self._show(running=True)
            self.timer.start()

    def onCancel(self) -> None:
        """End the program."""
        self.timer.stop()
        self.logic.cancel()
        self._show(running=False)

    def onTimer(self) -> None:
        """Show how far it is; load the result at the end."""
        if self.logic.running:
            self.bar.setValue(self.logic.progress())
            return
        self.timer.stop()
        self._show(running=False)
        with slicer.util.tryWithErrorDisplay("The edit failed."):
            warnings = self.logic.load()
            if warnings:
                slicer.util.warningDisplay("\n".join(warnings), "MedEdit")

    def _show(self, running: bool) -> None:
        self.start.enabled, self.cancel.enabled = not running, running
        self.bar.visible = running
        self.bar.setValue(0)

    @staticmethod
    def _selector(types: list[str], none: bool) -> object:
        found = slicer.qMRMLNodeComboBox()
        found.nodeTypes = types
        found.noneEnabled, found.addEnabled, found.removeEnabled = none, False, False
        found.setMRMLScene(slicer.mrmlScene)
        return found

    @staticmethod
    def _segments() -> object:
        found = slicer.qMRMLSegmentSelectorWidget()
        found.setMRMLScene(slicer.mrmlScene)
        return found


class MedEditLogic(ScriptedLoadableModuleLogic):
    """From nodes of the scene to files, and back; what runs in between is in MedEditLib."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self._run: Run | None = None
        self._folder: Path | None = None
        self._name = ""

    def start(
        self,
        program: str,
        scan: object,
        lesion: tuple[object, str],
        brain: tuple[object, str],
        carry: list[object],
        bundle: str,
        seed: int,
        more: str,
    ) -> None:
        """
        Write the nodes to files, and start the program.

        Args:
            scan: volume node; lesion, brain: segmentation node and the id of its segment; carry: label maps.

        Raises:
            ValueError: no scan or no lesion. OSError: the program cannot be started.
        """
        if scan is None or lesion[0] is None or not lesion[1]:
            raise ValueError("Choose a scan, and the segment that is the lesion.")
        self.cancel()
        self._folder, self._name = Path(tempfile.mkdtemp(prefix="mededit_")), scan.GetName()
        files = {"scan": self._folder / "scan.nii.gz", "lesion": self._folder / "lesion.nii.gz"}
        slicer.util.saveNode(scan, str(files["scan"]))
        self._save_segment(*lesion, scan, files["lesion"])
        if brain[0] is not None and brain[1]:
            files["brain"] = self._folder / "brain.nii.gz"
            self._save_segment(*brain, scan, files["brain"])
        labels = [self._folder / f"labels_{index}.nii.gz" for index, _ in enumerate(carry)]
        for node, path in zip(carry, labels):
            slicer.util.saveNode(node, str(path))
        edit = Edit(
            f'"{program}"' if Path(program).is_file() else program,
            files["scan"],
            files["lesion"],
            self._folder / "out",
            bundle=bundle,
            brain=files.get("brain"),
            carry=tuple(labels),
            seed=seed,
            more=more,
        )
        self._run = Run(edit, self._folder, slicer.util.startupEnvironment())

    @property
    def running(self) -> bool:
        """Whether an edit runs."""
        return self._run is not None and self._run.running

    def progress(self) -> int:
        """Per cent."""
        return 0 if self._run is None else self._run.progress()

    def cancel(self) -> None:
        """End the edit, if one runs, and remove its files."""
        if self._run is not None:
            self._run.cancel()
        self._clear()

    def load(self) -> tuple[str, ...]:
        """
        Load volume, displacement and carried label maps, and show the volume.

        Returns:
            the program's warnings.

        Raises:
            RuntimeError: it failed, with the sentence that it said.
        """
        if self._run is None:
            return ()
        try:
            found: Result = self._run.result()
            volume = slicer.util.loadVolume(str(found.volume), {"name": f"{self._name} edited (synthetic)"})
            if found.displacement is not None:
                node = slicer.util.loadTransform(str(found.displacement))
                node.SetName(f"{self._name} displacement")
            for path in found.carried:
                slicer.util.loadLabelVolume(str(path), {"name": f"{path.name.split('.')[0]} carried"})
            slicer.util.setSliceViewerLayers(background=volume)
            return found.warnings
        finally:
            self._clear()

    def _clear(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._run, self._folder = None, None

    @staticmethod
    def _save_segment(node: object, segment: str, scan: object, path: Path) -> None:
        """A segment as a label map on the scan's grid."""
        labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
        try:
            slicer.modules.segmentations.logic().ExportSegmentsToLabelmapNode(node, [segment], labels, scan)
            slicer.util.saveNode(labels, str(path))
        finally:
            slicer.mrmlScene.RemoveNode(labels)
