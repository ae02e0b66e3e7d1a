"""How nano's text encoder and language model were trained: captions and codes of the band's music, from scratch."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from functools import partial
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

from .bands import BANDS, Band
from .checkpoints import train_for
from .codec_training import SAMPLE_RATE, TRAIN_SEEDS
from .musicgen import MusicGen, inputs_and_labels
from .streams import WORKERS, ahead, one_ahead

WINDOW = 500  # frames
PIECE_S = WINDOW / 50
SHORT = 125  # frames of the windows in every second batch
TEXT_DROPOUT = 0.15
LR, MUON_LR = 3e-3, 0.02  # peaks, of AdamW and of Muon
SPECIAL = ("<pad>", "</s>", "<unk>")
SAMPLED = (  # what a model in training is asked for, to be listened to
    "calm lo-fi hip hop with electric piano, 80 bpm",
    "happy waltz with accordion and upright bass, 120 bpm",
    "driving techno with synth lead, 132 bpm",
    "sad piano ballad, 66 bpm",
    "proud march with brass, 112 bpm",
)


def new_tokenizer(band: Band, n_captions: int = 6000) -> T5Tokenizer:
    """A unigram tokenizer in T5's class.

    Every word of the band's captions is a piece, and so is every ASCII character, so that other words are spelled out.
    """
    seeds = range(TRAIN_SEEDS, TRAIN_SEEDS + n_captions)
    captions = (band.describe(band.compose(seed, PIECE_S), np.random.default_rng([seed, 0])) for seed in seeds)
    words = Counter(word for caption in captions for word in _words(caption))
    total = sum(words.values())
    pieces = [(token, 0.0) for token in SPECIAL] + [("\u2581", -8.0)]
    pieces += [("\u2581" + word, math.log(count / total)) for word, count in sorted(words.items())]
    pieces += [(chr(code), -12.0) for code in range(33, 127)]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512)


def _words(text: str) -> list[str]:
    """Words without the punctuation that follows them, which is a piece of its own."""
    return [word.strip(",.") for word in text.split()]


def new_musicgen(
    codec: EncodecModel, band: Band, vocabulary: int, width: int = 256, layers: int = 4
) -> MusicgenForConditionalGeneration:
    """An untrained MusicGen around a trained codec, on the codec's device; its configuration names the band."""
    torch.manual_seed(1)
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
    config.window_frames, config.band = WINDOW, next(name for name, each in BANDS.items() if each == band)
    model = MusicgenForConditionalGeneration(config)
    model.audio_encoder.load_state_dict(codec.state_dict())
    model.audio_encoder.requires_grad_(False)
    for table in model.decoder.model.decoder.embed_tokens:
        torch.nn.init.normal_(table.weight, std=0.4)  # as loud as the positions that they are added to
    return model.to(codec.device)


@torch.no_grad()
def start_numbers_as_neighbours(model: MusicgenForConditionalGeneration, tokenizer: T5Tokenizer) -> None:
    """Give numbers that are close close embeddings, in place: what is learned of 120 bpm then holds for 121 too.

    Random Fourier features of the logarithm (Rahimi and Recht 2007): half of them tell 3 % apart, half 20 %. At random,
    each of a hundred tempi would have to be learned alone.
    """
    words = {piece.removeprefix("\u2581"): i for piece, i in tokenizer.get_vocab().items() if piece[0] == "\u2581"}
    rows, octaves = zip(*((i, math.log2(int(w))) for w, i in words.items() if w.isdigit() and int(w) > 0), strict=True)
    table, rng = model.text_encoder.shared.weight, np.random.default_rng(0)
    width = np.where(np.arange(table.shape[1]) % 2, 0.04, 0.26)
    phases = np.outer(octaves, rng.standard_normal(len(width)) / width) + rng.uniform(0, 2 * np.pi, len(width))
    features = float(table.std()) * math.sqrt(2) * torch.from_numpy(np.cos(phases))
    table[list(rows)] = features.to(table)


def fresh_pieces(band: Band, first_seed: int, size: int, i: int) -> tuple[torch.Tensor, list[str]]:
    """Batch number i of pieces that no other batch has: audio (size, N) float32, and a caption of each."""
    seeds = range(first_seed + i * size, first_seed + (i + 1) * size)
    pieces = [band.compose(seed, PIECE_S) for seed in seeds]
    audio = np.stack([band.play(piece, SAMPLE_RATE) for piece in pieces])
    captions = [band.describe(p, np.random.default_rng([s, 1])) for p, s in zip(pieces, seeds, strict=True)]
    return torch.from_numpy(audio), captions


@torch.no_grad()
def encode_pieces(codec: EncodecModel, audio: torch.Tensor) -> torch.Tensor:
    """Codes (B, K, WINDOW) int64 of pieces (B, N)."""
    with torch.autocast(codec.device.type, torch.bfloat16):  # as good: few codes differ, the sound does not
        each = [codec.encode(piece[None, None].to(codec.device)).audio_codes[0] for piece in audio]
    return torch.cat(each)  # one by one: a CPU's caches do not hold a batch


def in_short_windows(codes: torch.Tensor, captions: list[str]) -> tuple[torch.Tensor, list[str]]:
    """Cut codes (B, K, WINDOW) into windows of `SHORT` frames, piece after piece, each with the caption of its piece.

    In ten seconds the music itself tells its tempo, so that a model gains little by reading it in the words. In a short
    window it gains more.
    """
    n = codes.shape[-1] // SHORT
    windows = codes[..., : n * SHORT].unflatten(-1, (n, SHORT)).movedim(2, 1).flatten(0, 1)
    return windows, [caption for caption in captions for _ in range(n)]


