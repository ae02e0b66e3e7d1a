"""Sampling without end: the same codes as of a piece, windows that change without a seam, and changes while it runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from expotion_lite.generation import load_pipeline
from expotion_lite.musicgen import Condition, Settings, StepDecoder, encode_prompts, endless, sample_codes
from expotion_lite.musicgen.endless import EndlessSampler

PROMPT = "happy rock with guitar, bass and drums"


@pytest.fixture(scope="module")
def pipeline():
    return load_pipeline()


def _sampler(pipeline, settings, window=500, follows=True):
    musicgen = replace(pipeline.musicgen, window=window)
    return EndlessSampler(musicgen, pipeline.decoder, *encode_prompts(musicgen, [PROMPT]), settings, follows)


def _visual(pipeline, n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((n, pipeline.musicgen.model.decoder.config.hidden_size), generator=generator)


@pytest.mark.parametrize("settings", [Settings(3), Settings(3, guidance=0.0), Settings(3, guidance=1.0)], ids=str)
def test_within_a_window_it_draws_what_a_piece_of_music_would_have(pipeline, settings):
    visual, emphasis = _visual(pipeline, 60), np.linspace(0, 1, 60, dtype=np.float32)
    sampler = _sampler(pipeline, settings)
    frames = [frame for i in range(60) for frame in sampler.draw(visual[i : i + 1], emphasis[i : i + 1])]
    condition = Condition(*encode_prompts(pipeline.musicgen, [PROMPT]), visual[None], torch.from_numpy(emphasis)[None])
    decoder = StepDecoder(pipeline.musicgen.model.decoder)
    expected = sample_codes(pipeline.musicgen, decoder, condition, 60, settings)[0].T
    assert len(frames) == 60 - 3, "the last codebooks of a frame are drawn three steps after the first"
    np.testing.assert_array_equal(frames, expected[: len(frames)].numpy())


def test_without_an_adapter_it_follows_the_text_alone(pipeline):
    frames = _sampler(pipeline, Settings(5), follows=False).draw(None, n=40)
    condition = Condition(*encode_prompts(pipeline.musicgen, [PROMPT]))
    expected = sample_codes(
        pipeline.musicgen, StepDecoder(pipeline.musicgen.model.decoder), condition, 40, Settings(5)
    )[0].T
    np.testing.assert_array_equal(frames, expected[: len(frames)].numpy())


def test_the_next_window_reads_a_few_steps_at_a_time_and_draws_as_if_it_had_read_all_at_once(pipeline, monkeypatch):
    settings, visual = Settings(top_k=1), _visual(pipeline, 300)
    frames = {}
    for size in (13, 1000):
        monkeypatch.setattr(endless, "SLICE", size)
        sampler = _sampler(pipeline, settings, window=100)
        begun = sampler._begin
        starts = []
        sampler._begin = lambda start, begun=begun, starts=starts: (starts.append(start), begun(start))[1]
        frames[size] = sampler.draw(visual, n=300)
        assert len(starts) >= 3
        assert len(sampler._columns) <= 100, "what no window reads any more is forgotten"
        frames[size, "starts"] = starts
    # A small slice has to begin earlier. So only the music before the first change is the same, and the rule after it.
    n = frames[13, "starts"][0] + 30
    np.testing.assert_array_equal(frames[13][:n], frames[1000][:n])


def test_a_window_that_is_read_in_slices_has_the_logits_of_one_that_is_read_at_once(pipeline):
    sampler = _sampler(pipeline, Settings(1))
    sampler.draw(_visual(pipeline, 100), n=100)
    in_slices, at_once = sampler._begin(40), sampler._begin(40)
    for end in (7, 14, 30, 60):
        logits = sampler._read(in_slices, end)
    torch.testing.assert_close(logits, sampler._read(at_once, 60), atol=1e-4, rtol=1e-4)


def test_prompt_and_settings_change_while_it_runs(pipeline):
    changed, same = _sampler(pipeline, Settings(2)), _sampler(pipeline, Settings(2))
    visual = _visual(pipeline, 60)
    for sampler in (changed, same):
        sampler.draw(visual[:30], n=30)
    changed.change_text(*encode_prompts(pipeline.musicgen, ["calm piano"]))
    changed.change_settings(Settings(2, guidance=6.0, visual_guidance=0.0))
    assert not np.array_equal(changed.draw(visual[30:], n=30), same.draw(visual[30:], n=30))
