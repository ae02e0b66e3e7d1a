"""nano's tokenizer and its untrained model: making, deepening and saving them."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from transformers import (
    EncodecFeatureExtractor,
    EncodecModel,
    MusicgenConfig,
    MusicgenForConditionalGeneration,
    MusicgenProcessor,
    T5Config,
    T5Tokenizer,
)
from transformers.models.musicgen.configuration_musicgen import MusicgenDecoderConfig

from ..errors import ExpotionError
from ..musicgen.loading import load
from ..synthetic import band
from .codec_training import SAMPLE_RATE, TRAIN_SEEDS

WINDOW = 500  # frames of music that the model is trained on at once
PIECE_S = WINDOW / 50
SPECIAL = ("<pad>", "</s>", "<unk>")
SPACE = "\u2581"  # marks the beginning of a word in the vocabulary


def new_tokenizer(n_captions: int = 6000) -> T5Tokenizer:
    """Make a unigram tokenizer in T5's class from captions of the band's pieces.

    Every word of these captions is a token, and so is every ASCII character, so that other words are spelled out.
    """
    seeds = range(TRAIN_SEEDS, TRAIN_SEEDS + n_captions)
    captions = (band.describe(band.compose(seed, PIECE_S), np.random.default_rng([seed, 0])) for seed in seeds)
    words = Counter(word for caption in captions for word in _words(caption))
    total = sum(words.values())
    vocabulary = [(token, 0.0) for token in SPECIAL] + [(SPACE, -8.0)]
    vocabulary += [(SPACE + word, math.log(count / total)) for word, count in sorted(words.items())]
    vocabulary += [(chr(code), -12.0) for code in range(33, 127)]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=512)


def _words(text: str) -> list[str]:
    """Split a text into words without the punctuation after them, which has tokens of its own."""
    return [word.strip(",.") for word in text.split()]


def new_musicgen(
    codec: EncodecModel, vocabulary: int, width: int = 256, layers: int = 4
) -> MusicgenForConditionalGeneration:
    """Make an untrained MusicGen around a trained codec, on the codec's device.

    Args:
        codec: from `codec_training`; it stays as it is.
        vocabulary: number of tokens of the text encoder.
        width: of the decoder, a multiple of 64.
        layers: of the decoder.
    """
    torch.manual_seed(1)
    text = T5Config(
        vocab_size=vocabulary,
        d_model=128,
        d_kv=32,
        d_ff=256,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
    )
    size = codec.config.codebook_size
    decoder = MusicgenDecoderConfig(
        vocab_size=size,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        ffn_dim=4 * width,
        num_codebooks=codec.config.num_quantizers,
        max_position_embeddings=2048,
        pad_token_id=size,
        bos_token_id=size,
        initializer_factor=0.05,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        tie_word_embeddings=False,
    )
    config = MusicgenConfig(
        text_encoder=text.to_dict(), audio_encoder=codec.config.to_dict(), decoder=decoder.to_dict()
    )
    config.window_frames = WINDOW
    model = MusicgenForConditionalGeneration(config)
    model.audio_encoder.load_state_dict(codec.state_dict())
    model.audio_encoder.requires_grad_(False)
    for table in model.decoder.model.decoder.embed_tokens:
        torch.nn.init.normal_(table.weight, std=0.4)  # as large as the position embeddings that are added to them
    return model.to(codec.device)


def load_with_more_layers(
    nano: Path, layers: int | None, device: str
) -> tuple[MusicgenForConditionalGeneration, T5Tokenizer]:
    """Load a trained nano and add layers that change nothing at first (Chen et al. 2016, Net2Net).

    A new layer's last matrices are 0, so that it passes its input on. The new layers are spread evenly among the old.

    Args:
        nano: the folder of a nano.
        layers: number of the decoder's layers afterwards; None keeps it as it is.
        device: where to put the model.

    Returns:
        (the model, its tokenizer)

    Raises:
        ExpotionError: the nano has more layers already, or the folder holds no model.
    """
    old = load(nano, device=device, dtype="float32")
    config = MusicgenConfig.from_dict(old.model.config.to_dict())
    has = config.decoder.num_hidden_layers
    layers = has if layers is None else layers
    if layers < has:
        raise ExpotionError(f"The nano in {nano} has {has} layers; none can be taken away (--layers {layers}).")
    config.decoder.num_hidden_layers = layers
    model = MusicgenForConditionalGeneration(config).to(device)
    weights, prefix = old.model.state_dict(), "decoder.model.decoder.layers."
    kept = {(i + 1) * layers // has - 1: i for i in range(has)}  # a layer's number in the new model -> in the old
    with torch.no_grad():
        for name, value in model.state_dict().items():
            number, _, rest = name.removeprefix(prefix).partition(".")
            if not name.startswith(prefix):
                value.copy_(weights[name])
            elif int(number) in kept:
                value.copy_(weights[f"{prefix}{kept[int(number)]}.{rest}"])
            elif rest in ("self_attn.out_proj.weight", "encoder_attn.out_proj.weight", "fc2.weight"):
                value.zero_()
    model.audio_encoder.requires_grad_(False)
    return model, old.processor.tokenizer


@torch.no_grad()
def embed_numbers_by_value(model: MusicgenForConditionalGeneration, tokenizer: T5Tokenizer) -> None:
    """Give close numbers close embeddings, in place, so that what is learned of 120 bpm also holds for 121.

    The embeddings are random Fourier features of the logarithm (Rahimi and Recht 2007). Half of them tell numbers apart
    that differ by 3 %, half by 20 %. From random embeddings each of a hundred tempi would have to be learned alone.
    """
    words = {piece.removeprefix(SPACE): i for piece, i in tokenizer.get_vocab().items() if piece[0] == SPACE}
    rows, octaves = zip(*((i, math.log2(int(w))) for w, i in words.items() if w.isdigit() and int(w) > 0), strict=True)
    table, rng = model.text_encoder.shared.weight, np.random.default_rng(0)
    width = np.where(np.arange(table.shape[1]) % 2, 0.04, 0.26)
    phases = np.outer(octaves, rng.standard_normal(len(width)) / width) + rng.uniform(0, 2 * np.pi, len(width))
    features = float(table.std()) * math.sqrt(2) * torch.from_numpy(np.cos(phases))
    table[list(rows)] = features.to(table)


def processor_of(tokenizer: T5Tokenizer) -> MusicgenProcessor:
    """Return the processor that turns prompts and 16 kHz audio into a model's inputs."""
    return MusicgenProcessor(
        EncodecFeatureExtractor(feature_size=1, sampling_rate=SAMPLE_RATE, padding_side="left"), tokenizer
    )


def save_nano(model: MusicgenForConditionalGeneration, tokenizer: T5Tokenizer, folder: Path) -> None:
    """Write a folder that `from_pretrained` loads: weights stored as float16, to be computed with in float32."""
    processor_of(tokenizer).save_pretrained(folder)
    model.generation_config.max_length = WINDOW + 4
    model.generation_config.do_sample = True
    model.generation_config.guidance_scale = 3.0
    model.half().save_pretrained(folder)
    model.float()
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"dtype": "float16"', '"dtype": "float32"'))
