"""Film people for a folder of recordings: something to move to, and where the film goes."""

from __future__ import annotations

import csv
import io
import os
import re
from pathlib import Path

import numpy as np

from ..controls.steering import check_tempo
from ..data.recordings import COLUMNS, TABLE, read_table
from ..errors import ExpotionError
from ..files import writing

CLICK_RATE = 16_000


def click_track(bpm: float, duration_s: float, sample_rate: int = CLICK_RATE) -> np.ndarray:
    """Clicks at a tempo, every fourth a little higher, (N,) float32.

    Raises:
        ExpotionError: a tempo outside 30 to 240 beats a minute.

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


def band_music(style: str, duration_s: float, *, seed: int = 0, sample_rate: int = 16_000) -> tuple[np.ndarray, str]:
    """Music of the procedural band to move to, (N,) float32, and its caption.

    A person who is filmed moving to it makes a recording to fine-tune with: the music and its words are known.

    Raises:
        ExpotionError: no such style.
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
    """Put a recording where `recordings.RecordedFolder` finds it, and its words into the folder's table.

    Args:
        arrived: the file; it is moved.
        folder: of all recordings. performer: whose; a folder in it.
        name: what to call the file, without ending.
        caption, song: of the music that one moved to, "" if nobody says.

    Returns:
        Its new path.

    Raises:
        ExpotionError: the folder's table is not one, or cannot be written.

    Notebook: notebooks/07_play_it
    """
    folder = Path(folder).expanduser()
    said = read_table(folder)
    place = folder / ("".join(_harmless(performer)) if performer.strip() else "me")
    path = free_name(place, f"{name.strip() or 'recording'}{arrived.suffix}")
    try:
        place.mkdir(parents=True, exist_ok=True)
        arrived.replace(path)
    except OSError as error:
        raise ExpotionError(f"Cannot write into {place} ({error.strerror}); choose another folder.") from error
    row = {"file": path.relative_to(folder).as_posix(), "caption": caption, "performer": place.name, "song": song}
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows({**said, path: row}.values())  # the row of a film of this name that was deleted gives way
    with writing(folder / TABLE, overwrite=True) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    return path


def free_name(folder: Path, name: str) -> Path:
    """A path in a folder for a file name from a browser: harmless, and not taken.

    Example:
        >>> free_name(Path("nowhere"), "../../my clip?.webm").as_posix()
        'nowhere/my clip.webm'
    """
    stem, suffix = _harmless(name)
    path, n = folder / f"{stem}{suffix}", 2
    while path.exists():
        path, n = folder / f"{stem} {n}{suffix}", n + 1
    return path


def _harmless(name: str) -> tuple[str, str]:
    """Stem and ending of a name, without what could lead elsewhere or trouble a file system."""
    base = Path(Path(name.replace("\\", "/")).name)
    return re.sub(r"[^\w\- ]", "", base.stem).strip()[:80] or "video", re.sub(r"[^.\w]", "", base.suffix)[:8]
