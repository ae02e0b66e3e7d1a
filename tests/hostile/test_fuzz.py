"""Whatever a small file holds, readers return something valid or refuse it on one line. Longer: FUZZ_EXAMPLES=20000."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expotion_lite.controls.channels import Controls
from expotion_lite.data.captions import TABLE, read_table
from expotion_lite.data.examples import Examples
from expotion_lite.errors import ExpotionError
from expotion_lite.musicgen.adapter import BUNDLED, DESCRIPTION, AdapterConfig, read_config
from expotion_lite.musicgen.settings import Settings
from expotion_lite.training.checkpoints import read_log

fuzzed = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "60")),
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
)
DESCRIBED = json.loads((BUNDLED / DESCRIPTION).read_text())


def damaged_bytes(whole: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy for a file with some bytes changed, removed or added."""
    place, byte = st.integers(0, len(whole) - 1), st.binary(min_size=1, max_size=6)
    changes = st.lists(st.tuples(place, st.integers(0, 6), byte), max_size=6)

    def change(changes: list[tuple[int, int, bytes]], end: int) -> bytes:
        data = bytearray(whole)
        for at, removed, new in changes:
            data[at : at + removed] = new
        return bytes(data[:end])

    return st.builds(change, changes, st.just(len(whole) + 99) | place)


def refused_on_one_line(call) -> object:
    """Return the result of a call, or None if it was refused on one line."""
    result, said = None, "fine"
    try:
        result = call()
    except ExpotionError as error:
        said = str(error)
    assert said and "\n" not in said.strip() and len(said) < 2000
    return result


def small_npz(*, compressed: bool) -> bytes:
    out = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(
        out,
        values=np.zeros((4, 2), np.float32),
        channels=np.array(["smile", "pulse"]),
        frame_rate=np.float64(50),
        found=np.ones(4, bool),
        codes=np.zeros((1, 4, 3), np.int16),
        controls=np.zeros((1, 3, 2), np.float16),
        captions=np.array(["rock"]),
        songs=np.array([1]),
        performers=np.array([1]),
    )
    return out.getvalue()


@fuzzed
@given(
    text=st.text()
    | JSON.map(json.dumps)
    | st.dictionaries(st.sampled_from(["seed", "guidance", "top_k"]), JSON).map(json.dumps)
)
def test_settings(text):
    read = refused_on_one_line(lambda: Settings.from_json(text))
    assert read is None or Settings.from_json(read.to_json()) == read


@fuzzed
@given(
    values=JSON | st.dictionaries(st.sampled_from([*DESCRIBED]), JSON).map(lambda values: DESCRIBED | values),
    text=st.none() | damaged_bytes(json.dumps(DESCRIBED).encode()),
)
def test_descriptions_of_adapters(values, text, scratch):
    (scratch / DESCRIPTION).write_bytes(text if text is not None else json.dumps(values).encode())
    read = refused_on_one_line(lambda: read_config(scratch))
    if read is not None:
        assert isinstance(read, AdapterConfig) and 1 <= read.rank <= 4096 and read.kernel % 2 and read.channels
        assert all(isinstance(x, (int, float)) and abs(x) < float("inf") for x in read.probe)


CELLS = st.text(alphabet='a,;\t"\n\r\x00\\/.é=\x85 \u2028', max_size=12) | st.text(max_size=6)
ROWS = st.lists(st.lists(CELLS, max_size=5).map(",".join), max_size=6).map("\n".join)


@fuzzed
@given(data=st.binary(max_size=200) | ROWS.map(lambda rows: f"file,caption\n{rows}".encode("utf-8", "surrogatepass")))
def test_tables_of_captions(data, scratch):
    (scratch / TABLE).write_bytes(data)
    for path, row in (refused_on_one_line(lambda: read_table(scratch)) or {}).items():
        assert (
            path.is_relative_to(scratch)
            and ".." not in path.parts
            and all(isinstance(each, str) for each in row.values())
        )


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("reader", [Controls, Examples])
def test_arrays(reader, compressed, scratch):
    @fuzzed
    @given(data=damaged_bytes(small_npz(compressed=compressed)))
    def read(data):
        path = scratch / "a.npz"
        path.write_bytes(data)
        found = refused_on_one_line(lambda: reader.load(path))
        if isinstance(found, Controls):
            assert np.isfinite(found.values).all() and found.values.shape == (len(found.found), len(found.channels))
        elif found is not None:
            assert found.controls.shape[:2] == (len(found), found.codes.shape[2])

    read()


@fuzzed
@given(
    data=st.binary(max_size=200)
    | st.lists(JSON.map(json.dumps) | st.text(max_size=9), max_size=4).map("\n".join).map(str.encode)
)
def test_logs(data, scratch):
    (scratch / "log.jsonl").write_bytes(data)
    for row in refused_on_one_line(lambda: read_log(scratch / "log.jsonl")) or []:
        assert isinstance(row["stage"], str) and isinstance(row["step"], int)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    """One folder for all examples of a test; each overwrites the file of the one before."""
    return tmp_path_factory.mktemp("fuzz")
