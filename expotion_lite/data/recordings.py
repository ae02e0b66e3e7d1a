"""Recordings as examples: a folder of videos of performers, such as a class films.

    recordings/
        captions.csv         file,caption,performer,song
        anna/waltz.webm      a video; its sound is the music that the performer moves to
        ben/waltz.webm

The table is optional, and so are its columns except `file`. Performers whom it does not name are named after the folder
of their video. Recordings are of the same song if their sounds are identical. If the table has no column `song`, videos
with the same file name are of one song, too: both `waltz.webm` above, from two microphones. Controls and codes are
cached in `recordings/.expotion-lite`, which only its owner can read, and computed anew when anything that they depend
on changes. No other file is written, and no data leaves the folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..controls.extraction import CONTROLS_VERSION
from ..errors import ExpotionError, Unreachable
from ..files import atomic_write, digest_of, private_folder
from ..landmarks.extraction import LANDMARKS_VERSION
from ..musicgen.codes import CODES_VERSION
from ..stored import read_npz
from ..video.reading import READING_VERSION
from .captions import TABLE, read_table
from .examples import Examples, load_cached

if TYPE_CHECKING:
    from ..controls.channels import Controls
    from ..musicgen.loading import MusicGen
    from ..video.reading import Video

CACHE_FOLDER = ".expotion-lite"
VIDEOS = (
    *(".mp4", ".webm", ".mov", ".mkv", ".avi", ".m4v", ".3gp"),
    *(".mts", ".m2ts", ".ts", ".mpg", ".wmv", ".flv", ".ogv"),
)
SHORTEST_S = 2.0  # seconds; a recording is left out if it is shorter, and so is the last window of a longer one
SILENCE = 1e-3  # peak of the sound; a track that stays below holds no music
_CONTROLS_VERSION = f"v{READING_VERSION}.{LANDMARKS_VERSION}.{CONTROLS_VERSION}"
_CODES_VERSION = f"v{READING_VERSION}.{CODES_VERSION}"


@dataclass(frozen=True)
class Recording:
    """A video of a performer who moves to music.

    Attributes:
        path: of the video file.
        caption: describes the music; "" if there is none.
        performer: name; "" if unknown.
        song: name; "" if unknown.
    """

    path: Path
    caption: str
    performer: str
    song: str


def find_videos(folder: Path) -> list[Path]:
    """Return the videos in a folder and its subfolders, sorted; those that are hidden or lie in a hidden folder not."""

    def is_hidden(path: Path) -> bool:
        return any(part.startswith(".") for part in path.relative_to(folder).parts)

    paths = (path for path in folder.rglob("*") if path.suffix.lower() in VIDEOS)
    return sorted(path for path in paths if path.is_file() and not is_hidden(path))


class RecordedFolder:
    """A folder of recordings.

    Attributes:
        folder: its path.
        recordings: all recordings, sorted by path.
        left_out: path -> reason, for recordings that cannot be used; filled by `examples`.

    Example:
        >>> RecordedFolder("nowhere")
        Traceback (most recent call last):
        expotion_lite.errors.ExpotionError: There is no folder nowhere; name one with recordings of people.

    Notebook: notebooks/05_data
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Find the recordings of a folder.

        Args:
            folder: its path.

        Raises:
            ExpotionError: there is no such folder, it has no video, or its table has the wrong form.
        """
        self.folder = Path(folder)
        self.left_out: dict[Path, str] = {}
        if not os.path.isdir(folder):
            raise ExpotionError(f"There is no folder {folder}; name one with recordings of people.")
        paths = find_videos(self.folder)
        if not paths:
            raise ExpotionError(f"{folder} holds no video ({', '.join(VIDEOS)}); put recordings with sound there.")
        table = read_table(self.folder)
        if absent := sorted(set(table) - set(paths)):
            raise ExpotionError(
                f"{TABLE} names {absent[0].relative_to(self.folder)}, which is not there; correct the table."
            )
        self.recordings = tuple(self._recording(path, table.get(path, {})) for path in paths)

    def _recording(self, path: Path, row: dict[str, str]) -> Recording:
        """Return the recording of a video file and its row in the table, which may be empty."""
        inside = path.relative_to(self.folder).parts
        performer = row.get("performer") or (inside[0] if len(inside) > 1 else "")
        song = row["song"] if "song" in row else path.stem.casefold()
        return Recording(path, row.get("caption", ""), performer, song)

    def examples(self, musicgen: MusicGen, *, progress: bool = False) -> Examples:
        """Compute codes and controls of all usable recordings, cut into windows of the model's length.

        A last window of less than `SHORTEST_S` is left out. One that is shorter than the model's window is filled up
        with missing codes, which training ignores: with silence, the model would learn to produce silence.

        Args:
            musicgen: the model whose codec and window are used.
            progress: whether to show a progress bar.

        Raises:
            ExpotionError: no recording can be used; the message gives the reason for the first.
        """
        examples, self.left_out = examples_of(
            self.recordings,
            musicgen,
            self.folder / CACHE_FOLDER,
            fetch=lambda recording: recording.path,
            digest=lambda recording: digest_of(recording.path),
            progress=progress,
        )
        return examples


@dataclass(frozen=True)
class _Computed:
    """Everything that is computed of a recording.

    Attributes:
        codes: (K, T) int16, of its music.
        sound: identifies its sound.
        controls: of its performer, T frames or a few more or less.
    """

    codes: np.ndarray
    sound: str
    controls: Controls


def examples_of(
    recordings: Sequence[Recording],
    musicgen: MusicGen,
    cache: Path,
    *,
    fetch: Callable[[Recording], Path],
    digest: Callable[[Recording], str],
    progress: bool,
) -> tuple[Examples, dict[Path, str]]:
    """Compute the examples of recordings, or load them from the cache.

    Args:
        recordings: to use, in this order.
        musicgen: the model whose codec and window are used.
        cache: the folder for what is computed.
        fetch: returns the path of a recording's video; called only if something must be computed.
        digest: returns a string that identifies the content of a recording's video.
        progress: whether to show a progress bar.

    Returns:
        The examples, and path -> reason for each recording that cannot be used.

    Raises:
        ExpotionError: no recording can be used; the message gives the reason for the first.
        Unreachable: the network failed, so that usable recordings would be left out.
    """
    from tqdm.auto import tqdm

    from ..musicgen.codes import digest_of_codec

    private_folder(cache)
    codec = digest_of_codec(musicgen)
    computed: list[tuple[Recording, _Computed]] = []
    left_out: dict[Path, str] = {}
    for recording in tqdm(recordings, desc="recordings", unit="video", disable=not progress):
        content = digest(recording)
        opened = lru_cache(partial(_opened, fetch, recording))  # at most once, and only if something must be computed
        try:
            controls = _controls_of(opened, content, cache, musicgen)
            codes, sound = _codes_of(opened, content, cache, musicgen, codec)
            seconds = min(codes.shape[1], len(controls.values)) / musicgen.frame_rate
            if seconds < SHORTEST_S:
                raise ExpotionError(f"it lasts {seconds:.1f} s; record at least {SHORTEST_S:g} s.")
        except Unreachable:  # what was computed before stays in the cache
            raise
        except ExpotionError as error:
            left_out[recording.path] = str(error)
            continue
        computed.append((recording, _Computed(codes, sound, controls)))
    songs = songs_of([(recording.song or each.sound, each.sound) for recording, each in computed])
    parts = [
        Examples(
            codes=codes,
            controls=controls,
            captions=(recording.caption,),
            songs=np.array([_number_of(song)]),
            performers=np.array([number_of_performer(recording.performer)]),
            channels=each.controls.channels,
        )
        for (recording, each), song in zip(computed, songs, strict=True)
        for codes, controls in _windows(each.codes, each.controls, musicgen)
    ]
    if not parts:
        path, reason = next(iter(left_out.items()))
        raise ExpotionError(f"No recording in {cache.parent} can be used; {path.name}: {reason}")
    return Examples.join(parts), left_out


def _opened(fetch: Callable[[Recording], Path], recording: Recording) -> Video:
    """Open a recording's video."""
    from ..video.reading import check_video

    return check_video(fetch(recording))


