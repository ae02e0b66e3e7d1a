"""Optical flow: a textured square that moves by known distances, and what must not count as movement."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from astronaut import NOSE, extract, needs_models
from scipy.ndimage import gaussian_filter
from stick_people import stick_person

from expotion_lite.controls.extraction import extract_controls
from expotion_lite.landmarks.landmarker import Person
from expotion_lite.landmarks.optical_flow import ARMS, HEAD, SIDE, TRUNK, FlowMeter, background_motion, draw_regions

WIDTH = HEIGHT = 2 * SIDE  # of the pictures; they are compared at half their size
SQUARE, LEFT, TOP = 120, 100, 130
SHOULDERS = 90  # pixels


def texture(height, width, seed):
    """Return smooth noise, (height, width) 0..255."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(height, width)), 5)
    return (255 * (noise - noise.min()) / np.ptp(noise)).astype(np.float32)


BACKGROUND, SURFACE = texture(HEIGHT, WIDTH, 1), texture(SQUARE, SQUARE, 2)


def moved(image, right, down):
    shift = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return cv2.warpAffine(image, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)


def picture(right=0.0, camera=(0, 0), light=1.0):
    """Draw the square, `right` pixels from its place, and shift the whole picture by `camera`."""
    place = np.array([[1, 0, LEFT + right], [0, 1, TOP]], np.float32)
    square, inside = (cv2.warpAffine(each, place, (WIDTH, HEIGHT)) for each in (SURFACE, np.ones_like(SURFACE)))
    grey = light * moved(BACKGROUND * (1 - inside) + square * inside, *camera)
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def body(arms=False):
    """Return somebody whose trunk covers the square; the head is above it, and the arms are beside it or not seen."""
    points, seen = np.zeros((33, 3), np.float32), np.zeros(33, np.float32)
    x, y = LEFT + SQUARE / 2, TOP + SQUARE / 2
    points[:11, :2] = np.random.default_rng(0).uniform(-8, 8, (11, 2)) + np.array([x, y - 110])
    for joint, side in ((11, 1), (12, -1), (23, 1), (24, -1)):
        points[joint, :2] = x + side * SHOULDERS / 2, y + (-SHOULDERS / 2 if joint < 20 else SHOULDERS / 2)
    for joint, side in ((13, 1), (14, -1), (15, 1), (16, -1)):
        points[joint, :2] = x + side * (100 if joint < 15 else 150), y
    seen[[*range(13), 23, 24]] = 1
    seen[13:17] = arms
    return Person(points, 30.0, seen)


def flows(pictures, person=None):
    meter = FlowMeter()
    return np.array([meter.step(each, None, person) for each in pictures])


def path_length(pixels):
    """Return what the meter should give for the square: its area times the path, in shoulder widths."""
    return (SQUARE / SHOULDERS) ** 2 * pixels / SHOULDERS


@pytest.mark.parametrize("pixels", [2, 4, 6])
def test_the_flow_of_a_moving_square_is_its_area_times_its_path(pixels):
    measured = flows([picture(pixels * (step % 2)) for step in range(6)], body())
    assert np.isnan(measured[0]).all() and measured.dtype == np.float32
    assert measured[1:, TRUNK] == pytest.approx(path_length(pixels), rel=0.2)
    assert measured[1:, [HEAD, ARMS]].max() < 0.05 * path_length(pixels)


