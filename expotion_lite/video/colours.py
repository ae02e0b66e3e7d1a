"""HDR pictures in the colours of ordinary screens; phones record HLG or PQ, which looks washed out as it is.

The steps are those of ITU-R BT.2100 (transfer functions), BT.2087 (primaries) and BT.2408 (203 cd/m2 is white); what is
brighter than white is compressed.
"""

from __future__ import annotations

from functools import cache

import numpy as np

PQ, HLG = 16, 18  # FFmpeg's numbers of the transfer functions
HDR_TRANSFERS = (PQ, HLG)
_WHITE_NITS = 203.0  # cd/m2 of white in HDR
_HLG_PEAK_NITS, _HLG_GAMMA = 1000.0, 1.2
_TO_709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)  # of BT.2020's primaries
_KNEE = 0.7  # of white; light above is compressed


def to_sdr(image: np.ndarray, transfer: int) -> np.ndarray:
    """Tone-map a picture to BT.709.

    Args:
        image: (H, W, 3) uint16 RGB with BT.2020's primaries.
        transfer: `PQ` or `HLG`.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    light = _linear(transfer)[image >> 4]  # 12 bits are as many as any recording has
    if transfer == HLG:  # the light of the scene; a screen shows it with a gamma of its luminance
        light *= (np.maximum(light @ _LUMINANCE, 1e-6) ** (_HLG_GAMMA - 1))[..., None]
        light *= _HLG_PEAK_NITS / _WHITE_NITS
    light = np.maximum(light @ _TO_709.T, 0.0)
    over = np.maximum(light - _KNEE, 0.0)
    light = np.minimum(light, _KNEE) + (1 - _KNEE) * over / (over + 1 - _KNEE)
    return _gamma()[np.minimum((light * 4095).astype(np.int32), 4095)]


@cache
def _linear(transfer: int) -> np.ndarray:
    """Return light by signal, (4096,) float32: in units of white for PQ, of the scene's peak for HLG."""
    signal = np.linspace(0, 1, 4096)
    if transfer == PQ:
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        power = signal ** (1 / m2)
        light = (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1) * 10_000 / _WHITE_NITS
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return light.astype(np.float32)


@cache
def _gamma() -> np.ndarray:
    """Return the signal of an ordinary screen by light, (4096,) uint8 (BT.1886)."""
    return np.round(255 * np.linspace(0, 1, 4096) ** (1 / 2.4)).astype(np.uint8)
