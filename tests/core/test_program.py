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


def os_error(number: int, *names: str | None) -> OSError:
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
        (os_error(errno.ENOSPC, "bundle/a.pt", None, "out/a.pt"), ("mededit: out/a.pt: no space left", "-o")),
        (os_error(errno.EACCES, "out/.a.nii.0123abcd.unfinished"), ("mededit: out/a.nii: permission",)),
        (
            os_error(errno.EFBIG, "out/.t1.0123456789abcdef01ab.unfinished/.01234567.unfinished.b.png"),
            ("out/t1/b.png:",),
        ),
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


STREAMS = """
import os, sys
from mededit_monai.core.errors import InputError, say
from mededit_monai.core.program import run_program
def main():
    say("a warning")
    print("x" * int(sys.argv[2]))
    with open(sys.argv[1], "w") as file:
        file.write(f"{file.fileno() > 2}")
    if len(sys.argv) > 3:
        raise InputError("a: bad; way out.")
run_program(main)
"""


@pytest.mark.parametrize(
    "streams, code, said",
    [
        (">&-", 0, "mededit: a warning\n"),
        ("2>&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
        ("2>/dev/full", 0, ""),
        (">/dev/full", 2, "mededit: standard output: no space left on device"),
        ("| true", 141, "mededit: a warning\n"),
        ("2>&1 | true", 141, ""),
    ],
)
@pytest.mark.parametrize("size", [1, 10**5])
@pytest.mark.parametrize("bad", [False, True])
def test_streams_that_are_closed_or_that_nobody_reads(tmp_path, streams, code, said, size, bad):
    """The files are written all the same, unless what is said before is more than a pipe holds."""
    early = size > 1 and code
    words = f'"{sys.executable}" -c "$STREAMS" file {size} {"bad" if bad else ""} {streams}; exit ${{PIPESTATUS[0]}}'
    environment = {**os.environ, "STREAMS": STREAMS, "PYTHONUNBUFFERED": ""}
    done = subprocess.run(["bash", "-c", words], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == (2 if bad and not early else code), done.stderr
    assert not any(word in done.stderr for word in ("Traceback", "Exception ignored", "AttributeError"))
    if not early:
        assert said in done.stderr and (tmp_path / "file").read_text() == "True"


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
