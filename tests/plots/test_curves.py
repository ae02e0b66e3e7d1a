"""Plots over time: labels, the right places on the axes, and the values themselves."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from expotion_lite import Controls, Settings, Take, extract_controls, plots
from expotion_lite.errors import ExpotionError

RATE = 16000


@pytest.fixture(scope="module")
def controls(nodder):
    return extract_controls(nodder, duration_s=6.0)


def tone(hertz: float, duration_s: float = 2.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(duration_s * RATE)) / RATE)).astype(np.float32)


def bursts(*times: float, duration_s: float = 2.0) -> np.ndarray:
    """Return soft noise with a loud, decaying note at each time."""
    audio = 1e-3 * np.random.default_rng(0).standard_normal(round(duration_s * RATE)).astype(np.float32)
    for time in times:
        rest = audio[round(time * RATE) :]
        rest += tone(440, len(rest) / RATE) * np.exp(-np.arange(len(rest)) / (0.05 * RATE)).astype(np.float32)
    return audio


def tick_names(ax, axis: str) -> dict[str, float]:
    labels, places = getattr(ax, f"get_{axis}ticklabels")(), getattr(ax, f"get_{axis}ticks")()
    return {label.get_text(): place for label, place in zip(labels, places, strict=True)}


class TestControls:
    def test_each_channel_has_a_lane_from_the_top_down(self, controls):
        ax = plots.plot_controls(controls, ["head_pitch", "smile"])
        lanes = tick_names(ax, "y")
        assert list(lanes) == ["head pitch", "smile"] and lanes["head pitch"] > lanes["smile"]
        assert ax.get_xlabel() == "time (s)" and ax.get_ylabel()
        assert ax.get_xlim() == (0, 6)

    def test_curves_are_at_their_times(self, controls):
        bump = np.exp(-0.5 * ((controls.times - 2.5) / 0.1) ** 2).astype(np.float32)
        one = Controls(bump[:, None], ("pulse",), 50.0, np.ones(len(bump), bool))
        line = plots.plot_controls(one, ["pulse"]).get_lines()[-1]
        assert abs(line.get_xdata()[np.argmax(line.get_ydata())] - 2.5) <= 0.02

    def test_the_background_is_grey_where_nobody_was_found(self, controls):
        found = (controls.times < 1) | (controls.times > 2)
        ax = plots.plot_controls(replace(controls, found=found), ["smile"])
        ground = [shape for shape in ax.collections if shape.get_zorder() < 0]
        x = np.concatenate([path.vertices[:, 0] for shape in ground for path in shape.get_paths()])
        assert x.min() == pytest.approx(1, abs=0.03) and x.max() == pytest.approx(2, abs=0.03)

    def test_it_draws_into_the_axes_it_is_given(self, controls):
        import matplotlib.pyplot as plt

        ax = plt.figure().add_subplot()
        assert plots.plot_controls(controls, ["smile"], ax=ax) is ax

    def test_unknown_or_no_channels_are_refused(self, controls):
        with pytest.raises(ExpotionError, match="no channel 'grin'"):
            plots.plot_controls(controls, ["grin"])
        for nothing in ([], "smile"):
            with pytest.raises(ExpotionError, match="as a list"):
                plots.plot_controls(controls, nothing)

    def test_events_of_a_nodder_are_a_beat_apart(self, controls):
        times = plots.event_times(controls)
        assert np.median(np.diff(times)) == pytest.approx(60 / 100, abs=0.02)
        assert len(times) == pytest.approx(6.0 * 100 / 60, abs=1)


class TestMusic:
    @pytest.mark.parametrize("hertz, name", [(500, "500"), (1000, "1k"), (4000, "4k")])
    def test_a_tone_is_at_its_frequency(self, hertz, name):
        ax = plots.plot_spectrogram(tone(hertz), RATE)
        picture = ax.get_images()[0]
        row = int(np.argmax(picture.get_array().mean(axis=1)))
        assert abs(row - tick_names(ax, "y")[name]) < 1

    def test_the_axes_name_decibels_seconds_and_hertz(self):
        ax = plots.plot_spectrogram(tone(440), RATE)
        assert "Hz" in ax.get_ylabel() and ax.get_xlabel() == "time (s)"
        assert [other.get_ylabel() for other in ax.figure.axes if other is not ax] == ["dB"]
        assert ax.get_xlim() == (0, 2)
        values = ax.get_images()[0].get_array()
        assert values.max() == 0 and values.min() >= -80

    def test_a_burst_is_at_its_time(self):
        audio = bursts(1.3)
        picture = plots.plot_spectrogram(audio, RATE).get_images()[0]
        left, right, _, _ = picture.get_extent()
        loudness = picture.get_array().max(axis=0)
        middle = left + (np.argmax(loudness) + 0.5) * (right - left) / len(loudness)
        assert middle == pytest.approx(1.3, abs=0.04)

    def test_onsets_and_marks_are_at_their_times(self):
        ax = plots.plot_onsets(bursts(0.5, 1.3), RATE, marks=np.array([0.5]))
        curve = max(ax.get_lines(), key=lambda line: len(line.get_xdata()))
        times, strength = curve.get_data()
        strong = times[strength > 0.5]
        assert strong.size and all(np.abs(np.array([0.5, 1.3]) - time).min() < 0.04 for time in strong)
        assert {float(line.get_xdata()[0]) for line in ax.get_lines() if line is not curve} == {0.5}
        assert ax.get_ylabel() == "onset\nstrength" and ax.get_xlabel() == "time (s)"

    def test_silence_and_very_short_audio_are_plotted(self):
        for audio in (np.zeros(RATE, np.float32), tone(440, 0.01)):
            plots.plot_onsets(audio, RATE)
            plots.plot_spectrogram(audio, RATE)

    @pytest.mark.parametrize("audio", [np.zeros((2, 9)), np.zeros(0), np.array([1, 2]), np.array([0.0, np.nan])])
    def test_anything_but_one_channel_of_audio_is_refused(self, audio):
        for plot in (plots.plot_onsets, plots.plot_spectrogram):
            with pytest.raises(ExpotionError, match="one channel"):
                plot(audio, RATE)


class TestTake:
    @pytest.fixture
    def take(self, controls, nodder):
        audio, codes = bursts(1.0, 2.0, duration_s=6.0), np.zeros((4, 300), np.int64)
        return Take(audio, RATE, codes, controls, nodder, b"", "rock with drums " * 20, Settings())

    def test_the_three_plots_share_their_time_axis(self, take):
        figure = plots.plot_take(take)
        three = [ax for ax in figure.axes if ax.get_ylabel() != "dB"]
        assert len(three) == 3
        assert all(a.get_shared_x_axes().joined(a, b) for a, b in pairwise(three))
        assert [ax.get_xlabel() for ax in three] == ["", "", "time (s)"]
        three[0].set_xlim(1, 2)
        assert three[2].get_xlim() == (1, 2)

    def test_the_three_plots_have_the_same_width(self, take):
        figure = plots.plot_take(take)
        figure.draw_without_rendering()
        boxes = [ax.get_position() for ax in figure.axes if ax.get_ylabel() != "dB"]
        assert np.ptp([box.x0 for box in boxes]) < 1e-6 and np.ptp([box.x1 for box in boxes]) < 1e-6

    def test_events_are_marked_in_all_three(self, take):
        turns = plots.event_times(take.controls)
        for ax in plots.plot_take(take).axes[:3]:
            dotted = [line.get_xdata()[0] for line in ax.get_lines() if line.get_linestyle() == ":"]
            assert np.allclose(dotted, turns)

    def test_beats_of_the_music_are_marked_above_the_onsets(self, take):
        onsets = plots.plot_take(take, beats=np.array([0.5, 1.5])).axes[1]
        (triangles,) = [line for line in onsets.get_lines() if line.get_marker() == "v"]
        assert triangles.get_xdata().tolist() == [0.5, 1.5]

    def test_a_long_prompt_is_shortened(self, take):
        assert len(plots.plot_take(take, channels=["smile"]).get_suptitle()) < 80


class TestTraining:
    LOG = (
        '{"stage": "autoencoder", "step": 50, "minutes": 0.2, "mel": 1.5, "told": 1.3}',
        '{"stage": "adapter", "step": 25, "minutes": 0.1, "loss": 3.0, "gate": 0.0}',
        '{"stage": "adapter", "step": 50, "minutes": 0.2, "loss": 2.0, "gate": 0.1, "held_out_loss": 2.2}',
    )

    def test_the_last_stage_is_plotted_over_minutes(self, tmp_path):
        path = tmp_path / "log.jsonl"
        path.write_text("\n".join(self.LOG))
        for log in (path, self.LOG):
            ax = plots.plot_training(log)
            curves = {line.get_label(): line.get_xydata().tolist() for line in ax.get_lines()}
            assert curves == {"training": [[0.1, 3.0], [0.2, 2.0]], "held out": [[0.2, 2.2]]}
            assert "minutes" in ax.get_xlabel() and "loss" in ax.get_ylabel() and ax.get_legend()

    def test_another_stage_can_be_plotted(self):
        (line,) = plots.plot_training(self.LOG, "autoencoder").get_lines()
        assert line.get_ydata().tolist() == [1.5]

    def test_anything_but_a_training_log_is_refused(self, tmp_path):
        (tmp_path / "text.jsonl").write_text("hello")
        for log in (tmp_path / "text.jsonl", tmp_path / "missing.jsonl", ['{"step": 1}'], ["[1]"]):
            with pytest.raises(ExpotionError, match="log"):
                plots.plot_training(log)
        for log, stage in ((self.LOG, "langauge"), ([], None)):
            with pytest.raises(ExpotionError, match="nothing of a stage"):
                plots.plot_training(log, stage)