def tokens_of(tokenizer: T5Tokenizer, captions: list[str], i: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens (B, L) of captions and their mask, which leaves out some captions altogether, drawn by the number i."""
    tokens = tokenizer(captions, return_tensors="pt", padding=True)
    shown = np.random.default_rng([8, i]).random((len(captions), 1)) >= TEXT_DROPOUT
    return tokens.input_ids, tokens.attention_mask * torch.from_numpy(shown)


def train_language(
    model: MusicgenForConditionalGeneration,
    tokenizer: T5Tokenizer,
    band: Band,
    folder: Path,
    hours: float,
    *,
    batch: int = 8,
    workers: int = WORKERS,
) -> MusicgenForConditionalGeneration:
    """Train (or go on training) text encoder and decoder, in place, on the device where the model is.

    No piece is heard twice: worker processes render fresh ones, which are encoded here.

    Args:
        model: from `new_musicgen`; its codec is trained and stays as it is. tokenizer: from `new_tokenizer`.
        band: whose music and captions it learns.
        folder: for the checkpoint and the log.
        hours: of training in all.
        batch: pieces a step; workers: processes that render.

    Returns:
        The model in eval mode.
    """
    device, codec, pad = model.device, model.audio_encoder.eval(), model.decoder.config.pad_token_id
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = optimizer_of(model)
    pieces = ahead(partial(fresh_pieces, band, TRAIN_SEEDS, batch), workers)

    def loss_of(codes: torch.Tensor, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        inputs, labels = (x.to(device) for x in inputs_and_labels(codes, pad))
        with torch.autocast(device.type, torch.bfloat16):
            out = model(
                input_ids=tokens.to(device), attention_mask=mask.to(device), decoder_input_ids=inputs, labels=labels
            )
        return out.loss.float()

    def example(i: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        audio, captions = pieces(i)
        codes = encode_pieces(codec, audio)
        if i % 2:
            codes, captions = in_short_windows(codes, captions)
        return codes, *tokens_of(tokenizer, captions, i)

    examples = one_ahead(example)

    def step(i: int, progress: float) -> dict[str, float]:
        loss = loss_of(*examples(i))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return {"loss": float(loss.detach())}

    held_out = []
    for i in range(4):
        audio, captions = fresh_pieces(band, 0, 8, i)
        held_out.append((encode_pieces(codec, audio), *tokens_of(tokenizer, captions, i)))

    @torch.no_grad()
    def validate() -> dict[str, float]:
        model.eval()
        losses = [float(loss_of(*each)) for each in held_out]
        write_samples(model, tokenizer, folder / "samples")
        model.train()
        codec.eval()
        return {"loss": sum(losses) / len(losses)}

    model.train()
    codec.eval()
    train_for(hours, folder, "language", model, optimizer, step, validate=validate)
    return model.eval()


class Together:
    """Optimizers of different parameters that step as one, for `checkpoints.train_for`."""

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self.optimizers, self.defaults = optimizers, optimizers[0].defaults
        self.param_groups = [group for each in optimizers for group in each.param_groups]
        self.state = defaultdict(dict)
        for each in optimizers:
            each.state = self.state

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for each in self.optimizers:
            each.zero_grad()

    def step(self) -> None:
        """Take one step with each."""
        for each in self.optimizers:
            each.step()


def optimizer_of(model: MusicgenForConditionalGeneration) -> Together:
    """AdamW for embeddings, heads, norms and biases; Muon for the matrices between them.

    Muon (Jordan 2024, kellerjordan.github.io/posts/muon) takes steps that are equally large in all directions of a
    matrix. torch has it from 2.9 on.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    inner = {n for n, p in trained.items() if p.ndim == 2 and (".layers." in n or ".block." in n) and "bias" not in n}
    return Together(
        torch.optim.AdamW(
            [p for n, p in trained.items() if n not in inner], lr=LR, betas=(0.9, 0.95), weight_decay=0.05, fused=True
        ),
        torch.optim.Muon([p for n, p in trained.items() if n in inner], lr=MUON_LR, weight_decay=0.05),
    )


def write_samples(model: MusicgenForConditionalGeneration, tokenizer: T5Tokenizer, folder: Path) -> None:
    """Let a model in training play each of `SAMPLED` for 10 s: FOLDER/1.wav, 2.wav, ..., over those before."""
    from .nano_evaluation import sing
    from .video import write_wav

    folder.mkdir(exist_ok=True)
    audio, _ = sing(MusicGen(model, processor_of(tokenizer), "in training", WINDOW), list(SAMPLED))
    for number, clip in enumerate(audio, 1):
        write_wav(folder / f"{number}.wav", clip, SAMPLE_RATE, overwrite=True)


def processor_of(tokenizer: T5Tokenizer) -> MusicgenProcessor:
    """What turns prompts and 16 kHz sound into a model's inputs."""
    return MusicgenProcessor(
        EncodecFeatureExtractor(feature_size=1, sampling_rate=SAMPLE_RATE, padding_side="left"), tokenizer
    )


def save_nano(model: MusicgenForConditionalGeneration, tokenizer: T5Tokenizer, folder: Path) -> None:
    """Write a folder that plain `from_pretrained` loads: weights stored as float16, to be computed with in float32."""
    processor_of(tokenizer).save_pretrained(folder)
    model.generation_config.max_length = WINDOW + 4
    model.generation_config.do_sample = True
    model.generation_config.guidance_scale = 3.0
    model.half().save_pretrained(folder)
    model.float()
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"dtype": "float16"', '"dtype": "float32"'))
