# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""How a program ends: 2 and one sentence for bad input, 130 for Ctrl-C, 1 and a traceback in a file for our faults."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError, find_input_error, say


def exit_code(error: BaseException) -> int:
    """
    Say in one sentence what ended a program, and give its exit code.

    Returns:
        2 for bad input and what the operating system refused, 130 for Ctrl-C, 1 for a fault of ours, whose traceback
        goes to a file that the sentence names. The code of a ``SystemExit`` is its own.
    """
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, KeyboardInterrupt):
        say("interrupted; what was finished is whole, and the same command goes on where it can.", error=True)
        return 128 + _terminated[0] if _terminated else 130
    if isinstance(error, BrokenPipeError) and error.filename is None:  # whoever read our output has gone
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - else the interpreter complains when it flushes
        return 141
    bad_input = find_input_error(error)
    if bad_input is not None:
        say(str(bad_input), error=True)
        return 2
    say(fault_sentence(error), error=True)
    return 1


def fault_sentence(error: BaseException) -> str:
    """What to say of a fault of ours; its traceback goes to a file, which the sentence names."""
    name = type(error).__name__
    return f"a fault of the program ({name}: {str(error)[:200]}); please report it with {_write_traceback(error)}"


def _write_traceback(error: BaseException) -> str:
    """The file with a fault's traceback; the traceback goes to stderr where no file can be written."""
    text = "".join(traceback.format_exception(error))
    command = " ".join(sys.argv)
    name = f"fault_{time.strftime('%Y%m%dT%H%M%S')}_{os.getpid()}.txt"
    from mededit_monai.core.paths import default_cache

    for place in (lambda: default_cache() / "faults", lambda: Path(tempfile.gettempdir())):
        try:
            folder = place()
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"{command}\n\n{text}", encoding="utf-8", errors="backslashreplace")
        except (OSError, InputError):  # InputError: nobody knows of a cache
            continue
        return str(folder / name)
    print(text, file=sys.stderr)
    return "the lines above"


def run_program(function: Callable[[], Any]) -> None:
    """Run a program's ``main``: whatever ends it, one sentence and an exit code; returns if nothing went wrong."""
    _open_closed_streams()
    _end_in_order_when_terminated()
    ended = False
    code = 0
    try:
        function()
    except BaseException as error:
        ended, code = True, exit_code(error)
    flushed = _flush()
    if ended or code or flushed:
        sys.exit(code or flushed)


def _flush() -> int:
    """Write what was printed now: where the interpreter does it and fails, it ends with 120 and words of its own."""
    code = 0
    try:
        sys.stdout.flush()
    except OSError as error:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - else the interpreter tries once more
        if not isinstance(error, BrokenPipeError):
            error.filename = "standard output"
        code = exit_code(error)
    try:
        sys.stderr.flush()
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - the same
    return code


def _open_closed_streams() -> None:
    """
    Let a stream that the shell closed (``2>&-``) lead nowhere.

    Else what is opened next would get its number, and what libraries say would be written into that file.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode)  # noqa: SIM115 - for as long as the process runs
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


#: Signals that asked this process to end, but for Ctrl-C's.
_terminated: list[int] = []


def _end_in_order_when_terminated() -> None:
    """SIGTERM, as a cluster's scheduler sends it, ends as Ctrl-C does, so that nothing half-written stays."""

    def end(number: int, frame: Any) -> None:
        _terminated.append(number)
        raise KeyboardInterrupt

    if os.name == "posix" and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, end)


def report_what_ends_this_process() -> None:
    """For runs that others start (``python -m monai.bundle``): the same sentences and exit codes, by the last hook."""

    def hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        sys.exit(exit_code(error))  # the interpreter takes the exit code of a SystemExit raised here

    _open_closed_streams()
    sys.excepthook = hook


def use_utf8() -> None:
    """
    Start this process anew in Python's UTF-8 mode where the locale knows ASCII only, as that of a cluster's jobs may.

    File names and case names are UTF-8 whatever the locale says. Characters that a terminal cannot show are escaped.
    """
    if sys.getfilesystemencoding().lower() in ("ascii", "us-ascii", "ansi_x3.4-1968") and not sys.flags.utf8_mode:
        environment = dict(os.environ, PYTHONUTF8="1")
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
