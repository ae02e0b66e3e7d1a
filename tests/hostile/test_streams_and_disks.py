"""Full disks, closed streams, small memory limits, killed runs: one line, code 2, and nothing half written."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hostile_inputs import assert_refused

from expotion_lite.errors import ExpotionError, printable
from expotion_lite.files import atomic_write, check_writable, copy_files, private_folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and devices are Linux's")
ROOT = Path(__file__).parents[2]
FAKE = """
import sys
from types import SimpleNamespace
from expotion_lite import cli

def evaluated(*_, **__):
    return SimpleNamespace(words=lambda: "words", table=lambda: "table " * 40_000, ill=0.0, left_out={"a": "b"})

import expotion_lite.evaluation.folder as folder
folder.evaluate_folder = evaluated
sys.exit(cli.main(sys.argv[1:]))
"""


def shell(command: str, *, limit_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a command line of bash in which $P stands for Python and $FAKE for a program whose evaluation is instant."""
    environment = {**os.environ, "P": sys.executable, "FAKE": FAKE, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        ["bash", "-c", command], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=limit_s
    )


@pytest.mark.parametrize(
    ("streams", "code", "says"),
    [
        (">/dev/full", 2, "Standard output cannot be written (No space left on device)"),
        (">&-", 2, "Standard output is closed"),
        ("2>&-", 0, None),
        ("2>/dev/full", 0, None),
        (">/dev/full 2>/dev/full", 2, None),
        (">&- 2>&-", 2, None),
        ("<&-", 0, None),
        ("| true; exit ${PIPESTATUS[0]}", 2, "Standard output cannot be written (Broken pipe)"),
    ],
)
def test_streams_that_cannot_be_written(streams, code, says):
    run = shell(f'"$P" -c "$FAKE" evaluate takes {streams}')
    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr and "Exception ignored" not in run.stderr
    if says is None:
        assert run.stderr == ""
    else:
        assert says in run.stderr and run.stderr.count("\n") == 1


@pytest.mark.parametrize("streams", ["2>/dev/full", "2>&-", ">&- 2>&-", "2>/dev/full >&-"])
def test_an_error_that_cannot_be_printed_still_ends_with_code_2(streams):
    run = shell(f'"$P" -m expotion_lite generate missing.mp4 --prompt rock -o out.mp4 {streams}')
    assert run.returncode == 2 and run.stderr == ""


@pytest.mark.parametrize("limit", ["ulimit -v 400000", "ulimit -v 1500000", "ulimit -v 2000000", "ulimit -d 1000000"])
def test_a_small_memory_limit_is_told_at_once(limit):
    began = time.monotonic()
    run = shell(
        f'{limit}; "$P" -m expotion_lite generate expotion_lite/assets/clip/performer.mp4 --prompt rock -o out.mp4'
    )
    assert run.returncode == 2 and run.stderr.count("\n") == 1 and "ulimit" in run.stderr, run.stderr
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 3.7 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("can't start new thread"),
        RuntimeError("std::bad_alloc"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
        RuntimeError("CUDA out of memory. Tried to allocate 20 MiB"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.ENOSPC, "No space left on device", "/tmp/x"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
        PermissionError(errno.EACCES, "Permission denied", "secret"),
        OSError(errno.EMFILE, "Too many open files", "x"),
    ],
    ids=repr,
)
def test_trouble_of_the_system_is_one_line(error, monkeypatch, capsys):
    from hostile_inputs import run_refused

    def fail(*_, **__):
        raise error

    monkeypatch.setattr("expotion_lite.evaluation.folder.evaluate_folder", fail)
    assert ";" in run_refused(capsys, "evaluate", "takes")


