"""human-music-moves, the published recordings of people who react to music, as examples for fine-tuning.

The data set is on the Hugging Face hub as `mbzmusic/human-music-moves`; ask there for access. Recordings are found in
any folder of it, by names like those on the authors' demo page: `4.mp4_ProudPeacock_2025-02-28T12-21-34_clip2.mp4` is
the song, the performer's alias, the time, and the number of the clip. They are downloaded one at a time: controls and
codes are cached, and the video is deleted before the next one is downloaded. The published split tests on songs that
were trained on; use `data.split` instead.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..errors import ExpotionError, Unreachable
from ..files import digest_of
from ..limits import MAX_TABLE_BYTES
from ..stored import parse_json, read_text
from .captions import rows_of
from .recordings import Recording, examples_of

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from ..musicgen.loading import MusicGen
    from .examples import Examples

HUB = "mbzmusic/human-music-moves"
CLIP = re.compile(r"(?P<song>[^_/]+)_(?P<performer>[A-Za-z]+)_(?P<when>\d{4}-\d{2}-\d{2}T[\d-]+)_clip(?P<clip>\d+)")
CAPTIONS = ("captions.json", "captions.csv")


class HumanMusicMoves:
    """The recordings, on the hub or in a local folder.

    Attributes:
        recordings: all recordings, sorted by path.
        left_out: path -> reason, for recordings that cannot be used; filled by `examples`.

    Notebook: notebooks/09_the_real_thing
    """

    def __init__(
        self,
        source: str | os.PathLike[str] = HUB,
        *,
        cache: str | os.PathLike[str] = "runs/human-music-moves",
        limit: int | None = None,
    ) -> None:
        """Find the recordings and their captions.

        Args:
            source: a name on the hub, or a folder.
            cache: the folder for what is computed.
            limit: use so many recordings at most; None: all.

        Raises:
            ExpotionError: the hub cannot be reached or denies access, or there is no recording.
        """
        self.left_out: dict[Path, str] = {}
        self._cache = Path(cache)
        self._files: _Files = _LocalFiles(Path(source)) if Path(source).is_dir() else _HubFiles(str(source))
        names = sorted(self._files.names())
        captions = self._captions(names)
        recordings = [
            Recording(Path(name), captions.get(_clip_in(name), ""), performer=found[1], song=found[0])
            for name in names
            if name.endswith(".mp4") and (found := song_and_performer(name))
        ]
        if not recordings:
            raise ExpotionError(f"{source} holds no recording that is named like those of human-music-moves.")
        self.recordings = tuple(recordings[:limit])

    def examples(self, musicgen: MusicGen, *, progress: bool = False) -> Examples:
        """Compute codes and controls of all usable recordings, like `RecordedFolder.examples`.

        Args:
            musicgen: the model whose codec and window are used.
            progress: whether to show a progress bar.

        Raises:
            ExpotionError: no recording can be used; the message gives the reason for the first.
            Unreachable: a download failed; what was computed before stays in the cache.
        """
        with self._files.fetching() as fetch:
            examples, self.left_out = examples_of(
                self.recordings,
                musicgen,
                self._cache,
                fetch=lambda recording: fetch(recording.path.as_posix()),
                digest=lambda recording: self._files.digest(recording.path.as_posix()),
                progress=progress,
            )
        return examples

    def _captions(self, names: list[str]) -> dict[str, str]:
        """Return clip -> caption from the first table among the files; empty if there is none."""
        for name in names:
            if name.rpartition("/")[2] in CAPTIONS:
                with self._files.fetching() as fetch:
                    return captions_in(fetch(name))
        return {}


class _Files(Protocol):
    """Access to the files of the data set, by their names in it."""

    def names(self) -> list[str]:
        """Return the names of all files."""

    def digest(self, name: str) -> str:
        """Return a string that identifies the content of a file."""

    def fetching(self) -> AbstractContextManager[Callable[[str], Path]]:
        """Yield a function from a name to the path of the file, which may be deleted when the next one is fetched."""


class _LocalFiles:
    """The data set in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        return [path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*") if path.is_file()]

    def digest(self, name: str) -> str:
        return digest_of(self._folder / name)

    @contextmanager
    def fetching(self) -> Iterator[Callable[[str], Path]]:
        yield lambda name: self._folder / name


class _HubFiles:
    """The data set on the hub. Only one downloaded file exists at a time."""

    def __init__(self, source: str) -> None:
        self._source = source
        with _hub_api(source) as api:
            tree = api.list_repo_tree(source, repo_type="dataset", recursive=True)
            self._digests = {file.path: file.blob_id[:16] for file in tree if hasattr(file, "blob_id")}  # no folders

    def names(self) -> list[str]:
        return list(self._digests)

    def digest(self, name: str) -> str:
        return self._digests[name]

    @contextmanager
    def fetching(self) -> Iterator[Callable[[str], Path]]:
        with tempfile.TemporaryDirectory(prefix="human-music-moves-") as folder:
            downloaded: dict[str, Path] = {}  # the last file

            def fetch(name: str) -> Path:
                if name not in downloaded:
                    for path in downloaded.values():
                        path.unlink(missing_ok=True)
                    downloaded.clear()
                    with _hub_api(self._source) as api:
                        path = api.hf_hub_download(self._source, name, repo_type="dataset", local_dir=folder)
                    downloaded[name] = Path(path)
                return downloaded[name]

            yield fetch


@contextmanager
def _hub_api(source: str) -> Iterator[HfApi]:
    """Yield the interface of the hub; turn its errors into Unreachable with a message of one line."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield HfApi()
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise Unreachable(
            f"{source} cannot be read from the hub ({str(error).splitlines()[0]}); ask for access there and log in "
            "(`hf auth login`), or download it and name the folder."
        ) from error


def song_and_performer(name: str) -> tuple[str, str] | None:
    """Return the song and the performer's alias from the name of a recording; None if it is no recording.

    Args:
        name: of the file, with or without folders.

    Example:
        >>> song_and_performer("v1/4.mp4_ProudPeacock_2025-02-28T12-21-34_clip2.mp4")
        ('4.mp4', 'ProudPeacock')
    """
    found = CLIP.match(name.rpartition("/")[2])
    return (found["song"], found["performer"]) if found else None


def _clip_in(name: str) -> str:
    """Return the part of a file's name that identifies the clip in tables; "" if it is no recording."""
    found = CLIP.match(name.rpartition("/")[2])
    return found[0] if found else ""


def captions_in(path: Path) -> dict[str, str]:
    """Read a table of captions: JSON (name -> caption, or a list of objects) or CSV (name, caption).

    Args:
        path: of the table.

    Returns:
        Clip -> caption.

    Raises:
        ExpotionError: the file is neither.
    """
    try:
        text = read_text(path, MAX_TABLE_BYTES)
        rows: list[tuple[str, object]]
        if path.suffix == ".csv":
            rows = [(row[0], row[1]) for _, row in rows_of(text, path) if len(row) > 1]
        else:
            table = parse_json(text)
            rows = list(table.items()) if isinstance(table, dict) else [_name_and_caption(row) for row in table]
        captions = {_clip_in(str(name)): caption for name, caption in rows}
    except (OSError, ValueError, TypeError, AttributeError, KeyError, StopIteration) as error:
        raise ExpotionError(
            f"{path} is no table of captions ({error}); it needs names of recordings and captions."
        ) from error
    return {clip: _plain(caption) for clip, caption in captions.items() if clip}


def _name_and_caption(row: dict[str, object]) -> tuple[str, object]:
    """Return the name and the caption of an object, in whichever field the name is."""
    return next(str(value) for value in row.values() if _clip_in(str(value))), row["caption"]


def _plain(caption: object) -> str:
    """Return a caption without a language model's marks (`<s>`, `</s>`) and without line breaks."""
    text = str(caption.get("caption", "")) if isinstance(caption, dict) else str(caption)
    return " ".join(text.replace("<s>", " ").replace("</s>", " ").split())
