"""Nano is a MusicGen like any other, and the codes go there and back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from expotion_lite.errors import ExpotionError
from expotion_lite.musicgen.codes import decode, delay, encode, inputs_and_labels, undelay
from expotion_lite.musicgen.loading import NANO, load
from expotion_lite.musicgen.prompts import respell, unknown_words
from expotion_lite.synthetic.band import compose, play


@pytest.fixture(scope="module")
def nano():
    return load("nano")


def test_plain_transformers_loads_nano_and_makes_sound():
    from transformers import AutoProcessor, MusicgenForConditionalGeneration

    model = MusicgenForConditionalGeneration.from_pretrained(NANO)
    inputs = AutoProcessor.from_pretrained(NANO)(text=["fast techno with drums"], padding=True, return_tensors="pt")
    torch.manual_seed(0)
    audio = model.generate(**inputs, max_new_tokens=103).float()
    assert audio.shape == (1, 1, 100 * 320)
    assert audio.abs().max() > 0.05 and audio.std() > 0.01


def test_delay_pattern_equals_transformers_own(nano):
    codes = torch.randint(0, 256, (2, 4, 9))
    decoder = nano.model.decoder
    start = torch.full((8, 1), nano.pad)
    _, mask = decoder.build_delay_pattern_mask(start, nano.pad, max_length=9 + 4)
    laid = torch.nn.functional.pad(delay(codes, nano.pad), (1, 0), value=nano.pad)
    padded = (mask.view(2, 4, -1) == nano.pad)[..., : laid.shape[-1]]
    assert torch.equal(laid == nano.pad, padded)
    assert torch.equal(undelay(delay(codes, nano.pad)), codes)


def test_a_missing_frame_is_neither_read_nor_learned():
    codes = torch.tensor([[[5, 6, -1], [7, 8, -1]]])
    inputs, labels = inputs_and_labels(codes, pad=9)
    assert inputs.tolist() == [[9, 5, 6, 9], [9, 9, 7, 8]]
    assert labels[0].T.tolist() == [[5, 6, -100, -100], [-100, 7, 8, -100]]


def test_codes_keep_the_music(nano):
    """Decoded, a piece still correlates with itself and not with another piece (log-mel, frame by frame)."""
    from expotion_lite.lab.codec_training import log_mels

    audio = torch.from_numpy(np.stack([play(compose(s, 4.0), 16_000) for s in (21, 22, 23)]))
    again = decode(nano, encode(nano, audio))
    assert again.shape == audio.shape
    mels = [log_mels(x)[1].flatten(1) for x in (audio, again)]
    table = torch.corrcoef(torch.cat(mels))[:3, 3:]
    assert (table.diag() > 0.8).all()
    assert (table.diag() > table.fill_diagonal_(-1).max(1).values).all()


def test_decoding_in_chunks_equals_decoding_at_once(nano):
    codes = encode(nano, torch.from_numpy(play(compose(24, 13.0), 16_000))[None])
    at_once, in_chunks, without_margin = (
        decode(nano, codes, chunk=1000),
        decode(nano, codes),
        decode(nano, codes, margin=0),
    )
    theirs = nano.model.audio_encoder.decode(codes[None], [None]).audio_values[:, 0].detach()
    assert (at_once - theirs).abs().max() < 1e-5
    assert (at_once - in_chunks).abs().max() < 1e-3 * at_once.abs().max()
    assert (at_once - without_margin).abs().max() > 5 * (at_once - in_chunks).abs().max(), (
        "the margin is there for a reason"
    )


def test_encoding_in_chunks_equals_encoding_at_once(nano):
    """For a length that is no multiple of a frame, too."""
    audio = torch.from_numpy(play(compose(24, 13.0), 16_000))[None, :-100]
    theirs = nano.model.audio_encoder.encode(audio[:, None]).audio_codes[0]
    assert torch.equal(encode(nano, audio, chunk=1000), theirs)
    in_chunks, without_margin = encode(nano, audio), encode(nano, audio, chunk=100, margin=0)
    assert in_chunks.shape == theirs.shape and (in_chunks == theirs).float().mean() > 0.999, "but for rounding"
    assert (without_margin == theirs).float().mean() < 0.995, "the margin is there for a reason"


@pytest.mark.parametrize("name", ["facebook/musicgen-melody", "nanno", "", "/no/such/folder", "../up", None, 3])
def test_an_unknown_model_is_refused_with_what_to_use(name):
    with pytest.raises(ExpotionError, match="Unknown model.*use nano"):
        load(name)


@pytest.mark.parametrize(
    "config, says",
    [
        (None, "no config.json"),
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"model_type": "t5"}', "of type 't5'"),
        ('{"model_type": "musicgen", "decoder": {"audio_channels": 2}}', "stereo"),
    ],
)
def test_a_folder_that_holds_no_musicgen_is_refused(config, says, tmp_path):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(ExpotionError, match=says):
        load(tmp_path)


def test_a_hub_model_that_is_not_here_says_so(tmp_path):
    """In a process of its own: where the hub's cache lies is read once, at the first import."""
    code = "from expotion_lite import load\nload('facebook/musicgen-small')"
    here = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    here.pop("HF_HUB_CACHE", None)
    run = subprocess.run([sys.executable, "-c", code], env=here, capture_output=True, text=True)
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("expotion_lite.errors.ExpotionError: Cannot load facebook/musicgen-small") and "nano" in last


