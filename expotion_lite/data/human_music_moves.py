"""human-music-moves, the published recordings of people who react to music, as examples to fine-tune with.

The data set lies on the Hugging Face hub as `mbzmusic/human-music-moves`; ask there whether you may use it. Clips are
found by their names, wherever they lie in it, which are like those on the authors' demo page:
`4.mp4_ProudPeacock_2025-02-28T12-21-34_clip2.mp4` is the song, the performer's alias, when it was recorded, and which
clip of the recording it is. They are fetched one at a time; of each only controls and codes are kept, and its video is
deleted before the next is fetched. The published split tests on songs that were trained on: divide the examples with
`data.split` instead.
"""

from __future__ import annotations

import csv
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ExpotionError, Unreachable
from ..files import digest_of
from .recordings import Recording, examples_of

if TYPE_CHECKING:
    from ..musicgen.loading import MusicGen
    from .examples import Examples

HUB = "mbzmusic/human-music-moves"
CLIP = re.compile(r"(?P<song>[^_/]+)_(?P<performer>[A-Za-z]+)_(?P<when>\d{4}-\d{2}-\d{2}T[\d-]+)_clip(?P<clip>\d+)")
CAPTIONS = ("captions.json", "captions.csv")


class HumanMusicMoves:
    """The recordings, on the hub or in a folder where they have been downloaded.

    Attributes:
        recordings: all clips, in the order of their names.
        left_out: path -> why it cannot be used; filled by `examples`.

    Raises:
        ExpotionError: the hub cannot be reached or refuses, or there is no clip.

    Example:
        >>> song_and_performer("v1/4.mp4_ProudPeacock_2025-02-28T12-21-34_clip2.mp4")
        ('4.mp4', 'ProudPeacock')
    """

    def __init__(
        self,
        source: str | os.PathLike[str] = HUB,
        *,
        kept: str | os.PathLike[str] = "runs/human-music-moves",
        limit: int | None = None,
    ) -> None:
        """source: name on the hub, or a folder. kept: folder for what was computed. limit: so many clips at most."""
        self.source, self.kept, self.left_out = source, Path(kept), {}
        self._local = Path(source) if Path(source).is_dir() else None
        self._contents = self._listed()
        names = [name for name in sorted(self._contents) if name.endswith(".mp4") and song_and_performer(name)]
        if not names:
            raise ExpotionError(f"{source} holds no clip that is called like those of human-music-moves.")
        captions = self._captions()
        self.recordings = tuple(
            Recording(Path(name), captions.get(_clip(name), ""), performer, song)
            for name in names[:limit]
            for song, performer in [song_and_performer(name)]
        )

    def examples(self, musicgen: MusicGen, *, progress: bool = False) -> Examples:
        """Codes, controls and captions of all clips, as `recordings.RecordedFolder.examples` gives them.

        Raises:
            ExpotionError: none can be used; the message says why for the first.
            Unreachable: a clip did not arrive; what was computed before is kept.
        """
        with self._fetching() as fetch:
            examples, self.left_out = examples_of(
                self.recordings, musicgen, self.kept, fetch, lambda r: self._content(r.path.as_posix()), progress
            )
        return examples

    def _listed(self) -> dict[str, str]:
        """Every file's name -> what tells its content from others', or "" where that is found out when needed."""
        if self._local is not None:
            return {path.relative_to(self._local).as_posix(): "" for path in self._local.rglob("*") if path.is_file()}
        with _asking(self.source) as hub:
            files = hub.list_repo_tree(str(self.source), repo_type="dataset", recursive=True)
            return {file.path: file.blob_id[:16] for file in files if hasattr(file, "blob_id")}

    def _content(self, name: str) -> str:
        return self._contents[name] or digest_of(self._local / name)

    def _captions(self) -> dict[str, str]:
        """Clip -> caption, of the first table there is."""
        for name in sorted(self._contents):
            if name.rpartition("/")[2] in CAPTIONS:
                with self._fetching() as fetch:
                    return captions_in(fetch(Recording(Path(name), "", "", "")))
        return {}

    @contextmanager
    def _fetching(self) -> Iterator:
        """Yield what brings a file of the data set here: a recording to a path, which may be gone with the next."""
        if self._local is not None:
            yield lambda recording: self._local / recording.path
            return
        with tempfile.TemporaryDirectory(prefix="human-music-moves-") as folder:
            last: dict[str, Path] = {}

            def fetch(recording: Recording) -> Path:
                name = recording.path.as_posix()
                if name not in last:
                    for path in last.values():
                        path.unlink(missing_ok=True)
                    last.clear()
                    with _asking(self.source) as hub:
                        last[name] = Path(
                            hub.hf_hub_download(str(self.source), name, repo_type="dataset", local_dir=folder)
                        )
                return last[name]

            yield fetch


def song_and_performer(name: str) -> tuple[str, str] | None:
    """The song and the performer's alias that a clip's name tells; None if it is no clip."""
    found = CLIP.match(name.rpartition("/")[2])
    return (found["song"], found["performer"]) if found else None


def _clip(name: str) -> str:
    """What a clip is called in tables, with whatever stands before or after left out; "" if it is no clip."""
    found = CLIP.match(name.rpartition("/")[2])
    return found[0] if found else ""


def captions_in(path: Path) -> dict[str, str]:
    """Clip -> caption, from a table: json (name -> caption, or a list of objects) or csv (name, caption).

    Raises:
        ExpotionError: the file is neither.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".csv":
            rows = [row[:2] for row in csv.reader(text.splitlines()) if len(row) > 1]
        else:
            table = json.loads(text)
            rows = list(table.items()) if isinstance(table, dict) else [_named(row) for row in table]
        said = {_clip(str(name)): caption for name, caption in rows}
    except (OSError, ValueError, TypeError, AttributeError, StopIteration) as error:
        raise ExpotionError(
            f"{path} is no table of captions ({error}); it wants names of clips and captions."
        ) from error
    return {name: _plain(caption) for name, caption in said.items() if name}


def _named(row: dict[str, str]) -> tuple[str, str]:
    """Name and caption of an object, whatever the name is called."""
    return next(str(value) for value in row.values() if _clip(str(value))), row["caption"]


def _plain(caption: object) -> str:
    """A caption without a model's marks around it."""
    text = caption.get("caption", "") if isinstance(caption, dict) else str(caption)
    return " ".join(text.replace("<s>", " ").replace("</s>", " ").split())


@contextmanager
def _asking(source: str | os.PathLike[str]) -> Iterator:
    """Yield the hub's interface; what goes wrong with it is said in one line."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield HfApi()
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise Unreachable(
            f"{source} cannot be read from the hub ({str(error).splitlines()[0]}); ask for access there and log in "
            "(`hf auth login`), or download it and name the folder."
        ) from error
