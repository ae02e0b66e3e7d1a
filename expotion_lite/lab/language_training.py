"""How nano's text encoder and language model were trained: captions and codes of the band's music, from scratch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from transformers import (
    EncodecFeatureExtractor,
    EncodecModel,
    MusicgenConfig,
    MusicgenForConditionalGeneration,
    MusicgenProcessor,
    T5Config,
    T5Tokenizer,
)
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.musicgen.configuration_musicgen import MusicgenDecoderConfig

from ..errors import ExpotionError
from ..files import writing
from ..musicgen.codes import inputs_and_labels
from ..musicgen.loading import MusicGen, load
from ..musicgen.precision import autocast
from ..synthetic import band
from ..synthetic.harmony import KEYS, classes_of, scale_pitch
from ..synthetic.pieces import Piece
from ..training.checkpoints import train_for
from ..training.loop import heard_past, without_hidden
from .caption_encoder import WORDINGS
from .codec_training import SAMPLE_RATE, TRAIN_SEEDS
from .loaders import WORKERS, ahead, one_ahead
from .optimizers import optimizer_of

WINDOW = 500  # frames
PIECE_S = WINDOW / 50
SHORT = 125  # frames of the windows in every second batch
TEXT_DROPOUT, PAST_DROPOUT = 0.15, 0.35
CLOCK_WEIGHT, EAR_WEIGHT = 4.0, 2.0  # of the clock's and the ear's error beside the loss of the codes
KEY_WEIGHT = 0.5  # of the error in the key that words alone tell
KEY_NAMED = 0.5  # of the captions
TOLD, TOLD_STEPS = (
    16,
    8,
)  # pieces a step of which only words are told, and decoder steps at which their key is asked for
TOLD_SEEDS = 900_000_000  # they are these, never heard
EAR = "ear.safetensors"  # the file for what reads the harmony off a trained nano
AHEAD = 25  # frames: how far ahead the clock is told too
SPECIAL = ("<pad>", "</s>", "<unk>")
SAMPLED = (  # what a model in training is asked for, to be listened to
    "calm lo-fi hip hop with electric piano, 80 bpm",
    "happy waltz with accordion and upright bass, 120 bpm",
    "driving techno with synth lead, 132 bpm",
    "sad piano ballad, 66 bpm",
    "proud march with brass, 112 bpm",
)


def new_tokenizer(n_captions: int = 6000) -> T5Tokenizer:
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
    codec: EncodecModel, vocabulary: int, width: int = 256, layers: int = 4
) -> MusicgenForConditionalGeneration:
    """An untrained MusicGen around a trained codec, on the codec's device."""
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
    config.window_frames = WINDOW
    model = MusicgenForConditionalGeneration(config)
    model.audio_encoder.load_state_dict(codec.state_dict())
    model.audio_encoder.requires_grad_(False)
    for table in model.decoder.model.decoder.embed_tokens:
        torch.nn.init.normal_(table.weight, std=0.4)  # as loud as the positions that they are added to
    return model.to(codec.device)