def test_movement_counts_for_the_part_of_the_body_where_it_is():
    person = body(arms=True)
    regions, shoulders = draw_regions((HEIGHT, WIDTH), 1.0, None, person)
    assert shoulders == pytest.approx(SHOULDERS)
    for region, joint in ((HEAD, 0), (ARMS, 15), (ARMS, 16)):
        column, row = person.points[joint, :2].round().astype(int)
        assert regions[row, column] == region
    assert regions[TOP + SQUARE // 2, LEFT + SQUARE // 2] == TRUNK and regions[5, 5] == regions[-5, -5] == -1
    assert not (draw_regions((HEIGHT, WIDTH), 1.0, None, body())[0] == ARMS).any(), "arms that are not seen"
    waving = replace(person, points=person.points - np.array([130, 0, 0], np.float32))  # an arm lies on the square
    measured = flows([picture(), picture(4)], waving)[1]
    assert measured[ARMS] > 0.2 * path_length(4) and measured[HEAD] < 0.02 * path_length(4)


def test_the_resolution_of_the_video_changes_nothing():
    small = [picture(4 * (step % 2)) for step in range(4)]
    large = [cv2.resize(each, None, fx=2.5, fy=2.5, interpolation=cv2.INTER_CUBIC) for each in small]
    enlarged = replace(body(), points=2.5 * body().points)
    assert flows(large, enlarged)[1:, TRUNK] == pytest.approx(flows(small, body())[1:, TRUNK], rel=0.1)


def test_without_a_person_all_that_moves_counts_as_trunk():
    measured = flows([picture(4 * (step % 2)) for step in range(4)])
    size = WIDTH / 4  # a person's shoulders fill a quarter of the picture
    assert measured[1:, TRUNK] == pytest.approx((SQUARE / size) ** 2 * 4 / size, rel=0.15)
    assert not measured[1:, [HEAD, ARMS]].any()


def test_a_shaken_camera_is_no_movement_of_the_person():
    shaken = flows([picture(camera=(4 * (step % 2), 3 * (step % 3))) for step in range(7)], body())
    assert shaken[1:].sum(axis=1).max() < 0.05 * path_length(5)
    both = flows([picture(4 * (step % 2), camera=(-4 * (step % 2), 0)) for step in range(7)], body())
    assert both[1:, TRUNK] == pytest.approx(path_length(4), rel=0.25), "in the picture, only the background moves"


def test_the_movement_of_the_background_is_fitted_although_a_third_of_it_moves_by_itself():
    rows, columns = np.mgrid[:90, :120].astype(float)
    camera = np.stack([2 + 0.02 * columns - 0.01 * rows, -1 + 0.01 * columns + 0.02 * rows], axis=-1)
    seen, background = camera.copy(), np.ones((90, 120), bool)
    background[30:60, 40:80] = False
    seen[~background] += 5
    seen[:, 90:] += 3
    fitted = background_motion(seen, background)
    np.testing.assert_allclose(fitted, camera, atol=0.05)


def test_a_change_of_light_is_little_movement():
    lights = [1.0, 0.9, 0.8, 0.9, 1.0]
    assert flows([picture(light=light) for light in lights], body())[1:].sum(axis=1).max() < 0.05 * path_length(2)


def test_a_repeated_picture_is_left_out_and_a_cut_is_no_spike():
    steady = [picture(4 * (step % 2)) for step in range(4)]
    repeated = flows([each for each in steady for _ in range(2)], body())[:, TRUNK]
    assert np.isnan(repeated[1::2]).all()
    np.testing.assert_allclose(repeated[2::2], flows(steady, body())[1:, TRUNK], rtol=1e-5)
    assert flows([picture()] * 4, body())[2].max() < 0.01 * path_length(2), "only one repeat is left out"

    other = [255 - each for each in steady]
    cut = flows([*steady, *other], body())[:, TRUNK]
    assert cut[1:] == pytest.approx(path_length(4), rel=0.2)


def with_flow(pictures, times):
    """Return landmarks of a still person with the optical flow of pictures."""
    return replace(stick_person(times), flow=flows(pictures, body()))


def test_a_video_at_15_frames_a_second_gives_the_same_speed_as_at_30():
    """Four strokes of different speed; once with every other picture, once with each of these shown twice."""
    times = np.arange(180) / 30
    place = 12 * np.interp(times, [0, 1, 1.5, 2, 2.3, 3, 4, 5, 6], [0, 0, 1, 1, 0, 0, 1, 1, 0])
    pictures = [picture(right) for right in place]
    fast = extract_controls(with_flow(pictures, times))
    slow = extract_controls(with_flow(pictures[::2], times[::2]))
    doubled = extract_controls(with_flow([each for each in pictures[::2] for _ in range(2)], times))
    speed = np.abs(np.gradient(np.interp(fast.times, times, place)))
    assert np.corrcoef(fast["trunk_flow"], speed)[0, 1] > 0.9
    for other in (slow, doubled):
        smooth, expected = (gaussian_filter(each["trunk_flow"], 3) for each in (other, fast))
        assert len(expected) == 300 and np.abs(smooth[:290] - expected[:290]).max() < 0.25
        assert smooth[:290].mean() == pytest.approx(expected[:290].mean(), rel=0.1)


@needs_models
def test_landmarks_carry_the_flow_of_the_part_that_moves(photo):
    """Parts of the photograph bob up and down: the face, or the chest."""
    y, x = np.mgrid[:512, :512].astype(np.float32)

    def bobbing(column, row):
        bump = 12 * np.exp(-(((x - column) / 60) ** 2 + ((y - row) / 60) ** 2))
        pictures = [cv2.remap(photo, x, y - (step % 2) * bump, cv2.INTER_LINEAR) for step in range(4)]
        return extract(*pictures).flow

    face, chest, still = bobbing(*NOSE), bobbing(200, 330), extract(*[photo] * 4).flow
    assert face.shape == (4, 3) and np.isnan(face[0]).all() and np.isfinite(face[1:]).all()
    assert (face[1:, HEAD] > 5 * face[1:, TRUNK]).all() and (chest[1:, TRUNK] > 5 * chest[1:, HEAD]).all()
    assert np.nanmax(still) < 0.02 * face[1:, HEAD].min()
    panned = extract(*[np.roll(photo, 8 * (step % 2), axis=1) for step in range(4)]).flow
    assert panned[1:].sum(axis=1).max() < face[1:].sum(axis=1).min(), "a camera that is moved"