@pytest.mark.parametrize("damage", ["no tokenizer", "other width", "other activation"])
def test_a_folder_whose_parts_do_not_fit_is_refused(damage, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(NANO, folder)
    config = json.loads((folder / "config.json").read_text())
    if damage == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    elif damage == "other width":
        config["decoder"]["hidden_size"] = 128
    else:
        config["decoder"]["activation_function"] = "relu"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ExpotionError, match="model"):
        load(folder)


def test_the_codec_computes_in_float32_whatever_the_rest_does():
    audio = torch.from_numpy(play(compose(1, 3.0), 16_000))[None]
    whole, half = (load("nano", dtype=dtype) for dtype in ("float32", "float16"))
    assert half.model.decoder.lm_heads[0].weight.dtype == torch.float16
    assert torch.equal(encode(whole, audio), encode(half, audio))  # nano is stored as float16: nothing is rounded


@pytest.mark.parametrize(
    "prompt", ["Slow Piano with drums in D", "slow piano with DRUMS in d.", "slow piano with Drums in D"]
)
def test_nano_reads_capitals_as_its_captions_have_them(prompt):
    nano = load("nano")
    assert unknown_words(nano, prompt) == () and unknown_words(nano, prompt + " and Bach") == ("bach",)
    assert {"drums", "D"} <= {word.rstrip(".") for word in respell(nano, prompt).split()}


@pytest.mark.parametrize(("wrong", "says"), [({"device": "gpu"}, "device 'gpu'"), ({"dtype": "foo"}, "dtype 'foo'")])
def test_a_device_or_a_dtype_that_is_not_there_is_named(wrong, says):
    with pytest.raises(ExpotionError, match=says):
        load("nano", **wrong)


def test_sound_made_while_codes_come_is_the_sound_of_all_codes(nano):
    """Chunk after chunk, over more than a window: what the codec remembers, such as the phase of tones, goes on."""
    from expotion_lite.musicgen.live_audio import SoundStream

    codes, chunks = encode(nano, torch.from_numpy(play(compose(24, 12.0), 16_000))[None]), []
    stream, frames = SoundStream(nano, chunks.append, codes.shape[-1] * 320), list(codes[0].T.numpy())
    for n in range(1, len(frames) + 1):
        stream.hear(frames[:n])
    stream.finish(frames)
    assert len(chunks) == len(frames) // 25 and {len(chunk) for chunk in chunks[:-1]} == {25 * 320}
    np.testing.assert_allclose(np.concatenate(chunks), decode(nano, codes)[0].numpy().clip(-1, 1), atol=2e-3)