def grown(nano: Path, layers: int | None, device: str) -> tuple[MusicgenForConditionalGeneration, T5Tokenizer]:
    """A trained nano with more layers, which at first do nothing: what it has learned, it still plays.

    A layer whose last matrices are 0 hands on what it is given (Chen et al. 2016, Net2Net). The new ones lie between
    the old ones, evenly.

    Args:
        nano: folder of a nano. layers: of the result, None for as many as it has. device: where it goes.

    Returns:
        (model, its tokenizer)

    Raises:
        ExpotionError: the nano has more layers already, or it is none.
    """
    old = load(nano, device=device, dtype="float32")
    config = MusicgenConfig.from_dict(old.model.config.to_dict())
    has = config.decoder.num_hidden_layers
    layers = has if layers is None else layers
    if layers < has:
        raise ExpotionError(f"The nano in {nano} has {has} layers; none can be taken away (--layers {layers}).")
    config.decoder.num_hidden_layers = layers
    model = MusicgenForConditionalGeneration(config).to(device)
    weights, place = old.model.state_dict(), "decoder.model.decoder.layers."
    kept = {(i + 1) * layers // has - 1: i for i in range(has)}  # number in the new model -> in the old
    with torch.no_grad():
        for name, value in model.state_dict().items():
            number, _, rest = name.removeprefix(place).partition(".")
            if not name.startswith(place):
                value.copy_(weights[name])
            elif int(number) in kept:
                value.copy_(weights[f"{place}{kept[int(number)]}.{rest}"])
            elif rest in ("self_attn.out_proj.weight", "encoder_attn.out_proj.weight", "fc2.weight"):
                value.zero_()
    model.audio_encoder.requires_grad_(False)
    return model, old.processor.tokenizer


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


@dataclass(frozen=True)
class Pieces:
    """B pieces and what is true of them.

    Attributes:
        music: (B, N) float32 as audio, or (B, K, T) int64 as codes. captions: B texts.
        clocks: (B, T, 6), from `clock_of`. harmonies: (B, T, 36), from `harmony_of`.
    """

    music: torch.Tensor
    captions: tuple[str, ...]
    clocks: torch.Tensor
    harmonies: torch.Tensor


def clock_of(piece: Piece, frames: int) -> np.ndarray:
    """Where each of the first frames lies in its beat, where in its bar, and in its beat `AHEAD` frames later.

    Returns:
        (frames, 6) float32: cosine and sine of each, 0 degrees on the beat. What lies ahead cannot be told without the
        tempo.

    Example:
        >>> from expotion_lite.synthetic.arranging import arrange
        >>> piece = arrange(1, on_downbeat=True, tempo_bpm=60.0)
        >>> clock_of(piece, 51)[[0, 25, 50], 0].round(1)
        array([ 1., -1.,  1.], dtype=float32)
    """
    times = np.arange(frames + AHEAD) / 50
    beat = (times - piece.beats[0]) * piece.tempo_bpm / 60
    bar = (times - piece.downbeats[0]) * piece.tempo_bpm / 60 / piece.beats_per_bar
    turns = (beat[:frames], bar[:frames], beat[AHEAD:])
    return np.stack([wave(2 * np.pi * turn) for turn in turns for wave in (np.cos, np.sin)], -1).astype(np.float32)


def tonic_and_third(piece: Piece) -> tuple[int, int]:
    """The pitch classes, 0..11 with C 0, of a piece's tonic and of the third above it, which tells the mode."""
    tonic = KEYS.index(piece.key)
    return tonic, scale_pitch(tonic, piece.mode, 2) % 12


def harmony_of(piece: Piece, frames: int) -> np.ndarray:
    """What each of the first frames is made of: its chord, and the key that it lies in.

    Returns:
        (frames, 36) float32 of 0 and 1: which pitch classes, C first, are in the chord, which is the tonic, and which
        lies a third above the tonic, and so tells the mode.

    Example:
        >>> from expotion_lite.synthetic.arranging import arrange
        >>> row = harmony_of(arrange(1, key="D", mode="minor"), 1)[0]
        >>> int(row[12:24].argmax()), int(row[24:].argmax())  # D and F
        (2, 5)
    """
    starts = np.array([time for time, _ in piece.chords])
    chords = np.array([np.isin(np.arange(12), classes_of(name)) for _, name in piece.chords], np.float32)
    now = np.searchsorted(starts, np.arange(frames) / 50, side="right") - 1
    key = np.eye(12, dtype=np.float32)[list(tonic_and_third(piece))].ravel()
    return np.concatenate([chords[now], np.tile(key, (frames, 1))], 1)


def fresh_pieces(first_seed: int, size: int, i: int) -> Pieces:
    """Batch number i of pieces that no other batch has; most begin with a bar, which can be counted from."""
    numbers = range(first_seed + i * size, first_seed + (i + 1) * size)
    pieces = [band.compose(seed, PIECE_S, on_downbeat=seed % 4 > 0) for seed in numbers]
    return Pieces(
        torch.from_numpy(np.stack([band.play(piece, SAMPLE_RATE) for piece in pieces])),
        tuple(_caption(piece) for piece in pieces),
        torch.from_numpy(np.stack([clock_of(piece, WINDOW) for piece in pieces])),
        torch.from_numpy(np.stack([harmony_of(piece, WINDOW) for piece in pieces])),
    )


def _caption(piece: Piece) -> str:
    """Of a piece that is trained on: the key is named oftener than in other captions, so that it is learned."""
    rng = np.random.default_rng([piece.seed, 1])
    return band.describe(piece, rng, key=True if rng.random() < KEY_NAMED else None)


def told_keys(first_seed: int, size: int) -> tuple[list[str], list[str], torch.Tensor]:
    """Pieces that nobody plays in words: `WORDINGS` pairs of captions of each, and where tonic and third lie.

    The first of a pair names the tonic ("a waltz in D") and neither mood nor mode; the second, which need not name the
    mood either, no tonic ("a sad waltz", and every second time "a sad waltz in minor").

    Returns:
        (B captions, B others, with B = size * `WORDINGS`; pitch classes (B, 2) int64, C is 0)
    """
    tonics, moods, keys = [], [], []
    for seed in range(first_seed, first_seed + size):
        piece = band.compose(seed, PIECE_S)
        for wording in range(WORDINGS):
            one, other = (np.random.default_rng([seed, of + wording]) for of in (2, 2 + WORDINGS))
            tonics.append(band.describe(piece, one, mood=False, key=True))
            moods.append(band.describe(piece, other, key=False) + (f" in {piece.mode}" if wording % 2 else ""))
            keys.append(tonic_and_third(piece))
    return tonics, moods, torch.tensor(keys)


@torch.no_grad()
def encode_pieces(codec: EncodecModel, audio: torch.Tensor) -> torch.Tensor:
    """Codes (B, K, WINDOW) int64 of pieces (B, N)."""
    with autocast(codec.device):  # as good: few codes differ, the sound does not
        each = [codec.encode(piece[None, None].to(codec.device)).audio_codes[0] for piece in audio]
    return torch.cat(each)  # one by one: a CPU's caches do not hold a batch


def in_short_windows(pieces: Pieces) -> Pieces:
    """Cut codes of `WINDOW` frames into windows of `SHORT`, piece after piece, each with the caption of its piece.

    In ten seconds the music itself tells its tempo, so that a model gains little by reading it in the words. In a short
    window it gains more.
    """
    n = pieces.music.shape[-1] // SHORT
    return Pieces(
        pieces.music[..., : n * SHORT].unflatten(-1, (n, SHORT)).movedim(2, 1).flatten(0, 1),
        tuple(caption for caption in pieces.captions for _ in range(n)),
        *(truth[:, : n * SHORT].unflatten(1, (n, SHORT)).flatten(0, 1) for truth in (pieces.clocks, pieces.harmonies)),
    )


def tokens_of(tokenizer: T5Tokenizer, captions: Sequence[str], i: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens (B, L) of captions and their mask, which leaves out some captions altogether, drawn by the number i."""
    tokens = tokenizer(list(captions), return_tensors="pt", padding=True)
    shown = np.random.default_rng([8, i]).random((len(captions), 1)) >= TEXT_DROPOUT
    return tokens.input_ids, tokens.attention_mask * torch.from_numpy(shown)


def losses_of(
    model: MusicgenForConditionalGeneration,
    clock: torch.nn.Linear,
    ear: torch.nn.Linear,
    pieces: Pieces,
    tokens: torch.Tensor,
    mask: torch.Tensor,
    past: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """How badly a model foretells the next codes, how badly its clock goes, and how badly its ear hears.

    Args:
        model: that is trained. clock, ear: read the time and the harmony off its last states.
        pieces: codes (B, K, T). tokens, mask: (B, L) of the captions.
        past: (B, T), 1 where a frame may be heard by those after it.

    Returns:
        (cross-entropy in nats a code; mean squared error of `clock_of`, 0.5 for a clock that says nothing; mean binary
        cross-entropy of `harmony_of`, about 0.4 for an ear that knows no more than how often each is 1)
    """
    pad, device = model.decoder.config.pad_token_id, model.device
    inputs, labels = inputs_and_labels(pieces.music, pad)
    inputs, labels = without_hidden(inputs, past, pad).to(device), labels.to(device)
    with autocast(device):
        out = model(
            input_ids=tokens.to(device), attention_mask=mask.to(device), decoder_input_ids=inputs, labels=labels,
            output_hidden_states=True,
        )  # fmt: skip
    states = out.decoder_hidden_states[-1][:, : pieces.clocks.shape[1]].float()
    late = (clock(states) - pieces.clocks.to(device)).square().mean()
    return out.loss.float(), late, F.binary_cross_entropy_with_logits(ear(states), pieces.harmonies.to(device))


def key_told(
    model: MusicgenForConditionalGeneration, ear: torch.nn.Linear, *texts: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """What a decoder makes of the key in words alone, with all music hidden from it.

    Where the third lies follows from tonic and mode together. Texts are read apart, so that it is the decoder that must
    put the two together: then the mode may also come from a face, which the text encoder does not see.

    Args:
        model: that is trained. ear: reads the harmony off its last states.
        texts: tokens (B, L) and mask (B, L) of one or more captions of the same pieces.

    Returns:
        Logits (B, 12, `TOLD_STEPS`) of the tonic's pitch class and of the third's.
    """
    config, device = model.decoder.config, model.device
    texts = [(tokens.to(device), mask.to(device)) for tokens, mask in texts]
    mask = torch.cat([mask for _, mask in texts], 1)
    nothing = torch.full((len(mask) * config.num_codebooks, TOLD_STEPS), config.pad_token_id, device=device)
    with autocast(device):
        read = [model.text_encoder(input_ids=tokens, attention_mask=mask).last_hidden_state for tokens, mask in texts]
        out = model(
            encoder_outputs=BaseModelOutput(torch.cat(read, 1)), attention_mask=mask, decoder_input_ids=nothing,
            output_hidden_states=True,
        )  # fmt: skip
    _, tonic, third = ear(out.decoder_hidden_states[-1].float()).mT.chunk(3, dim=1)
    return tonic, third


def key_loss(said: tuple[torch.Tensor, torch.Tensor], keys: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of tonic and third, in nats, added. said: from `key_told`; keys: (B, 2), from `told_keys`."""
    every = keys.to(said[0].device)[..., None].expand(-1, -1, TOLD_STEPS)
    return F.cross_entropy(said[0], every[:, 0]) + F.cross_entropy(said[1], every[:, 1])


def train_language(
    model: MusicgenForConditionalGeneration,
    tokenizer: T5Tokenizer,
    folder: Path,
    hours: float,
    *,
    batch: int = 8,
    workers: int = WORKERS,
) -> MusicgenForConditionalGeneration:
    """Train (or go on training) text encoder and decoder, in place, on the device where the model is.

    No piece is heard twice: worker processes render fresh ones, which are encoded here. In every second batch they are
    cut into short windows; in some examples stretches of the music so far are hidden. Beside the next code, the
    decoder's states must tell the time in beat and bar (`clock_of`), and chord and key (`harmony_of`), by linear maps
    that are thrown away in the end; and the key of pieces of which it only reads (`key_told`).

    Args:
        model: from `new_musicgen`; its codec is trained and stays as it is. tokenizer: from `new_tokenizer`.
        folder: for the checkpoint and the log.
        hours: of training in all.
        batch: pieces a step; workers: processes that render.

    Returns:
        The model in eval mode.
    """
    codec, device = model.audio_encoder.eval(), model.device
    torch.manual_seed(2)
    model.clock = torch.nn.Linear(model.decoder.config.hidden_size, 6).to(device)
    model.ear = torch.nn.Linear(model.decoder.config.hidden_size, 36).to(device)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = optimizer_of(model)
    heard = getattr(model.config, "pieces_heard", 0)  # in a training before
    source = ahead(partial(fresh_pieces, TRAIN_SEEDS + heard, batch), workers)

    def example(i: int, pieces: Pieces) -> tuple[Pieces, torch.Tensor, torch.Tensor]:
        pieces = replace(pieces, music=encode_pieces(codec, pieces.music))
        if i % 2:
            pieces = in_short_windows(pieces)
        return pieces, *tokens_of(tokenizer, pieces.captions, i)

    def read(captions: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = tokenizer(list(captions), return_tensors="pt", padding=True)
        return tokens.input_ids, tokens.attention_mask

    examples = one_ahead(lambda i: (example(i, source(i)), told_keys(TOLD_SEEDS + i * TOLD, TOLD)))

    def step(i: int, progress: float) -> dict[str, float]:
        (pieces, tokens, mask), (tonics, moods, keys) = examples(i)
        past = heard_past(len(mask), pieces.music.shape[-1], PAST_DROPOUT, np.random.default_rng([9, i]))
        loss, late, misheard = losses_of(model, model.clock, model.ear, pieces, tokens, mask, past)
        mistold = key_loss(key_told(model, model.ear, read(tonics), read(moods)), keys)
        optimizer.zero_grad()
        (loss + CLOCK_WEIGHT * late + EAR_WEIGHT * misheard + KEY_WEIGHT * mistold).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        each = {"loss": loss, "clock": late, "ear": misheard, "key": mistold}
        return {name: float(value.detach()) for name, value in each.items()}

    held_out = [example(2 * i, fresh_pieces(0, 8, i)) for i in range(4)]  # whole
    *held_texts, held_keys = told_keys(0, 32)
    whole = torch.ones(8, WINDOW)

    @torch.no_grad()
    def validate() -> dict[str, float]:
        model.eval()
        losses = torch.tensor([losses_of(model, model.clock, model.ear, *each, whole) for each in held_out]).mean(0)
        said = [of.mean(2).argmax(1).cpu() for of in key_told(model, model.ear, *map(read, held_texts))]
        tonic, third = ((answer == right).float().mean() for answer, right in zip(said, held_keys.T, strict=True))
        write_samples(model, tokenizer, folder / "samples")
        model.train()
        codec.eval()
        names = ("loss", "clock", "ear", "tonic", "third")
        return dict(zip(names, map(float, (*losses, tonic, third)), strict=True))

    model.train()
    codec.eval()
    steps = train_for(hours, folder, "language", model, optimizer, step, validate=validate)
    model.config.pieces_heard = heard + steps * batch
    with writing(folder / EAR, overwrite=True) as temporary:
        save_file({name: p.detach().cpu() for name, p in model.ear.named_parameters()}, temporary)
    del model.clock, model.ear
    return model.eval()


def write_samples(model: MusicgenForConditionalGeneration, tokenizer: T5Tokenizer, folder: Path) -> None:
    """Let a model in training play each of `SAMPLED` for 10 s: FOLDER/1.wav, 2.wav, ..., over those before."""
    from ..generation import generate_from_text
    from ..video.writing import write_wav

    folder.mkdir(exist_ok=True)
    audio, _ = generate_from_text(
        MusicGen(model, processor_of(tokenizer), "in training", WINDOW), list(SAMPLED), PIECE_S
    )
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
