"""Advice on a recording in which a person can be followed only in part."""

from __future__ import annotations

import numpy as np

from .extraction import Landmarks

MUCH_FOUND = 0.8  # share of the frames; less deserves a word
SLOW_HZ = 10.0  # frames a second; below, quick movements fall between frames
DARK = 0.12  # mean brightness
TILTED_DEG = 60.0  # of head or trunk, away from upright


def advice_on(landmarks: Landmarks) -> list[str]:
    """Say what makes a recording hard to follow, and what helps.

    Args:
        landmarks: of a whole video.

    Returns:
        A line for each thing found; none for a good recording.

    Example:
        >>> from expotion_lite.synthetic import draw_performer, perform, to_landmarks
        >>> from expotion_lite.synthetic.band import compose
        >>> performer = draw_performer(3)
        >>> advice_on(to_landmarks(perform(compose(1), performer, duration_s=4.0), performer))
        []
    """
    lines = []
    found = float((landmarks.face_found | landmarks.body_found).mean())
    if found < MUCH_FOUND:
        lines.append(f"A person was found in {found:.0%} of the frames; stay in the picture, and face the camera.")
    turned = _degrees_from_upright(landmarks)
    if abs(turned) > TILTED_DEG:
        lies = "upside down" if abs(turned) > 180 - TILTED_DEG / 2 else "on its side"
        lines.append(f"The picture stands {lies}; turn the video before you use it.")
    if landmarks.brightness is not None and (brightness := float(np.median(landmarks.brightness))) < DARK:
        lines.append(f"The picture is dark, {brightness:.0%} of full brightness; more light from the front helps.")
    rate = (len(landmarks.times) - 1) / max(float(landmarks.times[-1]), 1e-9)
    if rate < SLOW_HZ:
        lines.append(f"There are {rate:.1f} frames a second, so quick movements are lost; record 15 or more.")
    return lines


def _degrees_from_upright(landmarks: Landmarks) -> float:
    """Return how far the person is turned in the picture, -180..180 degrees clockwise; 0 if nothing was found."""
    if landmarks.body_found.any():
        body = landmarks.body[landmarks.body_found, :, :2] * np.array([landmarks.width, landmarks.height])
        right, down = np.median(body[:, 0] - body[:, 11:13].mean(axis=1), axis=0)  # from the shoulders to the nose
        return float(np.degrees(np.arctan2(right, -down)))
    if landmarks.face_found.any():
        return float(np.median(landmarks.head_pose[landmarks.face_found, 2]))
    return 0.0
