"""A folder of recordings of people who move to music, as examples to fine-tune with: what a class films.

    recordings/
        captions.csv         file,caption,performer,song
        anna/waltz.webm      a video with the music that she moved to as its sound
        ben/waltz.webm

The table is optional, and of its columns all but `file`. Who is not named there is named by the folder that the video
lies in. Videos with the very same sound are of one song; and unless the table has a column for the song, so are those
of the same name, such as these two, whose sound is two microphones'. What was computed lies in
`recordings/.expotion-lite` and is computed anew when anything that it came from changes. Nothing else is written, and
nothing leaves the folder.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..controls.extraction import CONTROLS_VERSION
from ..errors import ExpotionError, Unreachable
from ..files import digest_of, writing
from ..landmarks.extraction import LANDMARKS_VERSION
from ..musicgen.codes import CODES_VERSION
from ..video.reading import READING_VERSION
from .examples import Examples

if TYPE_CHECKING:
    from ..controls.channels import Controls
    from ..musicgen.loading import MusicGen

TABLE, KEPT = "captions.csv", ".expotion-lite"
VIDEOS = (".mp4", ".webm", ".mov", ".mkv", ".avi", ".m4v")
SHORTEST_S = 2.0  # of an example
COLUMNS = ("file", "caption", "performer", "song")
_CONTROLS_VERSION = f"v{READING_VERSION}.{LANDMARKS_VERSION}.{CONTROLS_VERSION}"
_CODES_VERSION = f"v{READING_VERSION}.{CODES_VERSION}"


@dataclass(frozen=True)
class Recording:
    """A video: its `path`, its `caption` ("" if none), who performs, and which song it is ("" if nobody says)."""

    path: Path
    caption: str
    performer: str
    song: str


class RecordedFolder:
    """A folder of recordings.

    Attributes:
        folder: where they are.
        recordings: all of them, in the order of their names.
        left_out: path -> why it cannot be used; filled by `examples`.

    Raises:
        ExpotionError: there is no such folder, no video in it, or its table is not as described above.

    Example:
        >>> RecordedFolder("nowhere")
        Traceback (most recent call last):
        expotion_lite.errors.ExpotionError: There is no folder nowhere; name one with recordings of people.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder, self.left_out = Path(folder), {}
        if not self.folder.is_dir():
            raise ExpotionError(f"There is no folder {folder}; name one with recordings of people.")
        paths = sorted(
            path for path in self.folder.rglob("*")
            if path.suffix.lower() in VIDEOS and path.is_file()
            and not any(part.startswith(".") for part in path.relative_to(self.folder).parts)
        )  # fmt: skip
        if not paths:
            raise ExpotionError(f"{folder} holds no video ({', '.join(VIDEOS)}); put recordings with sound there.")
        said = read_table(self.folder)
        if lost := sorted(set(said) - set(paths)):
            raise ExpotionError(
                f"{TABLE} names {lost[0].relative_to(self.folder)}, which is not there; mend the table."
            )
        self.recordings = tuple(self._recording(path, said.get(path, {})) for path in paths)

    def _recording(self, path: Path, row: dict[str, str]) -> Recording:
        inside = path.relative_to(self.folder).parts
        performer = row.get("performer") or (inside[0] if len(inside) > 1 else "")
        song = row["song"] if "song" in row else path.stem.casefold()
        return Recording(path, row.get("caption", ""), performer, song)

    def examples(self, musicgen: MusicGen, *, progress: bool = False) -> Examples:
        """Codes, controls and captions of all recordings that can be used, cut into windows of the model's length.

        A last window of less than `SHORTEST_S` is left out; a shorter recording's rest is masked, not silence.

        Raises:
            ExpotionError: none can be used; the message says why for the first.
        """
        examples, self.left_out = examples_of(
            self.recordings, musicgen, self.folder / KEPT, lambda r: r.path, lambda r: digest_of(r.path), progress
        )
        return examples


def examples_of(
    recordings: Sequence[Recording],
    musicgen: MusicGen,
    kept: Path,
    fetch: Callable[[Recording], Path],
    content: Callable[[Recording], str],
    progress: bool,
) -> tuple[Examples, dict[Path, str]]:
    """Examples of recordings, and which were left out -> why.

    Args:
        recordings: of people. kept: the folder for what was computed.
        musicgen: whose codec and window it is.
        fetch: where the video is, asked only if something must be computed. content: tells its content from others'.
        progress: whether to show a progress bar.

    Raises:
        ExpotionError: none can be used; the message says why for the first.
        Unreachable: the network failed, so that some would be left out that can be used.
    """
    from tqdm.auto import tqdm

    from ..musicgen.codes import digest_of_codec

    used, left_out, codec = [], {}, digest_of_codec(musicgen)
    for recording in tqdm(recordings, desc="recordings", unit="video", disable=not progress):
        try:
            codes, sound, controls = _computed(lambda r=recording: fetch(r), content(recording), kept, musicgen, codec)
        except Unreachable:  # what was computed is kept
            raise
        except ExpotionError as error:
            left_out[recording.path] = str(error)
            continue
        used.append((recording, codes, sound, controls))
    songs = songs_of([(recording.song or sound, sound) for recording, _, sound, _ in used])
    parts = [
        Examples(*window, (recording.caption,), song, _id(f"performer {recording.performer}"), controls.channels)
        for (recording, codes, _, controls), song in zip(used, map(_id, songs), strict=True)
        for window in _windows(codes, controls, musicgen)
    ]
    if not parts:
        path, why = next(iter(left_out.items()), (Path("recordings"), f"all are shorter than {SHORTEST_S:g} s"))
        raise ExpotionError(f"No recording in {kept.parent} can be used; {path.name}: {why}")
    return Examples.join(parts), left_out


