"""Live audio: codes are reported as they are sampled, and chunks of audio join to the audio of all codes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from expotion_lite.musicgen import (
    AudioStream,
    Condition,
    ObservedDecoder,
    Settings,
    StepDecoder,
    decode,
    encode,
    encode_prompts,
    sample_codes,
)
from expotion_lite.synthetic.band import compose, play


def test_audio_in_chunks_is_the_audio_of_all_codes(nano):
    """The state of the codec's LSTM, which holds the phase of the tones, is kept between chunks."""
    codes, chunks = encode(nano, torch.from_numpy(play(compose(24, 6.0), 16_000))[None]), []
    stream, frames = AudioStream(nano, chunks.append, codes.shape[-1] * nano.hop), list(codes[0].T.numpy())
    for frame in frames:
        stream.feed([frame])
    stream.finish()
    assert len(chunks) == len(frames) // 25 and {len(chunk) for chunk in chunks[:-1]} == {25 * nano.hop}
    np.testing.assert_allclose(np.concatenate(chunks), decode(nano, codes)[0].numpy().clip(-1, 1), atol=2e-3)


def test_the_observed_codes_are_the_sampled_ones_over_several_windows(nano):
    reports = []

    def on_codes(codes):
        reports.extend(codes)

    decoder = ObservedDecoder(StepDecoder(nano.model.decoder), nano.n_codebooks, on_codes)
    condition = Condition(*encode_prompts(nano, ["happy rock"]))
    codes = sample_codes(replace(nano, window=40), decoder, condition, 70, Settings())
    observed = np.stack(decoder.codes, axis=1)
    np.testing.assert_array_equal(reports, decoder.codes)  # each frame is reported once
    assert observed.shape[1] >= 70 - 1, "the last step's codes are not read any more"
    np.testing.assert_array_equal(observed, codes[0, :, : observed.shape[1]].numpy())


def test_music_without_end_needs_no_more_memory(nano):
    codes, chunks = encode(nano, torch.from_numpy(play(compose(24, 6.0), 16_000))[None]), []
    stream, frames = AudioStream(nano, chunks.append, chunk_s=0.1), list(codes[0].T.numpy())
    for frame in frames:
        stream.feed([frame])
        assert len(stream._frames) <= 3 + 5 + 5 and (stream._hidden is None or stream._hidden.shape[-1] <= 4)
    audio, whole = np.concatenate(chunks), decode(nano, codes)[0].numpy().clip(-1, 1)
    assert {len(chunk) for chunk in chunks} == {5 * nano.hop}
    assert len(frames) * nano.hop - len(audio) < 10 * nano.hop, "what is missing waits for the frames after it"
    np.testing.assert_allclose(audio, whole[: len(audio)], atol=1e-4)
