"""The whole library on a model of facebook/musicgen-small's shape, with random weights.

The tensors have the names of the published checkpoint, which was written by an older transformers: weight
normalization is stored as `weight_g` and `weight_v`, and the table of positions is stored with the weights.
"""

from __future__ import annotations

import gc
import math
import shutil
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import (
    AutoTokenizer,
    EncodecFeatureExtractor,
    MusicgenForConditionalGeneration,
    MusicgenProcessor,
)

from expotion_lite import generation
from expotion_lite.assets import example_clip
from expotion_lite.controls.channels import Controls
from expotion_lite.course import musicgen_small_config
from expotion_lite.musicgen.adapter import (
    AdapterConfig,
    attach,
    conditioned,
    embed_controls,
    frames_to_steps,
    load_adapter,
    save_adapter,
)
from expotion_lite.musicgen.codes import decode, encode, inputs_and_labels
from expotion_lite.musicgen.loading import NANO, load
from expotion_lite.musicgen.sampling import encode_prompts
from expotion_lite.musicgen.settings import Settings
from expotion_lite.musicgen.step_decoder import StepDecoder
from expotion_lite.training.loop import Batch, loss_of
from expotion_lite.video.reading import probe, read_frames
from expotion_lite.video.writing import write_video

pytestmark = pytest.mark.slow

PROMPT = "steady rock with guitar, bass and drums"
CHANNELS = ("smile", "head_pitch")
POSITIONS = "decoder.model.decoder.embed_positions.weights"
NEW_NAMES = {".weight_g": ".parametrizations.weight.original0", ".weight_v": ".parametrizations.weight.original1"}


def new_model():
    """Return a MusicGen small without weights."""
    with torch.device("meta"):
        return MusicgenForConditionalGeneration(musicgen_small_config())


def published(name):
    """Return the name of a tensor in the published checkpoint."""
    for old, new in NEW_NAMES.items():
        name = name.replace(new, old)
    return name


def random_weights(name, shape):
    if name.endswith(("norm.weight", ".weight_g", "inited", "cluster_size")):
        return torch.ones(shape, dtype=torch.float16)
    if name.endswith("bias"):
        return torch.zeros(shape, dtype=torch.float16)
    return torch.empty(shape, dtype=torch.float16).normal_(std=1.0 if "codebook" in name else 0.02)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Use one thread: beside other programs, two wait for each other at every product and take ten times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _one_model_at_a_time():
    """Free the last pipeline's memory: `load_pipeline` keeps one, so that nano replaces the large model."""
    yield
    generation.load_pipeline()
    gc.collect()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder as the hub gives it, 1.2 GB in half precision, removed after the tests."""
    path = tmp_path_factory.mktemp("musicgen-small")
    torch.manual_seed(0)
    model = new_model()
    names = {name: published(name) for name in model.state_dict()}
    del names["text_encoder.encoder.embed_tokens.weight"]  # tied to text_encoder.shared
    tensors = {new: random_weights(new, model.state_dict()[name].shape) for name, new in names.items()}
    positions = model.decoder.model.decoder.embed_positions
    tensors[POSITIONS] = positions.get_embedding(*positions.weights.shape).half()
    model.save_pretrained(path, state_dict=tensors)
    del tensors
    features = EncodecFeatureExtractor(feature_size=1, sampling_rate=32000, padding_side="left")
    MusicgenProcessor(features, AutoTokenizer.from_pretrained(NANO)).save_pretrained(path)
    yield path
    shutil.rmtree(path)


def differing(model, folder):
    """Return the names of tensors that differ from the file, except those of the adapter and LoRA."""
    names = []
    with safe_open(folder / "model.safetensors", "pt") as file:
        for name, tensor in model.state_dict().items():
            name = published(name.removeprefix("base_model.model.").replace(".base_layer", ""))
            name = name.replace("text_encoder.encoder.embed_tokens", "text_encoder.shared")
            if not is_new(name) and not torch.equal(tensor, file.get_tensor(name).to(tensor.dtype)):
                names.append(name)
    return names


def is_new(name):
    """Return whether a tensor belongs to the adapter or to LoRA."""
    return "visual_adapter" in name or "lora_" in name


def learning(model):
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def controls_of(frames):
    values = np.random.default_rng(0).normal(size=(frames, len(CHANNELS))).astype(np.float32)
    return Controls(values, CHANNELS, 50.0, np.ones(frames, bool))


@dataclass
class Trained:
    """The result of one training step."""

    adapter: Path
    losses: tuple[float, float]
    with_gradient: set[str]
    weights: dict[str, torch.Tensor]
    base_differs: list[str]


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    torch.manual_seed(0)
    musicgen = load(folder)
    config = AdapterConfig(CHANNELS, musicgen.model.decoder.config.hidden_size)
    model = attach(musicgen, config)
    words = musicgen.processor.tokenizer([PROMPT], return_tensors="pt")
    codes, controls = torch.randint(0, 2048, (1, 4, 25)), torch.from_numpy(controls_of(25).values)[None]
    batch = Batch(codes, controls, words.input_ids, words.attention_mask, torch.ones(1), torch.ones(codes.shape[::2]))
    optimizer = torch.optim.AdamW(learners := [p for p in model.parameters() if p.requires_grad], lr=1e-3)
    loss = loss_of(model, batch, musicgen.pad)
    loss.backward()
    with_gradient = {name for name, p in model.named_parameters() if p.grad is not None}
    torch.nn.utils.clip_grad_norm_(learners, 1.0, error_if_nonfinite=True)
    optimizer.step()
    with torch.no_grad():
        after = loss_of(model, batch, musicgen.pad)
    save_adapter(model, config, adapter := tmp_path_factory.mktemp("adapter"))
    losses = float(loss.detach()), float(after)
    return Trained(adapter, losses, with_gradient, learning(model), differing(model, folder))


def test_it_has_the_size_and_the_rates_of_musicgen_small(folder):
    """The model card's 300M is the class of its decoder; the hub counts 591 M numbers in the whole published file."""
    musicgen = load(folder)
    model = musicgen.model
    parts = (model.text_encoder, model.audio_encoder, model.decoder, model.enc_to_dec_proj)
    sizes = [sum(p.numel() for p in part.parameters()) for part in parts]
    assert sizes == [109_628_544, 56_884_674, 419_584_000, 787_456]
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys()) == 591_087_174  # noqa: SIM118
    assert (musicgen.sample_rate, musicgen.frame_rate, musicgen.n_codebooks) == (32000, 50.0, 4)
    assert (musicgen.pad, musicgen.window) == (2048, 1500)
    assert model.dtype == torch.float32