def _computed(
    fetch: Callable[[], Path], content: str, kept: Path, musicgen: MusicGen, codec: str
) -> tuple[np.ndarray, str, Controls]:
    """Codes (K, T), what tells the sound from others, and controls of a recording, from `kept` if there."""
    import torch

    from ..controls.channels import Controls
    from ..controls.extraction import extract_controls
    from ..landmarks.extraction import extract_landmarks
    from ..musicgen.codes import encode
    from ..video.reading import check_video, read_audio

    name = f"{content}-{_CONTROLS_VERSION}-{musicgen.frame_rate:g}.npz"
    if (kept / f"controls-{name}").exists():
        controls = Controls.load(kept / f"controls-{name}")
    else:
        info = check_video(fetch())
        if not info.has_audio:
            raise ExpotionError("it has no sound, so there is no music to learn; record the music with it.")
        landmarks = extract_landmarks(fetch(), progress=False).require_person()
        controls = extract_controls(landmarks, frame_rate=musicgen.frame_rate, duration_s=info.duration_s)
        controls.save(kept / f"controls-{name}", overwrite=True)
    path = kept / f"codes-{content}-{_CODES_VERSION}-{codec}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as file:
            return file["codes"], str(file["sound"]), controls
    audio = read_audio(fetch(), musicgen.sample_rate)
    codes = encode(musicgen, torch.from_numpy(audio)[None])[0].cpu().numpy().astype(np.int16)
    sound = f"sound {hashlib.sha256(audio.tobytes()).hexdigest()[:16]}"
    with writing(path, overwrite=True) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, codes=codes, sound=sound)
    return codes, sound, controls


def songs_of(names: Sequence[tuple[str, ...]]) -> list[str]:
    """One name for each recording, the same for all that share one of theirs, be it by way of others.

    Example:
        >>> songs_of([("waltz", "sound 1"), ("waltz", "sound 2"), ("song", "sound 2"), ("rock", "sound 3")])
        ['song', 'song', 'song', 'rock']
    """
    song: dict[str, str] = {}
    for first, *others in names:
        for other in others:
            old, new = song.setdefault(other, other), song.setdefault(first, first)
            song.update({name: new for name, called in song.items() if called == old})
    return [song[each[0]] for each in names]


def read_table(folder: Path) -> dict[Path, dict[str, str]]:
    """The rows of a folder's table by the path of their file; none if there is no table.

    Raises:
        ExpotionError: it cannot be read, or its columns or rows are not as they should be.
    """
    path = folder / TABLE
    if not path.exists():
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets put a mark first
    except (OSError, UnicodeDecodeError) as error:
        raise ExpotionError(f"{path} cannot be read ({error}); save it as CSV in UTF-8.") from error
    first = text.partition("\n")[0]
    rows = csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=first.count))
    columns = [name.strip().lower() for name in rows.fieldnames or []]
    if "file" not in columns or set(columns) - set(COLUMNS):
        raise ExpotionError(f"{path} has the columns {', '.join(columns) or 'none'}; it wants {', '.join(COLUMNS)}.")
    said: dict[Path, dict[str, str]] = {}
    for number, row in enumerate(rows, 2):
        values = {str(name).strip().lower(): (value or "").strip() for name, value in row.items() if name is not None}
        if None in row:
            raise ExpotionError(f"Line {number} of {path} has too many columns; put captions with commas in quotes.")
        file = folder / values["file"]
        if file in said:
            raise ExpotionError(f"{path} names {values['file']} twice; keep one of its lines.")
        said[file] = values
    return said


def _windows(codes: np.ndarray, controls: Controls, musicgen: MusicGen) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut codes (K, T) and controls into pairs of (1, K, window) and (1, window, C), which are filled up."""
    from ..controls.channels import MISSING

    n, window = min(codes.shape[1], len(controls.values)), musicgen.window
    rest = np.array([float(name in MISSING) for name in controls.channels], np.float32)  # nobody is seen
    out = []
    for start in range(0, n, window):
        end = min(start + window, n)
        if end - start < SHORTEST_S * musicgen.frame_rate:
            break
        part = np.full((1, len(codes), window), -1, np.int16)
        moves = np.tile(rest, (1, window, 1))
        part[0, :, : end - start], moves[0, : end - start] = codes[:, start:end], controls.values[start:end]
        out.append((part, moves))
    return out


def _id(name: str) -> np.ndarray:
    """(1,) int64, the same for the same name, wherever and whenever."""
    return np.array([int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])], np.int64)
