"""How nano's codec is trained: an autoencoder, then with its residual quantiser, then the decoder with an opponent.

transformers' `EncodecModel` holds the weights but has no training of its codebooks, so the straight-through step and
the running means of the codebooks (van den Oord 2017, appendix A.1; Zeghidour 2021, SoundStream) are written out here.
`codec_start` says where it starts, and why. The last stage leaves encoder and codebooks alone: what the codes mean
stays, how they sound gets better.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from transformers import EncodecConfig, EncodecModel

from ..synthetic import band
from ..training.checkpoints import train_for
from .codec_start import hold_the_organ, semitone_spectrum, start_as_organ
from .discriminator import Discriminator, deceiving_loss, discriminator_loss
from .loaders import WORKERS, ahead

SAMPLE_RATE = 16_000
TRAIN_SEEDS = 1_000_000  # pieces from here on train nano; smaller seeds are held out
STAGE_SEEDS = {"autoencoder": 0, "quantised": 20_000_000, "opponent": 40_000_000}  # each has songs of its own
PIECES, PIECE_S, CROP_S = 4, 6.0, 0.64  # fresh pieces a step, their length, and that of the clips cut from them
LR = 4e-4
SLOW = 0.1  # share of it for the encoder once there are codebooks, which cannot follow fast latents
LATENT_NOISE = 0.1  # in the first stage, relative to the latents' spread
COMMITMENT = 0.2  # weight of this loss beside the spectral ones


def new_codec(filters: int = 32, codebook_size: int = 1024, hidden: int = 128) -> EncodecModel:
    """An untrained EnCodec: 16 kHz mono to 4 codebooks at 50 Hz."""
    config = EncodecConfig(
        target_bandwidths=[4 * 50 * math.log2(codebook_size) / 1000], sampling_rate=SAMPLE_RATE, audio_channels=1,
        normalize=False, num_filters=filters, upsampling_ratios=[2, 4, 5, 8], hidden_size=hidden,
        codebook_size=codebook_size, codebook_dim=hidden, use_causal_conv=False, num_lstm_layers=1,
    )  # fmt: skip
    return EncodecModel(config)


def crops(seed: int, pieces: int, each: int, seconds: float) -> torch.Tensor:
    """Render fresh pieces and cut clips from each. Returns (pieces * each, 1, samples) float32."""
    rng, n, out = np.random.default_rng(seed), round(seconds * SAMPLE_RATE), []
    for i in range(pieces):
        audio = band.play(band.compose(seed + i, PIECE_S), SAMPLE_RATE)
        for start in rng.integers(0, len(audio) - n, size=each):
            out.append(audio[start : start + n] * 10 ** rng.uniform(-0.3, 0.1))
    return torch.from_numpy(np.stack(out))[:, None].float()


def _clips(stage: str, batch: int, i: int) -> torch.Tensor:
    """What a stage learns from at step i, (batch, 1, samples)."""
    return crops(TRAIN_SEEDS + STAGE_SEEDS[stage] + 10 * i, PIECES, batch // PIECES, CROP_S)


@lru_cache(maxsize=8)
def _mel_basis(n_fft: int, n_mels: int) -> torch.Tensor:
    import librosa

    return torch.from_numpy(librosa.filters.mel(sr=SAMPLE_RATE, n_fft=n_fft, n_mels=n_mels))


def log_mels(audio: torch.Tensor) -> list[torch.Tensor]:
    """Log-mel spectrograms at three resolutions, each relative to the corpus's noise floor, which so weighs little.

    audio: (B, N). Returns list of (B, mels, frames), 0 in silence.
    """
    out = []
    for n_fft, n_mels, floor in ((2048, 128, 3.1e-3), (512, 64, 3.8e-4), (128, 16, 5e-5)):
        window = torch.hann_window(n_fft, device=audio.device)
        spectrum = torch.stft(audio, n_fft, n_fft // 4, window=window, return_complex=True).abs()
        mel = _mel_basis(n_fft, n_mels).to(audio.device) @ spectrum
        out.append(torch.log1p(mel / floor))
    return out


def reconstruction_loss(decoded: torch.Tensor, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(log-mel L1 over three resolutions, log L1 of the spectrum by semitones), of (B, 1, N) each.

    The second tells low notes apart, whose distance is less than a mel band. Neither minds the phase.
    """
    pairs = zip(log_mels(decoded[:, 0]), log_mels(audio[:, 0]), strict=True)
    mel = sum((a - b).abs().mean() for a, b in pairs) / 3
    ours, theirs = (torch.log1p(semitone_spectrum(x[:, 0], SAMPLE_RATE, 320) / 2e-5) for x in (decoded, audio))
    return mel, (ours - theirs).abs().mean()


