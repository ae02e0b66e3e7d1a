"""The table of a folder of recordings, `captions.csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ..errors import ExpotionError, short_repr
from ..limits import MAX_FIELD_CHARACTERS, MAX_TABLE_BYTES, MAX_TABLE_ROWS
from ..stored import read_text

TABLE = "captions.csv"
COLUMNS = ("file", "caption", "performer", "song")


def read_table(folder: Path) -> dict[Path, dict[str, str]]:
    """Read the table of a folder of recordings. All values are text, also those that a spreadsheet would compute.

    Args:
        folder: of the table.

    Returns:
        Path of the video -> column -> value; empty if there is no table.

    Raises:
        ExpotionError: the table cannot be read, is too large, its columns or rows have the wrong form, or it names a
            file outside the folder.
    """
    path = folder / TABLE
    if not path.exists():
        return {}
    try:
        text = read_text(path, MAX_TABLE_BYTES)
    except (OSError, ValueError) as error:
        raise ExpotionError(f"{path} cannot be read ({error}); save it as CSV in UTF-8.") from error
    header = text.lstrip().partition("\n")[0]
    rows = rows_of(text, path, delimiter=max(",;\t", key=header.count))
    columns = [name.strip().lower() for name in next((row for _, row in rows), [])]
    unknown = sorted(set(columns) - set(COLUMNS))
    if "file" not in columns or unknown:
        wrong = f"an unknown column {short_repr(unknown[0])}" if unknown else "no column 'file'"
        raise ExpotionError(f"{path} has {wrong}; its columns may be {', '.join(COLUMNS)}.")
    if len(set(columns)) < len(columns):
        raise ExpotionError(f"{path} has two columns of the same name; keep one of them.")
    table: dict[Path, dict[str, str]] = {}
    for line, row in rows:
        if len(row) > len(columns):
            raise ExpotionError(f"Line {line} of {path} has too many columns; put captions with commas in quotes.")
        values = dict.fromkeys(columns, "") | {n: value.strip() for n, value in zip(columns, row, strict=False)}
        file = folder / _name_inside(values["file"], line, path)
        if file in table:
            raise ExpotionError(f"{path} names {values['file']} twice; keep one of its lines.")
        table[file] = values
    return table


def rows_of(text: str, path: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the line and the values of each row of a CSV that is not empty.

    Args:
        text: the CSV.
        path: names it.
        delimiter: between values.

    Raises:
        ExpotionError: there are too many rows, or a value is too long or cannot be read.
    """
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for number, row in enumerate(filter(None, rows)):
            if number > MAX_TABLE_ROWS:
                raise ExpotionError(f"{path} has more than {MAX_TABLE_ROWS:,} rows; divide the recordings.")
            if (longest := max(map(len, row))) > MAX_FIELD_CHARACTERS:
                raise ExpotionError(
                    f"Line {rows.line_num} of {path} has a value of {longest:,} characters; use at most "
                    f"{MAX_FIELD_CHARACTERS:,}, and close quotes."
                )
            yield rows.line_num, row
    except csv.Error as error:
        raise ExpotionError(f"Line {rows.line_num} of {path} cannot be read ({error}); save it as CSV.") from error


def _name_inside(name: str, line: int, path: Path) -> str:
    """Return the name of a file if it lies in the folder of the table."""
    name = name.replace("\\", "/")  # as Windows writes folders
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or name[1:2] == ":" or "\0" in name:
        raise ExpotionError(
            f"Line {line} of {path} names {short_repr(name)}; name a video in the folder of the table, such as "
            "anna/waltz.webm."
        )
    return name
