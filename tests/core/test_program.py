# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""How programs end: sentence, exit code, traceback in a file, nothing half-written."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mededit_monai.core.errors import InputError, find_input_error
from mededit_monai.core.program import exit_code, run_program


def os_error(number: int, *names: str) -> OSError:
    return OSError(number, os.strerror(number), *names)


@pytest.mark.parametrize(
    "error, words",
    [
        (os_error(errno.ENOSPC, "out/a.nii.gz"), ("out/a.nii.gz: no space left", "free some space")),
        (os_error(errno.EACCES, "T1.nii"), ("T1.nii: permission denied", "permissions")),
        (os_error(errno.EROFS, "out"), ("out: read-only file system", "--output_dir")),
        (os_error(errno.ENOENT, "a.json"), ("a.json: no such file", "check the path")),
        (os_error(errno.EISDIR, "out"), ("out: is a directory", "wanted a file")),
        (os_error(errno.EMFILE), ("too many open files", "ulimit -n")),
        (os_error(errno.EIO, "T1.nii"), ("T1.nii: input/output error", "check the path and the disk")),
        (PermissionError("no words of the system"), ("no words of the system",)),
        (MemoryError(), ("not enough memory", "--batch_size")),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), ("not enough memory",)),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), ("not enough memory",)),
        (BrokenProcessPool("A process in the process pool was terminated abruptly"), ("was killed", "--workers")),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), ("was killed", "--num_workers")),
        (RuntimeError("PytorchStreamWriter failed writing file data/0"), ("could not be written",)),
    ],
    ids=str,
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_the_system_refuses_is_one_sentence(error, words, wrapped, capsys):
    if wrapped:
        try:
            raise RuntimeError("Failed to evaluate ConfigExpression") from error
        except RuntimeError as outer:
            error = outer
    assert exit_code(error) == 2
    said = capsys.readouterr().err
    assert said.startswith("mededit: ") and said.count("\n") == 1 and all(word in said for word in words), said


def test_a_fault_while_another_error_was_handled_is_a_fault(tmp_path, monkeypatch, capsys):
    """A KeyError of ours in an ``except OSError`` must not pass for the disk's."""
    monkeypatch.setenv("MEDEDIT_CACHE", str(tmp_path))
    try:
        try:
            raise os_error(errno.ENOENT, "a")
        except OSError:
            {}["b"]
    except KeyError as error:
        assert find_input_error(error) is None and exit_code(error) == 1
    said = capsys.readouterr().err
    (place,) = (tmp_path / "faults").iterdir()
    assert said.count("\n") == 1 and "KeyError" in said and str(place) in said
    assert "Traceback (most recent call last)" in place.read_text() and "KeyError: 'b'" in place.read_text()


def test_a_fault_where_no_file_can_be_written(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEDEDIT_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "file"))
    assert exit_code(ZeroDivisionError("x")) == 1
    assert "the lines above" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error, code",
    [
        (InputError("a: bad; way out."), 2),
        (KeyboardInterrupt(), 130),
        (SystemExit(3), 3),
        (SystemExit(None), 0),
        (SystemExit("words"), 1),
    ],
    ids=repr,
)
def test_exit_codes(error, code):
    def ends():
        raise error

    with pytest.raises(SystemExit) as caught:
        run_program(ends)
    assert caught.value.code == code


class BadCases(Dataset):
    """Fails in a process of the loader's own."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> None:
        raise self.error


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    "error, words",
    [
        (InputError("scan.nii: is empty: really; give another."), "scan.nii: is empty: really; give another."),
        (os_error(errno.EACCES, "T1.nii"), "Permission denied: 'T1.nii'"),
    ],
    ids=["bad input", "system"],
)
def test_sentences_come_out_of_worker_processes(error, words, capsys):
    with pytest.raises(Exception) as caught:  # noqa: B017
        next(iter(DataLoader(BadCases(error), num_workers=1)))
    assert exit_code(caught.value) == 2
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said and said.count("\n") == 1


PROGRAM = """
import sys, time
from mededit_monai.io.finished import finished_folder
from mededit_monai.io.claims import claim
from mededit_monai.core.program import run_program
def main():
    with claim(sys.argv[1], ['case']), finished_folder(sys.argv[1] + '/case') as folder:
        (folder / 'edited.nii').write_bytes(b'half')
        print('writing', flush=True)
        time.sleep(60)
run_program(main)
"""


@pytest.mark.parametrize("sent, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "the scheduler"])
def test_an_interrupted_program_leaves_nothing_half_written(tmp_path, sent, code):
    def heard() -> None:
        # a suite in the background has it ignored, and so would its children
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "out")]
    run = subprocess.Popen(command, stdout=-1, stderr=-1, text=True, preexec_fn=heard)
    assert run.stdout.readline() == "writing\n"
    time.sleep(0.1)
    run.send_signal(sent)
    _, said = run.communicate(timeout=30)
    assert run.returncode == code and said.startswith("mededit: interrupted") and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_locale_that_knows_ascii_only(tmp_path):
    code = (
        "from mededit_monai.core.program import use_utf8; use_utf8(); import sys, pathlib\n"
        "pathlib.Path('Zo\\u00eb').mkdir(); print('Zo\\u00eb \\u2026')"
    )
    environment = dict(os.environ, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="")
    script = tmp_path / "script.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "Zoë").is_dir() and done.stdout.decode() == "Zoë …\n"
