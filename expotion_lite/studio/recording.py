"""Recordings of people: what they move to, and where the files go."""

from __future__ import annotations

import csv
import io
import os
import re
from pathlib import Path

import numpy as np

from ..controls.steering import check_tempo
from ..data.captions import COLUMNS, TABLE, read_table
from ..errors import ExpotionError
from ..files import atomic_write, private_folder

SAMPLE_RATE = 16_000  # Hz


def click_track(bpm: float, duration_s: float, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Synthesise clicks at a tempo, every fourth one higher.

    Args:
        bpm: beats per minute, 30 to 240.
        duration_s: seconds.
        sample_rate: Hz.

    Returns:
        (N,) float32 within -1..1.

    Raises:
        ExpotionError: the tempo is out of range.

    Example:
        >>> click_track(120, 2.0).shape
        (32000,)
    """
    check_tempo(bpm)
    out = np.zeros(round(duration_s * sample_rate), np.float32)
    times = np.arange(round(0.04 * sample_rate)) / sample_rate
    for beat, start in enumerate(np.arange(0, duration_s, 60 / bpm)):
        click = 0.5 * np.sin(2 * np.pi * (1500 if beat % 4 == 0 else 1000) * times) * np.exp(-times / 0.008)
        place = round(start * sample_rate)
        out[place : place + len(click)] += click[: len(out) - place].astype(np.float32)
    return out


def band_music(
    style: str, duration_s: float, *, seed: int = 0, sample_rate: int = SAMPLE_RATE
) -> tuple[np.ndarray, str]:
    """Synthesise music of the procedural band to move to.

    Music and caption are known, so a recording of a person who moves to it can be used for fine-tuning.

    Args:
        style: one of `synthetic.STYLES`.
        duration_s: seconds.
        seed: seed of the composition.
        sample_rate: Hz.

    Returns:
        Audio (N,) float32 within -1..1, and its caption.

    Raises:
        ExpotionError: there is no such style.
    """
    from ..synthetic import band

    if style not in band.STYLES:
        raise ExpotionError(f"The band does not play {style!r}; it plays {', '.join(band.STYLES)}.")
    piece = band.compose(seed, duration_s, style=style, on_downbeat=True)
    audio = band.play(piece, sample_rate)
    return 0.7 * audio / max(float(np.abs(audio).max()), 1e-6), band.describe(piece, np.random.default_rng(seed))


def file_recording(
    arrived: Path, folder: str | os.PathLike[str], *, name: str, performer: str = "", caption: str = "", song: str = ""
) -> Path:
    """Move a recording to where `data.RecordedFolder` finds it, and add a row to the folder's table.

    Args:
        arrived: the file to move.
        folder: the folder of all recordings.
        name: name of the file, without ending.
        performer: who moves; names the subfolder.
        caption: description of the music, "" if there is none.
        song: name of the music, "" if there is none.

    Returns:
        The new path.

    Raises:
        ExpotionError: the folder's table is not a table of recordings, or cannot be written.
    """
    folder = Path(folder).expanduser()
    rows = read_table(folder)
    subfolder = folder / ("".join(_safe_parts(performer)) if performer.strip() else "me")
    for place in (folder, subfolder):
        if not place.exists():  # a folder of the user's own stays open to whom it is open
            private_folder(place)
    path = free_path(subfolder, f"{name.strip() or 'recording'}{arrived.suffix}")
    try:
        arrived.chmod(0o600)
        arrived.replace(path)
    except OSError as error:
        raise ExpotionError(f"Cannot write into {subfolder} ({error.strerror}); choose another folder.") from error
    row = {"file": path.relative_to(folder).as_posix(), "caption": caption, "performer": subfolder.name, "song": song}
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows({**rows, path: row}.values())  # replaces the row of a deleted file of the same name
    with atomic_write(folder / TABLE, overwrite=True) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    (folder / TABLE).chmod(0o600)
    return path


def free_path(folder: Path, name: str) -> Path:
    """Return a path in a folder for a file name from a browser, made safe and not yet taken.

    Args:
        folder: where the file will go.
        name: the name that the browser gave.

    Example:
        >>> free_path(Path("nowhere"), "../../my clip?.webm").as_posix()
        'nowhere/my clip.webm'
    """
    stem, suffix = _safe_parts(name)
    path, n = folder / f"{stem}{suffix}", 2
    while path.exists():
        path, n = folder / f"{stem} {n}{suffix}", n + 1
    return path


def _safe_parts(name: str) -> tuple[str, str]:
    """Return stem and ending of a name, without folders and without characters that a file system could refuse."""
    base = Path(Path(name.replace("\\", "/")).name)
    return re.sub(r"[^\w\- ]", "", base.stem).strip()[:80] or "video", re.sub(r"[^.\w]", "", base.suffix)[:8]
