"""How nano's text encoder and language model were trained: captions and codes of the band's music, from scratch."""

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

from .bands import Band
from .checkpoints import train_for
from .codec_training import SAMPLE_RATE, TRAIN_SEEDS
from .files import writing
from .musicgen import inputs_and_labels

WINDOW = 500  # frames: 10 s
PIECE_S = 14.0
TEXT_DROPOUT = 0.15
SPECIAL = ("<pad>", "</s>", "<unk>")


def caption_of(band: Band, seed: int, variant: int) -> str:
    """One of the many captions of the piece with this seed."""
    return band.describe(band.compose(seed, PIECE_S), np.random.default_rng([seed, variant]))


def new_tokenizer(band: Band, n_captions: int = 6000) -> T5Tokenizer:
    """A unigram tokenizer in T5's class.

    Every word of the band's captions is a piece, and so is every ASCII character, so that other words are spelled out.
    """
    words = Counter(word for i in range(n_captions) for word in _words(caption_of(band, TRAIN_SEEDS + i, 0)))
    total = sum(words.values())
    pieces = [(token, 0.0) for token in SPECIAL] + [("\u2581", -8.0)]
    pieces += [("\u2581" + word, math.log(count / total)) for word, count in sorted(words.items())]
    pieces += [(chr(code), -12.0) for code in range(33, 127)]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512)


def _words(text: str) -> list[str]:
    """Words without the punctuation that follows them, which is a piece of its own."""
    return [word.strip(",.") for word in text.split()]


def new_musicgen(
    codec: EncodecModel, vocabulary: int, width: int = 256, layers: int = 4
) -> MusicgenForConditionalGeneration:
    """An untrained MusicGen around a trained codec."""
    text = T5Config(
        vocab_size=vocabulary, d_model=128, d_kv=32, d_ff=256, num_layers=2, num_heads=4, dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    size = codec.config.codebook_size
    decoder = MusicgenDecoderConfig(
        vocab_size=size, hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64,
        ffn_dim=4 * width, num_codebooks=codec.config.num_quantizers, max_position_embeddings=2048,
        pad_token_id=size, bos_token_id=size,
        initializer_factor=0.05, dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, tie_word_embeddings=False,
    )  # fmt: skip
    config = MusicgenConfig(
        text_encoder=text.to_dict(), audio_encoder=codec.config.to_dict(), decoder=decoder.to_dict()
    )
    config.window_frames = WINDOW
    model = MusicgenForConditionalGeneration(config)
    model.audio_encoder.load_state_dict(codec.state_dict())
    model.audio_encoder.requires_grad_(False)
    for table in model.decoder.model.decoder.embed_tokens:
        torch.nn.init.normal_(table.weight, std=0.4)  # as loud as the positions that they are added to
    return model


def encode_corpus(
    codec: EncodecModel, band: Band, folder: Path, pieces: int, first_seed: int, part: int = 200
) -> np.ndarray:
    """Codes of `pieces` pieces, (pieces, K, T) int16, kept in `folder` in parts, so that a kill costs one part."""
    parts = []
    for first in range(0, pieces, part):
        path = folder / f"{first:06}.npy"
        if not path.exists():
            seeds = range(first_seed + first, first_seed + min(first + part, pieces))
            codes = np.concatenate([_encode_pieces(codec, band, seeds[i : i + 8]) for i in range(0, len(seeds), 8)])
            with writing(path) as temporary, open(temporary, "wb") as file:
                np.save(file, codes)
        parts.append(np.load(path, allow_pickle=False))
    return np.concatenate(parts)


@torch.no_grad()
def _encode_pieces(codec: EncodecModel, band: Band, seeds: range) -> np.ndarray:
    audio = np.stack([band.play(band.compose(seed, PIECE_S), SAMPLE_RATE) for seed in seeds])
    return codec.encode(torch.from_numpy(audio)[:, None]).audio_codes[0].to(torch.int16).numpy()


def batch_of(
    codes: np.ndarray, band: Band, first_seed: int, tokenizer: T5Tokenizer, rng: np.random.Generator, size: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw clips and captions. Returns (codes (B, K, WINDOW) int64, tokens (B, L), mask (B, L))."""
    picks = rng.integers(len(codes), size=size)
    starts = rng.integers(0, codes.shape[-1] - WINDOW + 1, size=size)
    clips = np.stack([codes[p, :, s : s + WINDOW] for p, s in zip(picks, starts, strict=True)])
    texts = [caption_of(band, first_seed + int(p), int(rng.integers(1 << 30))) for p in picks]
    tokens = tokenizer(texts, return_tensors="pt", padding=True)
    mask = tokens.attention_mask * torch.from_numpy(rng.random((size, 1)) >= TEXT_DROPOUT)
    return torch.from_numpy(clips.astype(np.int64)), tokens.input_ids, mask


def train_language(
    codec: EncodecModel,
    band: Band,
    folder: Path,
    hours: float,
    pieces: int = 2400,
    batch: int = 8,
    lr: float = 1.5e-3,
) -> tuple[MusicgenForConditionalGeneration, T5Tokenizer]:
    """Train (or go on training) text encoder and decoder for `hours` in all."""
    torch.manual_seed(1)
    tokenizer = new_tokenizer(band)
    model = new_musicgen(codec, len(tokenizer))
    codes = encode_corpus(codec, band, folder / "codes", pieces, TRAIN_SEEDS)
    held_out = encode_corpus(codec, band, folder / "held_out_codes", 32, 0)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.95), weight_decay=0.05)
    pad = model.decoder.config.pad_token_id

    def loss_of(clips: torch.Tensor, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        inputs, labels = inputs_and_labels(clips, pad)
        with torch.autocast("cpu", torch.bfloat16):
            out = model(input_ids=tokens, attention_mask=mask, decoder_input_ids=inputs, labels=labels)
        return out.loss.float()

    def step(i: int, progress: float) -> dict[str, float]:
        loss = loss_of(*batch_of(codes, band, TRAIN_SEEDS, tokenizer, np.random.default_rng([7, i]), batch))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return {"loss": float(loss.detach())}

    @torch.no_grad()
    def validate() -> dict[str, float]:
        model.eval()
        losses = [
            float(loss_of(*batch_of(held_out, band, 0, tokenizer, np.random.default_rng([8, i]), 8))) for i in range(4)
        ]
        model.train()
        return {"loss": sum(losses) / len(losses)}

    model.train()
    train_for(hours, folder, "language", model, optimizer, step, validate=validate)
    return model.eval(), tokenizer


def save_nano(model: MusicgenForConditionalGeneration, tokenizer: T5Tokenizer, folder: Path) -> None:
    """Write a folder that plain `from_pretrained` loads: weights stored as float16, to be computed with in float32."""
    features = EncodecFeatureExtractor(feature_size=1, sampling_rate=SAMPLE_RATE, padding_side="left")
    MusicgenProcessor(features, tokenizer).save_pretrained(folder)
    model.generation_config.max_length = WINDOW + 4
    model.generation_config.do_sample = True
    model.generation_config.guidance_scale = 3.0
    model.half().save_pretrained(folder)
    model.float()
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"dtype": "float16"', '"dtype": "float32"'))
