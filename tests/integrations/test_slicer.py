# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the module of 3D Slicer does apart from Slicer: with a program in the place of `mededit`, and once with it."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shlex
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve()
MODULE = HERE.parents[2] / "integrations" / "slicer" / "MedEdit"
FAKE = f"{shlex.quote(sys.executable)} {shlex.quote(str(HERE.with_name('fake_mededit.py')))}"


@pytest.fixture(scope="module")
def program():
    """MedEditLib.edit_program, which lies in no package that can be imported here."""
    spec = importlib.util.spec_from_file_location("slicer_edit_program", MODULE / "MedEditLib" / "edit_program.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there for the types
    spec.loader.exec_module(module)
    return module


def wait(run, seconds: float = 60.0) -> None:
    """Until it has ended."""
    end = time.monotonic() + seconds
    while run.running and time.monotonic() < end:
        time.sleep(0.02)
    assert not run.running


def start(program, tmp_path: Path, how: str, **given):
    edit = program.Edit(f"{FAKE} {how}", tmp_path / "t 1.nii.gz", tmp_path / "a.nii.gz", tmp_path / "out", **given)
    return program.Run(edit, tmp_path)


def test_the_command_line(program):
    files = Path("t1 $a.nii.gz"), Path("lesion.nii.gz"), Path("out")
    edit = program.Edit("python -m mededit_monai.cli", *files, seed=7)
    assert edit.command() == [
        *("python", "-m", "mededit_monai.cli", "edit"),
        *("--scan=t1 $a.nii.gz", "--pathology=lesion.nii.gz", "--output_dir=out"),
        *("--bundle=stroke", "--seed=7", "--json"),
    ]
    more = {
        "bundle": "tumor",
        "brain": Path("b.nii.gz"),
        "effects": 0.5,
        "carry": (Path("-x.nii.gz"), Path("y.nii.gz")),
    }
    words = program.Edit('"/a b/mededit"', *files, **more, more="--condition regions --steps 5").command()
    assert words[0] == "/a b/mededit" and "--brain=b.nii.gz" in words and "--effects=0.5" in words
    assert words[-7:] == ["--carry=-x.nii.gz", "--carry=y.nii.gz", "--condition", "regions", "--steps", "5", "--json"]
    with pytest.raises(ValueError, match="program is missing"):
        program.Edit(" ", *files).command()


def test_an_edit_that_ends_well(program, tmp_path):
    run = start(program, tmp_path, "well", carry=(tmp_path / "labels_0.nii.gz",))
    wait(run)
    found = run.result()
    case = tmp_path / "out" / "scan"
    assert found == program.Result(
        case,
        case / "edited.nii.gz",
        case / "displacement.nii.gz",
        (case / "carried" / "labels_0.nii.gz",),
        ("cut off",),
    )
    assert f"--scan={tmp_path}/t 1.nii.gz" in (tmp_path / "mededit_stderr.txt").read_text()


def test_what_was_refused_is_said(program, tmp_path):
    run = start(program, tmp_path, "refuse")
    wait(run)
    assert run.progress() == 50
    with pytest.raises(RuntimeError, match=r"exit code 2: --seed: got -1, wanted 0 or more\.$"):
        run.result()


def test_a_run_can_be_cancelled(program, tmp_path):
    run = start(program, tmp_path, "hang")
    end = time.monotonic() + 60
    while run.progress() != 45 and time.monotonic() < end:
        time.sleep(0.02)
    assert run.running and run.progress() == 45
    with pytest.raises(RuntimeError, match="still runs"):
        run.result()
    run.cancel()
    assert not run.running
    with pytest.raises(RuntimeError, match="was cancelled"):
        run.result()
    run.cancel()  # again: nothing to do


def test_a_program_that_is_another(program, tmp_path):
    run = start(program, tmp_path, "babble")
    wait(run)
    with pytest.raises(RuntimeError, match="without a result that can be read"):
        run.result()
    with pytest.raises(OSError, match="nowhere"):
        program.Run(program.Edit("/nowhere/mededit", Path("a"), Path("b"), Path("c")), tmp_path)


def test_the_environment_is_the_one_given(program, tmp_path):
    """Slicer's PYTHONHOME would keep another Python from starting."""
    edit = program.Edit(f"{FAKE} well", tmp_path / "a", tmp_path / "b", tmp_path / "out")
    broken = program.Run(edit, tmp_path, {**os.environ, "PYTHONHOME": "/nowhere"})
    wait(broken)
    with pytest.raises(RuntimeError, match="exit code 1"):
        broken.result()
    clean = program.Run(edit, tmp_path, dict(os.environ))
    wait(clean)
    assert clean.result().volume.name == "edited.nii.gz"


def test_a_folder_without_an_edit(program, tmp_path):
    with pytest.raises(ValueError, match="holds no edit"):
        program.read_result(tmp_path)
    (tmp_path / "mean.nii.gz").write_bytes(b"")
    (tmp_path / "provenance.json").write_text("{}")
    assert program.read_result(tmp_path) == program.Result(tmp_path, tmp_path / "mean.nii.gz", None, (), ())


def test_nothing_of_slicer_is_in_the_logic():
    """And nothing that Slicer's Python lacks; the module itself can be read by Python 3.9."""
    source = (MODULE / "MedEditLib" / "edit_program.py").read_text(encoding="utf-8")
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {
        n.split(".")[0] for one in imports for n in ([one.module] if hasattr(one, "module") else [one.names[0].name])
    }
    assert names <= set(sys.stdlib_module_names)
    for path in (MODULE / "MedEdit.py", MODULE / "MedEditLib" / "edit_program.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    cmake = (MODULE / "CMakeLists.txt").read_text(encoding="utf-8")
    assert all(path.relative_to(MODULE).as_posix() in cmake for path in (MODULE / "MedEditLib").glob("*.py"))


def test_the_real_program(program, tmp_path):
    """A slice, two steps, a label map carried along: the files are where the module looks for them."""
    import nibabel as nib
    import numpy as np
    from conftest import write_head

    head = write_head(tmp_path / "head", shape=(60, 72, 12), spacing=(2.6, 2.6, 6.0))
    edit = program.Edit(
        f"{shlex.quote(sys.executable)} -m mededit_monai.cli",
        head.scan,
        head.pathology,
        tmp_path / "out",
        brain=head.brain,
        carry=(head.brain,),
        seed=3,
        more="--spatial_dims 2 --slice_index auto --steps 2",
    )
    run = program.Run(edit, tmp_path)
    wait(run, 800)
    found = run.result()
    assert json.loads((found.folder / "provenance.json").read_text())["synthetic"] is True
    scan, volume = (np.asarray(nib.load(path).dataobj) for path in (head.scan, found.volume))
    assert volume.shape == scan.shape and (volume != scan).any()
    assert nib.load(found.displacement).header.get_intent()[0] == "vector"
    assert [path.name for path in found.carried] == ["brain.nii.gz"]