class Quantiser:
    """Residual vector quantisation with running-mean codebooks, over the codebooks of an `EncodecModel`, in place."""

    def __init__(self, codec: EncodecModel, decay: float = 0.99) -> None:
        self.books = [layer.codebook for layer in codec.quantizer.layers]
        self.decay = decay

    @torch.no_grad()
    def fit(self, latents: torch.Tensor, iterations: int = 20) -> None:
        """Residual k-means on latents (n, D): the start of the codebooks."""
        residual = latents
        for book in self.books:
            size = book.embed.shape[0]
            book.embed.copy_(residual[torch.randperm(len(residual))[:size]])
            for _ in range(iterations):
                nearest = torch.cdist(residual, book.embed).argmin(1)
                total = torch.zeros_like(book.embed).index_add_(0, nearest, residual)
                count = torch.bincount(nearest, minlength=size).float()
                used = count > 0
                book.embed[used] = total[used] / count[used, None]
                book.embed[~used] = residual[torch.randint(len(residual), (int((~used).sum()),))]
            book.cluster_size.copy_(count)
            book.embed_avg.copy_(book.embed * count[:, None])
            book.inited.fill_(True)
            residual = residual - book.embed[torch.cdist(residual, book.embed).argmin(1)]

    def __call__(self, latents: torch.Tensor, update: bool) -> tuple[torch.Tensor, torch.Tensor, list[float]]:
        """Quantise latents (B, D, T) straight through.

        Returns:
            (quantised (B, D, T) whose gradient is the latents', commitment loss, perplexity of each codebook)
        """
        flat = latents.transpose(1, 2).reshape(-1, latents.shape[1])
        residual, total, perplexity = flat.detach(), torch.zeros_like(flat), []
        for book in self.books:
            nearest = torch.cdist(residual, book.embed).argmin(1)
            count = torch.bincount(nearest, minlength=len(book.embed)).float()
            chosen = book.embed[nearest]
            if update:
                self._update(book, residual, nearest, count)
            residual, total = residual - chosen, total + chosen
            share = count / count.sum()
            perplexity.append(float(torch.exp(-(share * (share + 1e-9).log()).sum())))
        commitment = (flat - total).pow(2).mean()
        through = flat + (total - flat).detach()
        return through.view(latents.shape[0], -1, latents.shape[1]).transpose(1, 2), commitment, perplexity

    @torch.no_grad()
    def _update(
        self, book: torch.nn.Module, residual: torch.Tensor, nearest: torch.Tensor, count: torch.Tensor
    ) -> None:
        """Move a codebook towards the running mean of what chose each entry; give unused entries a new place."""
        book.cluster_size.mul_(self.decay).add_(count, alpha=1 - self.decay)
        summed = torch.zeros_like(book.embed).index_add_(0, nearest, residual)
        book.embed_avg.mul_(self.decay).add_(summed, alpha=1 - self.decay)
        book.embed.copy_(book.embed_avg / book.cluster_size.clamp(min=1e-2)[:, None])
        dead = book.cluster_size < 0.03 * book.cluster_size.mean()
        if dead.any():
            fresh = residual[torch.randint(len(residual), (int(dead.sum()),))]
            book.embed[dead] = fresh
            book.cluster_size[dead] = book.cluster_size.mean()
            book.embed_avg[dead] = fresh * book.cluster_size.mean()


def train_codec(
    codec: EncodecModel,
    folder: Path,
    hours: float,
    *,
    opponent: float = 0.0,
    batch: int = 16,
    workers: int = WORKERS,
) -> EncodecModel:
    """Train (or go on training) a codec, in place, on the device where it is.

    Args:
        codec: from `new_codec`.
        folder: for checkpoints and the log.
        hours: of training in all.
        opponent: share of them, 0..1, for the decoder against an opponent. In 20 minutes of two cores it gained
            nothing (distance to the band 1.17 before, 1.15 after), so it is for a GPU.
        batch: clips a step, a multiple of `PIECES`.
        workers: processes that render the clips.

    Returns:
        The codec in eval mode.
    """
    torch.manual_seed(0)
    device, quantiser = codec.device, Quantiser(codec)
    held_out = crops(0, pieces=16, each=1, seconds=4.0).to(device)
    if not (folder / "autoencoder.safetensors").exists():
        start_as_organ(codec, crops(TRAIN_SEEDS, 16, 6, CROP_S).to(device))
    hold_the_organ(codec)

    def clips(stage: str) -> Callable[[int], torch.Tensor]:
        fresh = ahead(partial(_clips, stage, batch), workers)
        return lambda i: fresh(i).to(device)

    def validate(quantised: bool = True) -> dict[str, float]:
        with torch.no_grad():
            latents, log = codec.encoder(held_out), {}
            if quantised:
                latents, _, perplexity = quantiser(latents, update=False)
                log["perplexity"] = min(perplexity)
            mel, pitch = reconstruction_loss(codec.decoder(latents)[..., : held_out.shape[-1]], held_out)
        return {"mel": float(mel), "pitch": float(pitch)} | log

    hours, left = (1 - opponent) * hours, opponent * hours
    train_whole(codec, None, clips("autoencoder"), partial(validate, False), folder, 0.4 * hours)
    if not (folder / "quantised.safetensors").exists():
        quantiser.fit(sample_latents(codec))
    train_whole(codec, quantiser, clips("quantised"), validate, folder, 0.6 * hours)
    if opponent:
        train_decoder(codec, quantiser, clips("opponent"), validate, folder, left)
    return codec.eval()