@pytest.mark.parametrize("writer", ["text", "numpy", "safetensors", "nested", "own message"])
def test_a_full_disk_names_the_file_that_the_user_named(writer, tmp_path):
    """A limit on the size of files stands for the disk, which says so at the same place."""
    suffix = {"numpy": ".npz", "safetensors": ".safetensors"}.get(writer, ".txt")
    code = f"""
import resource, numpy as np
from expotion_lite.errors import ExpotionError
from expotion_lite.files import atomic_write
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
path = r"{tmp_path / ("mine" + suffix)}"
try:
    with atomic_write(path) as temporary:
        if {writer!r} == "text":
            temporary.write_text("x" * 2_000_000)
        elif {writer!r} == "numpy":
            with open(temporary, "wb") as file:
                np.savez(file, a=np.zeros(2_000_000))
        elif {writer!r} == "safetensors":
            from safetensors.numpy import save_file
            save_file({{"a": np.zeros(2_000_000)}}, temporary)
        elif {writer!r} == "nested":
            with atomic_write(temporary, overwrite=True) as inner:
                inner.write_text("x" * 2_000_000)
        else:
            raise ExpotionError(f"Cannot write {{temporary}} (No space left on device).")
except ExpotionError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.startswith(f"Cannot write {tmp_path / 'mine'}{suffix} ("), (run.stdout, run.stderr)
    assert run.stdout.count("\n") == 1 and ".expotion-" not in run.stdout
    assert list(tmp_path.iterdir()) == [] or writer == "safetensors"


def test_a_full_disk_is_found_before_the_work(tmp_path):
    code = f"""
import resource
from expotion_lite.files import check_writable
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
check_writable(r"{tmp_path / "a.mp4"}")
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert f"ExpotionError: Cannot write into {tmp_path} (File too large)" in run.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path", ["/dev/full", "/dev/null", "/proc/x", "/proc/self/x", "/dev/full/x", "a\0b", "n" * 300, "n/" * 3000]
)
def test_a_place_that_is_no_file_is_refused(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(lambda: check_writable(path, overwrite=True))

    def write() -> None:
        with atomic_write(path, overwrite=True):
            raise AssertionError("the work was begun")

    assert_refused(write)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode) and list(tmp_path.iterdir()) == []


def test_a_killed_write_leaves_nothing_after_the_next_one(tmp_path):
    path = tmp_path / "out.mp4"
    code = f"""
import time
from expotion_lite.files import atomic_write
with atomic_write(r"{path}") as temporary:
    temporary.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""
    precious = tmp_path / ".out-original.mp4"
    precious.write_text("a file of the user's own")
    killed, running = (
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) for _ in range(2)
    )
    try:
        for process in (killed, running):
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert len(list(tmp_path.iterdir())) == 3
        with atomic_write(path) as temporary:
            temporary.write_text("whole")
        left = sorted(each.name for each in tmp_path.iterdir())
        assert len(left) == 3 and path.read_text() == "whole"  # the one that still runs keeps its file
    finally:
        for process in (killed, running):
            process.kill()
            process.wait()
            process.stdout.close()
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text("again")
    assert sorted(each.name for each in tmp_path.iterdir()) == [".out-original.mp4", "out.mp4"]


def test_files_in_a_private_folder_are_private(tmp_path):
    folder = private_folder(tmp_path / "recordings")
    (tmp_path / "shared").mkdir(mode=0o755)
    (tmp_path / "shared").chmod(0o755)
    for place in (folder, tmp_path / "shared"):
        with atomic_write(place / "a.csv") as temporary:
            temporary.write_text("file,caption\n")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "a.csv").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "shared" / "a.csv").stat().st_mode) & 0o044
    copy_files(folder, tmp_path / "shared")
    (tmp_path / "shared" / "a.csv").chmod(0o600)
    with atomic_write(tmp_path / "shared" / "a.csv", overwrite=True) as temporary:
        temporary.write_text("still private")
    assert stat.S_IMODE((tmp_path / "shared" / "a.csv").stat().st_mode) == 0o600
    assert_refused(lambda: private_folder(tmp_path / "shared" / "a.csv" / "b"))
    for wrong in ("/proc/x", "a\0b"):
        assert_refused(lambda wrong=wrong: private_folder(wrong))


@pytest.mark.parametrize(
    "text", ["\x1b[31mred", "\x07", "a\x00b", "\udcff", "\u202edrow", "a\r\nb", "\x9b2J", "é 静か 🎵"]
)
def test_what_is_printed_is_visible(text):
    shown = printable(text)
    assert shown.isprintable() and shown.encode("utf-8")
    assert shown == text or not text.isprintable()


def test_the_error_of_a_write_that_is_not_the_disks_is_kept(tmp_path):
    def fail() -> None:
        with atomic_write(tmp_path / "a.npz"):
            np.zeros(3).reshape(7)

    with pytest.raises(ValueError, match="reshape") as caught:
        fail()
    assert not isinstance(caught.value, ExpotionError) and list(tmp_path.iterdir()) == []
