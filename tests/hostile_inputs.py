"""Help for the tests of hostile inputs: what is refused, is refused on one line, and no file is changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from expotion_lite import cli
from expotion_lite.errors import ExpotionError


def fingerprint(folder: Path) -> dict[str, str]:
    """Return name -> hash of all files in a folder and its subfolders."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def assert_refused(call: Callable[[], object]) -> str:
    """Check that a call raises an ExpotionError of one line that is not too long, and return the line."""
    with pytest.raises(ExpotionError) as caught:
        call()
    message = str(caught.value)
    assert message.strip() and "\n" not in message and len(message) < 1000, message[:2000]
    assert "Traceback" not in message
    return message


def run_refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run the command line; check that it ends with code 2 and one visible line on stderr, and return the line."""
    code = cli.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert code == 2, (code, err)
    assert out == "" and err.startswith("expotion-lite: error: ") and err.count("\n") == 1, err
    assert err[:-1].isprintable() and len(err) < 1500, err
    assert "should not happen" not in err and "Traceback" not in err
    return err