def test_every_weight_of_a_checkpoint_with_the_published_names_arrives(folder):
    model = load(folder).model
    assert differing(model, folder) == []
    positions = model.decoder.model.decoder.embed_positions
    assert torch.equal(positions.weights, positions.get_embedding(2048, 1024))


def test_a_second_of_audio_is_fifty_frames_and_back(folder):
    musicgen = load(folder)
    torch.manual_seed(0)
    codes = encode(musicgen, 0.1 * torch.randn(1, 32000))
    assert codes.shape == (1, 4, 50) and codes.min() >= 0 and codes.max() < 2048
    assert all(len(book.unique()) > 2 for book in codes[0]), "noise gives more than silence would"
    assert decode(musicgen, codes).shape == (1, 32000)


def test_a_step_of_training_changes_the_adapter_and_lora_alone(trained):
    assert math.isfinite(trained.losses[0]) and trained.losses[1] < trained.losses[0]
    assert trained.with_gradient == set(trained.weights) and all(map(is_new, trained.weights))
    assert trained.base_differs == []


def test_a_saved_adapter_is_loaded_and_changes_the_music(folder, trained):
    """The logits equal those of transformers' forward, and music with both kinds of guidance has the right length."""
    pipeline = generation.load_pipeline(str(folder), str(trained.adapter))
    musicgen, model, decoder = pipeline.musicgen, pipeline.peft_model, pipeline.decoder
    again = learning(model)
    assert again.keys() == trained.weights.keys()
    assert all(torch.equal(again[name], weight) for name, weight in trained.weights.items())

    inputs, _ = inputs_and_labels(torch.randint(0, 2048, (1, 4, 8)), musicgen.pad)
    words = musicgen.processor.tokenizer([PROMPT], return_tensors="pt")
    with torch.no_grad():
        control = frames_to_steps(embed_controls(model, torch.from_numpy(controls_of(8).values)[None]), 4)
        with conditioned(model, control):
            theirs = model(**words, decoder_input_ids=inputs).logits[None, :, -1]
        blind = model(**words, decoder_input_ids=inputs).logits[None, :, -1]
    decoder.start(*encode_prompts(musicgen, [PROMPT]), 11)
    decoder.step(inputs[None, :, :10], control[:, :10])
    ours = decoder.step(inputs[None, :, 10:], control[:, 10:])
    assert torch.allclose(ours, theirs, atol=1e-4) and not torch.allclose(ours, blind, atol=1e-2)

    codes = generation.generate_codes(pipeline, [PROMPT], [controls_of(100)], Settings(seed=1))[0]
    assert codes.shape == (4, 100) and codes.min() >= 0 and codes.max() < 2048
    audio = generation.to_audio(musicgen, codes)
    assert audio.shape == (64000,) and np.isfinite(audio).all() and audio.std() > 0.01


def test_generate_writes_the_video_with_music(folder, tmp_path):
    video = write_video(tmp_path / "in.mp4", islice(read_frames(example_clip()), 25))
    out = tmp_path / "out.mp4"
    take = generation.generate(video, PROMPT, model=folder, adapter=None, output=out, progress=False)
    assert take.audio.shape == (32000,) and take.sample_rate == 32000 and take.codes.shape == (4, 50)
    assert np.isfinite(take.audio).all() and take.audio.std() > 0.01
    assert probe(out).has_audio and probe(out).frames == 25


def test_bfloat16_makes_music(folder, trained):
    """The adapter itself stays in float32."""
    musicgen = load(folder, dtype="bfloat16")
    model, config = load_adapter(musicgen, trained.adapter)
    assert musicgen.model.decoder.lm_heads[0].weight.dtype == torch.bfloat16
    assert {p.dtype for p in learning(model).values()} == {torch.float32}
    pipeline = generation.Pipeline(musicgen, StepDecoder(musicgen.model.decoder), model, config)
    codes = generation.generate_codes(pipeline, [PROMPT], [controls_of(10)], Settings(seed=1))[0]
    audio = generation.to_audio(musicgen, codes)
    assert audio.shape == (6400,) and audio.dtype == np.float32
    assert np.isfinite(audio).all() and audio.std() > 0.01