def train_whole(
    codec: EncodecModel,
    quantiser: Quantiser | None,
    audio_of: Callable[[int], torch.Tensor],
    validate: Callable[[], dict[str, float]],
    folder: Path,
    hours: float,
) -> None:
    """Train encoder and decoder together, in place, with codebooks between them or with noise in their stead.

    Args:
        codec: started by `start_as_organ`.
        quantiser: over the codec's codebooks, which have been fitted; None leaves them out.
        audio_of: the number of a step to clips (B, 1, N).
        validate: what to measure on held-out clips.
        folder: for the checkpoint and the log; hours: of training in all.
    """
    stage = "quantised" if quantiser else "autoencoder"
    groups = [
        {"params": list(codec.encoder.parameters()), "lr": SLOW * LR if quantiser else LR},
        {"params": list(codec.decoder.parameters()), "lr": LR},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.8, 0.99), weight_decay=1e-4, fused=True)

    def step(i: int, progress: float) -> dict[str, float]:
        audio = audio_of(i)
        latents, log, extra = codec.encoder(audio), {}, 0.0
        if quantiser:
            spread = latents.detach().var(dim=(0, 2)).mean()
            latents, commitment, _ = quantiser(latents, update=True)
            extra = COMMITMENT * commitment / spread
            log["commitment"] = float((commitment / spread).detach())
        else:
            latents = latents + LATENT_NOISE * latents.detach().std() * torch.randn_like(latents)
        mel, pitch = reconstruction_loss(codec.decoder(latents)[..., : audio.shape[-1]], audio)
        optimizer.zero_grad()
        (mel + pitch + extra).backward()
        torch.nn.utils.clip_grad_norm_(codec.parameters(), 1.0)
        optimizer.step()
        return {"mel": float(mel.detach()), "pitch": float(pitch.detach())} | log

    train_for(hours, folder, stage, codec, optimizer, step, validate=validate)


def train_decoder(
    codec: EncodecModel,
    quantiser: Quantiser,
    audio_of: Callable[[int], torch.Tensor],
    validate: Callable[[], dict[str, float]],
    folder: Path,
    hours: float,
) -> None:
    """Train the decoder alone, in place, to sound so that an opponent takes it for the band.

    Args:
        codec: trained with `quantiser`; its codes stay what they are.
        audio_of: the number of a step to clips (B, 1, N).
        validate: what to measure on held-out clips.
        folder: for the checkpoint and the log; hours: of training in all.
    """
    codec.encoder.requires_grad_(False)
    opponent = Discriminator().to(codec.device)
    trained = torch.nn.ModuleDict({"decoder": codec.decoder, "opponent": opponent})
    optimizer = torch.optim.AdamW(
        [
            {"params": list(codec.decoder.parameters()), "lr": LR},
            {"params": list(opponent.parameters()), "lr": 1.5 * LR},
        ],
        betas=(0.5, 0.9), weight_decay=1e-4, fused=True,
    )  # fmt: skip

    def step(i: int, progress: float) -> dict[str, float]:
        audio = audio_of(i)
        with torch.no_grad():
            latents, _, _ = quantiser(codec.encoder(audio), update=False)
        decoded = codec.decoder(latents)[..., : audio.shape[-1]]
        optimizer.zero_grad()
        real = opponent(audio)
        telling = discriminator_loss(real, opponent(decoded.detach()))
        telling.backward()
        opponent.requires_grad_(False)
        verdict, apart = deceiving_loss(real, opponent(decoded))
        mel, pitch = reconstruction_loss(decoded, audio)
        (mel + pitch + min(1.0, i / 300) * (0.1 * verdict + 0.4 * apart)).backward()
        opponent.requires_grad_(True)
        torch.nn.utils.clip_grad_norm_(codec.decoder.parameters(), 1.0)
        torch.nn.utils.clip_grad_norm_(opponent.parameters(), 1.0)
        optimizer.step()
        losses = {"mel": mel, "pitch": pitch, "telling": telling, "verdict": verdict, "apart": apart}
        return {name: float(loss.detach()) for name, loss in losses.items()}

    train_for(hours, folder, "opponent", trained, optimizer, step, validate=validate)
    codec.encoder.requires_grad_(True)


@torch.no_grad()
def sample_latents(codec: EncodecModel, pieces: int = 150) -> torch.Tensor:
    """Latents of training pieces, (n, D)."""
    clips = (crops(TRAIN_SEEDS + 90_000_000 + 10 * i, 1, 2, 4.0).to(codec.device) for i in range(pieces))
    out = [codec.encoder(each) for each in clips]
    return torch.cat([z.transpose(1, 2).reshape(-1, z.shape[1]) for z in out])