def _controls_of(opened: Callable[[], Video], content: str, cache: Path, musicgen: MusicGen) -> Controls:
    """Extract the controls of a recording's performer, or load them from the cache."""
    from ..controls.channels import Controls
    from ..controls.extraction import extract_controls
    from ..landmarks.extraction import extract_landmarks

    path = cache / f"controls-{content}-{_CONTROLS_VERSION}-{musicgen.frame_rate:g}.npz"
    if (cached := load_cached(path, lambda: _checked_controls(Controls.load(path), musicgen))) is not None:
        return cached
    video = opened()
    if not video.info.has_audio:
        raise ExpotionError("it has no sound, so there is no music to learn; record the music with it.")
    landmarks = extract_landmarks(video, progress=False).require_person()
    controls = extract_controls(landmarks, frame_rate=musicgen.frame_rate, duration_s=video.info.duration_s)
    controls.save(path, overwrite=True)
    return controls


def _checked_controls(controls: Controls, musicgen: MusicGen) -> Controls:
    """Return controls from the cache if they are those that would be extracted."""
    from ..controls.extraction import CHANNELS

    if controls.channels != CHANNELS or controls.frame_rate != musicgen.frame_rate or not len(controls.values):
        raise ExpotionError("it holds other controls.")
    return controls


def _checked_codes(arrays: dict[str, np.ndarray], musicgen: MusicGen) -> tuple[np.ndarray, str]:
    """Return codes (K, T) int16 and the name of the sound from the arrays in the cache."""
    codes, sound = arrays["codes"], arrays["sound"]
    if codes.dtype != np.int16 or codes.ndim != 2 or len(codes) != musicgen.n_codebooks or sound.dtype.kind != "U":
        raise ValueError("it holds other codes")
    if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < musicgen.pad:
        raise ValueError("it holds codes that the model does not have")
    return codes, str(sound)


