"""Training of nano's codec: as an autoencoder, then with its residual quantiser, then the decoder adversarially.

transformers' `EncodecModel` holds the weights but cannot train its codebooks. So the straight-through estimator and the
running means of the codebooks (van den Oord 2017, appendix A.1; Zeghidour 2021, SoundStream) are written out here.
`codec_start` sets the initial weights. The last stage leaves encoder and codebooks as they are: the codes keep their
meaning and only sound better.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from transformers import EncodecConfig, EncodecModel

from ..synthetic import band
from ..training.checkpoints import train_for
from .codec_start import freeze_oscillators, initialise_oscillators, semitone_spectrum
from .discriminator import Discriminator, discriminator_loss, generator_loss
from .loaders import WORKERS, prefetch_with_workers

SAMPLE_RATE = 16_000
TRAIN_SEEDS = 1_000_000  # pieces from this seed on train nano; smaller seeds are held out
STAGE_SEEDS = {"autoencoder": 0, "quantised": 20_000_000, "opponent": 40_000_000}  # stages and their own pieces
PIECES, PIECE_S, CROP_S = 4, 6.0, 0.64  # new pieces per step, their length, and that of the clips cut from them
LR = 4e-4
SLOW = 0.1  # factor for the encoder's learning rate once there are codebooks, which cannot follow fast latents
LATENT_NOISE = 0.1  # in the first stage, relative to the latents' standard deviation
COMMITMENT = 0.2  # weight of the commitment loss; the spectral losses weigh 1
ADVERSARIAL, FEATURE_MATCHING = 0.1, 0.4  # weights of the losses against the discriminator, after 300 steps of warm-up


def new_codec(filters: int = 32, codebook_size: int = 1024, hidden: int = 128) -> EncodecModel:
    """Make an untrained EnCodec: 16 kHz mono to 4 codebooks at 50 Hz.

    Args:
        filters: channels of the first layer; each downsampling doubles them.
        codebook_size: entries per codebook.
        hidden: width of the latents.
    """
    config = EncodecConfig(
        target_bandwidths=[4 * 50 * math.log2(codebook_size) / 1000],
        sampling_rate=SAMPLE_RATE,
        audio_channels=1,
        normalize=False,
        num_filters=filters,
        upsampling_ratios=[2, 4, 5, 8],
        hidden_size=hidden,
        codebook_size=codebook_size,
        codebook_dim=hidden,
        use_causal_conv=False,
        num_lstm_layers=1,
    )
    return EncodecModel(config)


def crops(seed: int, pieces: int, each: int, seconds: float) -> torch.Tensor:
    """Render new pieces and cut `each` clips from each, at random levels: (pieces * each, 1, samples) float32."""
    rng, n, out = np.random.default_rng(seed), round(seconds * SAMPLE_RATE), []
    for i in range(pieces):
        audio = band.play(band.compose(seed + i, PIECE_S), SAMPLE_RATE)
        for start in rng.integers(0, len(audio) - n, size=each):
            out.append(audio[start : start + n] * 10 ** rng.uniform(-0.3, 0.1))
    return torch.from_numpy(np.stack(out))[:, None].float()


def _clips(stage: str, batch: int, i: int) -> torch.Tensor:
    """Render what a stage trains on at step i, (batch, 1, samples)."""
    return crops(TRAIN_SEEDS + STAGE_SEEDS[stage] + 10 * i, PIECES, batch // PIECES, CROP_S)


@lru_cache(maxsize=8)
def _mel_basis(n_fft: int, n_mels: int) -> torch.Tensor:
    """Return the mel filterbank, (n_mels, n_fft // 2 + 1)."""
    from librosa.filters import mel

    return torch.from_numpy(mel(sr=SAMPLE_RATE, n_fft=n_fft, n_mels=n_mels))


def log_mels(audio: torch.Tensor) -> list[torch.Tensor]:
    """Compute log-mel spectrograms at three resolutions, of audio (B, N): (B, mels, frames) each, 0 in silence.

    Magnitudes are divided by the corpus's noise floor before the logarithm, so that the noise counts little.
    """
    out = []
    for n_fft, n_mels, floor in ((2048, 128, 3.1e-3), (512, 64, 3.8e-4), (128, 16, 5e-5)):
        window = torch.hann_window(n_fft, device=audio.device)
        spectrum = torch.stft(audio, n_fft, n_fft // 4, window=window, return_complex=True).abs()
        mel = _mel_basis(n_fft, n_mels).to(audio.device) @ spectrum
        out.append(torch.log1p(mel / floor))
    return out


def reconstruction_loss(decoded: torch.Tensor, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compare decoded and original audio, (B, 1, N) each, by spectrograms, which ignore the phase.

    Returns:
        (the L1 distance of log-mel spectrograms, over three resolutions; that of the log spectrum by semitones, which
        also tells low notes apart that share a mel band)
    """
    pairs = zip(log_mels(decoded[:, 0]), log_mels(audio[:, 0]), strict=True)
    mel = sum(((a - b).abs().mean() for a, b in pairs), torch.zeros((), device=audio.device)) / 3
    ours, theirs = (torch.log1p(semitone_spectrum(x[:, 0], SAMPLE_RATE, 320) / 2e-5) for x in (decoded, audio))
    return mel, (ours - theirs).abs().mean()


class Codebook(Protocol):
    """The buffers of transformers' `EncodecEuclideanCodebook`, with `size` entries of D numbers.

    Attributes:
        embed: (size, D), the entries.
        embed_avg: (size, D), running sums of the latents that chose each entry.
        cluster_size: (size,), running counts of these latents.
        inited: 1 if the codebook has been fitted.
    """

    embed: torch.Tensor
    embed_avg: torch.Tensor
    cluster_size: torch.Tensor
    inited: torch.Tensor


class Quantiser:
    """Residual vector quantisation whose codebooks follow running means; it changes an `EncodecModel`'s, in place."""

    def __init__(self, codec: EncodecModel, decay: float = 0.99) -> None:
        """Take the codebooks of a codec. decay: of the running means, per step."""
        self.books: list[Codebook] = [layer.codebook for layer in codec.quantizer.layers]
        self.decay = decay

    @torch.no_grad()
    def fit(self, latents: torch.Tensor, iterations: int = 20) -> None:
        """Initialise the codebooks by residual k-means on latents (n, D)."""
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
        """Quantise latents (B, D, T) with the straight-through estimator.

        Args:
            latents: the encoder's output.
            update: whether to move the codebooks.

        Returns:
            (quantised latents (B, D, T) with the latents' gradient, commitment loss, perplexity of each codebook)
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
    def _update(self, book: Codebook, residual: torch.Tensor, nearest: torch.Tensor, count: torch.Tensor) -> None:
        """Move each entry towards the mean of the residuals that chose it; replace entries that are hardly used."""
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
    adversarial_share: float = 0.0,
    batch: int = 16,
    workers: int = WORKERS,
) -> EncodecModel:
    """Train a codec in three stages, in place, on the device where it is; resume if it was begun.

    Args:
        codec: from `new_codec`.
        folder: for checkpoints and the log.
        hours: training time in all.
        adversarial_share: share of the hours, 0..1, for the adversarial stage. In 20 minutes of two cores it gained
            nothing (distance to the band 1.17 before, 1.15 after): it needs a GPU.
        batch: clips per step, a multiple of `PIECES`.
        workers: processes that render clips.

    Returns:
        The codec in eval mode.
    """
    torch.manual_seed(0)
    device, quantiser = codec.device, Quantiser(codec)
    held_out = crops(0, pieces=16, each=1, seconds=4.0).to(device)
    if not (folder / "autoencoder.safetensors").exists():
        initialise_oscillators(codec, crops(TRAIN_SEEDS, 16, 6, CROP_S).to(device))
    freeze_oscillators(codec)

    def clips(stage: str) -> Callable[[int], torch.Tensor]:
        rendered = prefetch_with_workers(partial(_clips, stage, batch), workers)
        return lambda i: rendered(i).to(device)

    def validate(quantised: bool = True) -> dict[str, float]:
        log: dict[str, float] = {}
        with torch.no_grad():
            latents = codec.encoder(held_out)
            if quantised:
                latents, _, perplexity = quantiser(latents, update=False)
                log["perplexity"] = min(perplexity)
            mel, pitch = reconstruction_loss(codec.decoder(latents)[..., : held_out.shape[-1]], held_out)
        return {"mel": float(mel), "pitch": float(pitch)} | log

    hours, adversarial_hours = (1 - adversarial_share) * hours, adversarial_share * hours
    train_autoencoder(codec, None, clips("autoencoder"), partial(validate, False), folder, 0.4 * hours)
    if not (folder / "quantised.safetensors").exists():
        quantiser.fit(sample_latents(codec))
    train_autoencoder(codec, quantiser, clips("quantised"), validate, folder, 0.6 * hours)
    if adversarial_share:
        train_decoder(codec, quantiser, clips("opponent"), validate, folder, adversarial_hours)
    return codec.eval()


def train_autoencoder(
    codec: EncodecModel,
    quantiser: Quantiser | None,
    clips: Callable[[int], torch.Tensor],
    validate: Callable[[], dict[str, float]],
    folder: Path,
    hours: float,
) -> None:
    """Train encoder and decoder together, in place, with the quantiser or with noise between them.

    Args:
        codec: initialised by `initialise_oscillators`.
        quantiser: over the codec's codebooks, which have been fitted; None adds noise to the latents instead.
        clips: returns the clips (B, 1, N) of a step.
        validate: measures on held-out clips what to log.
        folder: for the checkpoint and the log.
        hours: training time in all.
    """
    stage = "quantised" if quantiser else "autoencoder"
    groups = [
        {"params": list(codec.encoder.parameters()), "lr": SLOW * LR if quantiser else LR},
        {"params": list(codec.decoder.parameters()), "lr": LR},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.8, 0.99), weight_decay=1e-4, fused=True)

    def step(i: int, progress: float) -> dict[str, float]:
        audio = clips(i)
        latents, log = codec.encoder(audio), {}
        weighted_commitment = torch.zeros((), device=audio.device)
        if quantiser:
            variance = latents.detach().var(dim=(0, 2)).mean()
            latents, commitment, _ = quantiser(latents, update=True)
            weighted_commitment = COMMITMENT * commitment / variance
            log["commitment"] = float((commitment / variance).detach())
        else:
            latents = latents + LATENT_NOISE * latents.detach().std() * torch.randn_like(latents)
        mel, pitch = reconstruction_loss(codec.decoder(latents)[..., : audio.shape[-1]], audio)
        optimizer.zero_grad()
        (mel + pitch + weighted_commitment).backward()
        torch.nn.utils.clip_grad_norm_(codec.parameters(), 1.0)
        optimizer.step()
        return {"mel": float(mel.detach()), "pitch": float(pitch.detach())} | log

    train_for(hours, folder, stage, codec, optimizer, step, validate=validate, print_log=True)


def train_decoder(
    codec: EncodecModel,
    quantiser: Quantiser,
    clips: Callable[[int], torch.Tensor],
    validate: Callable[[], dict[str, float]],
    folder: Path,
    hours: float,
) -> None:
    """Train the decoder alone, in place, against a discriminator.

    Args:
        codec: trained with `quantiser`; its codes stay as they are.
        quantiser: over the codec's codebooks.
        clips: returns the clips (B, 1, N) of a step.
        validate: measures on held-out clips what to log.
        folder: for the checkpoint and the log.
        hours: training time in all.
    """
    codec.encoder.requires_grad_(False)
    discriminator = Discriminator().to(codec.device)
    trained = torch.nn.ModuleDict({"decoder": codec.decoder, "opponent": discriminator})  # names in the checkpoint
    optimizer = torch.optim.AdamW(
        [
            {"params": list(codec.decoder.parameters()), "lr": LR},
            {"params": list(discriminator.parameters()), "lr": 1.5 * LR},
        ],
        betas=(0.5, 0.9),
        weight_decay=1e-4,
        fused=True,
    )

    def step(i: int, progress: float) -> dict[str, float]:
        audio = clips(i)
        with torch.no_grad():
            latents, _, _ = quantiser(codec.encoder(audio), update=False)
        decoded = codec.decoder(latents)[..., : audio.shape[-1]]
        optimizer.zero_grad()
        real = discriminator(audio)
        told_apart = discriminator_loss(real, discriminator(decoded.detach()))
        told_apart.backward()
        discriminator.requires_grad_(False)  # the decoder's losses leave it alone
        adversarial, features = generator_loss(real, discriminator(decoded))
        mel, pitch = reconstruction_loss(decoded, audio)
        warmup = min(1.0, i / 300)
        (mel + pitch + warmup * (ADVERSARIAL * adversarial + FEATURE_MATCHING * features)).backward()
        discriminator.requires_grad_(True)
        torch.nn.utils.clip_grad_norm_(codec.decoder.parameters(), 1.0)
        torch.nn.utils.clip_grad_norm_(discriminator.parameters(), 1.0)
        optimizer.step()
        losses = {
            "mel": mel,
            "pitch": pitch,
            "discriminator": told_apart,
            "adversarial": adversarial,
            "features": features,
        }
        return {name: float(loss.detach()) for name, loss in losses.items()}

    train_for(hours, folder, "opponent", trained, optimizer, step, validate=validate, print_log=True)
    codec.encoder.requires_grad_(True)


@torch.no_grad()
def sample_latents(codec: EncodecModel, pieces: int = 150) -> torch.Tensor:
    """Encode clips of training pieces. Return their latents, (n, D)."""
    clips = (crops(TRAIN_SEEDS + 90_000_000 + 10 * i, 1, 2, 4.0).to(codec.device) for i in range(pieces))
    out = [codec.encoder(each) for each in clips]
    return torch.cat([z.transpose(1, 2).reshape(-1, z.shape[1]) for z in out])