def _codes_of(
    opened: Callable[[], Video], content: str, cache: Path, musicgen: MusicGen, codec: str
) -> tuple[np.ndarray, str]:
    """Encode a recording's music, or load its codes from the cache.

    Returns:
        Codes (K, T) int16, and a string that identifies the sound.
    """
    import torch

    from ..musicgen.codes import encode

    path = cache / f"codes-{content}-{_CODES_VERSION}-{codec}.npz"
    if (cached := load_cached(path, lambda: _checked_codes(read_npz(path), musicgen))) is not None:
        return cached
    audio = opened().audio(musicgen.sample_rate)
    if not np.abs(audio).max(initial=0.0) > SILENCE:
        raise ExpotionError("its sound is silent, so there is no music to learn; record the music with it.")
    codes = encode(musicgen, torch.from_numpy(audio)[None])[0].cpu().numpy().astype(np.int16)
    sound = f"sound {hashlib.sha256(audio.tobytes()).hexdigest()[:16]}"
    with atomic_write(path, overwrite=True) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, codes=codes, sound=sound)
    return codes, sound


def songs_of(names: Sequence[tuple[str, ...]]) -> list[str]:
    """Give recordings the same song if they share a name, directly or through other recordings.

    Args:
        names: of the song of each recording: as it is called, and as it sounds.

    Returns:
        One name for each recording.

    Example:
        >>> songs_of([("waltz", "sound 1"), ("waltz", "sound 2"), ("song", "sound 2"), ("rock", "sound 3")])
        ['song', 'song', 'song', 'rock']
    """
    song_by_name: dict[str, str] = {}
    for first, *others in names:
        for other in others:
            old, new = song_by_name.setdefault(other, other), song_by_name.setdefault(first, first)
            song_by_name.update({name: new for name, song in song_by_name.items() if song == old})
    return [song_by_name[first] for first, *_ in names]


def _windows(codes: np.ndarray, controls: Controls, musicgen: MusicGen) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut codes (K, T) and controls into pairs of (1, K, window) and (1, window, C).

    A short window is filled up with missing codes (-1) and with controls that say that nobody is seen.
    """
    from ..controls.channels import MISSING_CHANNELS

    n_frames, window = min(codes.shape[1], len(controls.values)), musicgen.window
    nobody = np.array([float(name in MISSING_CHANNELS) for name in controls.channels], np.float32)
    windows = []
    for start in range(0, n_frames, window):
        end = min(start + window, n_frames)
        if end - start < SHORTEST_S * musicgen.frame_rate:
            break
        window_codes = np.full((1, len(codes), window), -1, np.int16)
        window_codes[0, :, : end - start] = codes[:, start:end]
        window_controls = np.tile(nobody, (1, window, 1))
        window_controls[0, : end - start] = controls.values[start:end]
        windows.append((window_codes, window_controls))
    return windows


def number_of_performer(name: str) -> int:
    """Return the number by which examples know a performer."""
    return _number_of(f"performer {name}")


def _number_of(name: str) -> int:
    """Return a number that identifies a name, the same on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])
