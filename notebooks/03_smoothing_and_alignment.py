# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Smoothing and alignment: smooth curves at the right time
#
# Points tremble. Cameras take 25 frames a second, while the music model wants 50 values. So curves are
# smoothed and resampled. Both can shift a curve in time, and then the music misses the nod. Here you build
# two filters and a resampler, and find out where the published method is early and where it is late.
#
# **Time:** 10 seconds of computing on two CPU cores, 35 minutes with reading. A GPU would not help.
#
# **By the end you can**
#
# - *build* a Gaussian and a One Euro filter in a few lines each,
# - *measure* a filter's jitter and lag, and *choose* between filters by them,
# - *resample* by the centres of frames, and *derive* by how much `align_corners` drifts,
# - *say* what smoothing cannot give back.
#
# **You need** numpy, the idea of a weighted mean, and [02_controls](02_controls.ipynb).

# %%
import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

import expotion_lite as el
from expotion_lite.controls import fill_gaps, frame_times, one_euro
from expotion_lite.course import check

# %% [markdown]
# ## 1. A movement that we know
#
# To judge a filter you must know the true curve. So we make one: six nods at 100 beats a minute, then
# stillness, then a quick turn. The noise is like that of measured points.

# %%
rate = 25
times = np.arange(0, 8, 1 / rate)
nods = np.where(times < 3.6, 5 - 5 * np.cos(2 * np.pi * times * 100 / 60), 0.0)
truth = nods + 12 / (1 + np.exp(-(times - 6.5) / 0.04))
measured = truth + np.random.default_rng(0).normal(0, 0.8, len(times))

# %%
figure, ax = plt.subplots(figsize=(8, 2.6))
ax.plot(times, measured, color="0.6", label="measured")
ax.plot(times, truth, "--", color="C6", label="truth")
ax.set(xlabel="time (s)", ylabel="angle (degrees)")
_ = ax.legend()

# %% [markdown]
# ## 2. A Gaussian filter, by hand
#
# Replace each value by a weighted mean of its neighbours. The weights form a bell of width `sigma_s` around
# each time, so near neighbours count more.


# %%
def gaussian(times, values, sigma_s):
    """Return the weighted mean around each time; the weights of a row add up to 1."""
    weights = np.exp(-0.5 * (np.subtract.outer(times, times) / sigma_s) ** 2)
    return weights @ values / weights.sum(axis=1)


inside = slice(20, -20)
by_scipy = gaussian_filter1d(measured, sigma=0.06 * rate, truncate=8)
assert np.allclose(gaussian(times, measured, 0.06)[inside], by_scipy[inside], atol=1e-6)

# %% [markdown]
# Our filter uses times instead of sample numbers, so it also works for uneven frames. scipy's does not.
#
# **Predict:** a wider bell removes the noise. What else does it remove?

# %%
figure, axes = plt.subplots(1, 3, figsize=(8, 2.6), sharey=True)
for ax, sigma_s in zip(axes, (0.03, 0.08, 0.2), strict=True):
    ax.plot(times, truth, "--", color="C6")
    ax.plot(times, gaussian(times, measured, sigma_s))
    ax.set(title=f"sigma {sigma_s} s", xlabel="time (s)")
_ = axes[0].set_ylabel("angle (degrees)")

# %% [markdown]
# **Explain.** The nods shrink. A mean over the length of a nod averages the nod away, and no later step gives
# it back. But the nods are still at the right time, because the bell looks as far ahead as back. Such a
# filter has *zero phase*.

# %% [markdown]
# ## 3. A One Euro filter, by hand
#
# A live system cannot look ahead. The One Euro filter (Casiez 2012) goes from sample to sample and mixes each
# new sample into its current value. A *cut-off* frequency sets the share of the new sample: slower changes
# pass, faster ones are smoothed away. The faster the movement, the higher the filter sets its cut-off: it
# adds `beta` times the speed.


# %%
def mix_of(cutoff_hz, step_s):
    """Return the share of the new sample, 0..1: the usual first-order low-pass."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * step_s))


def one_euro_by_hand(times, values, min_cutoff_hz=1.0, beta=1.0):
    """Smooth much when the input is still, and little when it moves."""
    level, speed, out = values[0], 0.0, [values[0]]
    for step_s, sample in zip(np.diff(times), values[1:], strict=True):
        speed += mix_of(1.0, step_s) * ((sample - level) / step_s - speed)  # smoothed, too, at 1 Hz
        level += mix_of(min_cutoff_hz + beta * abs(speed), step_s) * (sample - level)
        out.append(level)
    return np.array(out)


assert np.allclose(one_euro_by_hand(times, measured), one_euro(times, measured))

# %% [markdown]
# ## 4. Jitter against lag
#
# Two numbers describe most of a filter. *Jitter* is how much the output still trembles while nothing happens.
# *Lag* is the delay of the true nods that fits the output best. The library has One Euro and three filters
# that look ahead. `moving_average` has a flat window instead of the bell. `savgol` fits the parabolas of
# lesson 02. `kalman` assumes that a moving thing keeps its speed, and runs over the clip forwards, then
# backwards.


# %%
def jitter(filtered):
    """Return the standard deviation while the person is still, in degrees."""
    return filtered[(times > 4.2) & (times < 6)].std()


def lag_ms(filtered):
    """Return the delay, in ms, at which the true nods correlate best with the output."""
    delays, moving = np.arange(-0.1, 0.3, 0.002), (times > 0.3) & (times < 3.3)
    delayed = [np.interp(times - delay, times, truth)[moving] for delay in delays]
    fits = [np.corrcoef(each, filtered[moving])[0, 1] for each in delayed]
    return round(1000 * delays[int(np.argmax(fits))])


# %%
def filter_by(method, strength):
    """Filter the measured curve; a larger strength is a longer window or a lower cut-off."""
    if method == "one_euro":
        return el.smooth(times, measured, method, min_cutoff_hz=4 / strength, beta=0.05)
    if method == "kalman":
        return el.smooth(times, measured, method, cutoff_hz=8 / strength)
    window = {} if method == "none" else {"window_s": 0.1 * strength}
    return el.smooth(times, measured, method, **window)


# %%
def compare(method, strength):
    """Plot a filter's output and the truth, with jitter and lag."""
    filtered = filter_by(method, strength)
    _, ax = plt.subplots(figsize=(8, 2.6))
    ax.plot(times, measured, color="0.8")
    ax.plot(times, truth, "--", color="C6")
    ax.plot(times, filtered, color="C0")
    ax.set(xlabel="time (s)", ylabel="angle (degrees)")
    ax.set_title(f"{method}: jitter {jitter(filtered):.2f} degrees, lag {lag_ms(filtered)} ms")
    plt.show()


compare("one_euro", 4.0)

# %% [markdown]
# **Look:** choose a filter and a strength. Does any setting have jitter under 0.3 degrees, lag under 10 ms,
# and nods of nearly full size?

# %%
methods = ["savgol", "moving_average", "kalman", "one_euro", "none"]
method = widgets.Dropdown(options=methods, description="filter")
strength = widgets.FloatSlider(value=3.0, min=1.5, max=8.0, step=0.5, description="strength")
_ = widgets.interact(compare, method=method, strength=strength)

# %% [markdown]
# Here are all of them, at eight strengths each. On the right is the size of the filtered nods, which was ten
# degrees. (Noise adds to it.)

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True)
for name, mark in [("savgol", "o"), ("moving_average", "s"), ("kalman", "^"), ("one_euro", "D")]:
    outputs = [filter_by(name, each) for each in np.linspace(1.5, 5, 8)]
    jitters = [jitter(output) for output in outputs]
    axes[0].plot([lag_ms(output) for output in outputs], jitters, mark + "-", label=name)
    axes[1].plot([np.ptp(output[25:80]) for output in outputs], jitters, mark + "-")
axes[0].set(xlabel="lag (ms)", ylabel="jitter (degrees)")
axes[1].set(xlabel="size of the nods (degrees)")
_ = figure.legend(loc="outside upper center", ncols=4)

# %% [markdown]
# **Explain.** No setting has all three. Three of the four filters have no lag at any strength. (The -4 ms
# come from this noise, filtered or not.) These three differ little: all lose nod size as they get smoother,
# and the flat mean loses somewhat more (exercise 1). One Euro keeps the nods large *and* the stillness calm,
# because it smooths fast movement less. The price is delay, as for every filter that does not know the
# future.
#
# Our videos are recorded before the music is made, so no delay is needed. The library fits parabolas over 0.3
# s. Nods then keep their size, and the model gets some noise. A live instrument would need another choice.

# %% [markdown]
# ## 5. Where is a frame?
#
# The music model works in frames of 20 ms. Model frame *j* lasts from *j* / 50 s to (*j* + 1) / 50 s. So it
# gets the curve's value at its *middle*, (*j* + 0.5) / 50 s. Expotion, the published system, describes a
# video by 5 vectors a second, its *features*. Their middles lie 0.2 s apart. *Half-pixel* resampling
# interpolates between the middles of features at the middles of frames, as one does with pixels.

# %%
coarse_rate, seconds = 5, 10
coarse_times = (np.arange(coarse_rate * seconds) + 0.5) / coarse_rate
middles = (np.arange(50 * seconds) + 0.5) / 50
assert np.allclose(middles, frame_times(500, 50))


# %%
def by_hand(values):
    """Resample features from 5 a second to 50 a second, by the middles of both."""
    return np.interp(middles, coarse_times, values)


features = np.random.default_rng(1).normal(size=50)
assert np.allclose(by_hand(features), el.resample(coarse_times, features, 50, duration_s=10))

# %% [markdown]
# torch does the same with `interpolate(..., align_corners=False)`. The published Expotion uses
# `align_corners=True`, which puts the first value on the first frame and the last on the last, and spreads
# the rest between.

# %%
interpolate = torch.nn.functional.interpolate
as_batch = torch.from_numpy(features)[None, None]
half_pixel = interpolate(as_batch, 500, mode="linear", align_corners=False)[0, 0].numpy()
corners = interpolate(as_batch, 500, mode="linear", align_corners=True)[0, 0].numpy()
assert np.allclose(half_pixel, by_hand(features))

# %% [markdown]
# **Predict:** where is the error of `align_corners=True` largest, and how large is it? Work it out on paper
# first. Frame *j* gets the feature at place *j* · 49 / 499.

# %%
frame = np.arange(500)
place = frame * 49 / 499  # in features, 0 to 49
early_ms = 1000 * (coarse_times[0] + place / coarse_rate - middles)

# %%
assert np.allclose(corners, np.interp(place, np.arange(50), features))
figure, ax = plt.subplots(figsize=(8, 2.6))
ax.axhline(0, color="0.7")
ax.plot(middles, early_ms)
ax.set(xlabel="time in the clip (s)", ylabel="too early by (ms)", title="align_corners drifts")
print(f"too early by {early_ms[0]:.0f} ms at the start, by {early_ms[-1]:.0f} ms at the end")

# %% [markdown]
# **Explain.** At the start, frames get features that belong 90 ms later, so everything comes too early. At
# the end everything is 90 ms late. Only the middle is right. Counted from the *beginnings* of features and
# frames, the same mapping is right at the start and 180 ms late at the end. Either way the error changes by
# 0.18 s, a third of a beat at 100 beats a minute, and no constant shift removes it. A model trained on clips
# of 10 s may learn to undo the error for clips of exactly 10 s. Half-pixel resampling has no error to undo.

# %% [markdown]
# ## 6. The published method beside ours
#
# Take nods at 100 beats a minute, from a camera with 25 frames a second. *Published* has 5 values a second,
# spread with `align_corners`. As features we take means of the angle over 0.2 s. *Ours* is smoothed at the
# camera's own rate and sampled at the middles.

# %%
video = (np.arange(250) + 0.5) / 25
nod = 5 - 5 * np.cos(2 * np.pi * video * 100 / 60)
noisy = nod + np.random.default_rng(2).normal(0, 0.8, len(nod))
slow = noisy.reshape(50, 5).mean(axis=1)
published = np.interp(place, np.arange(50), slow)
ours = el.resample(video, el.smooth(video, noisy), 50, duration_s=10)

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), sharey=True)
for ax, start in zip(axes, (0, 8), strict=True):
    ax.plot(video, nod, "--", color="C6", label="truth")
    ax.plot(middles, published, color="C1", label="published")
    ax.plot(middles, ours, color="C0", label="ours")
    ax.set(xlim=(start, start + 2), xticks=start + np.arange(0, 2, 0.5), xlabel="time (s)")
axes[0].set_ylabel("angle (degrees)")
_ = figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)

# %%
bottoms = np.arange(1, 17) * 0.6 - 0.3  # when the chin is lowest
for name, curve in [("published", published), ("ours", ours)]:
    peaks = middles[find_peaks(curve, prominence=2)[0]]
    off = [1000 * (peaks - bottom)[np.abs(peaks - bottom).argmin()] for bottom in bottoms]
    print(f"{name:10} nods off by {np.mean(np.abs(off)):3.0f} ms on average,", end=" ")
    print(f"{np.ptp(off):3.0f} ms between extremes")

# %% [markdown]
# **Look** at both ends. The published curve is early at the start and late at the end. Its nods are smaller,
# because 5 values a second can hardly represent 1.67 nods a second. This compares how *time* is handled, not
# what the features tell. The published features are not angles but vectors of large networks, which may carry
# a nod's timing in other ways.

# %% [markdown]
# ## 7. Gaps
#
# A straight line across a gap is a guess. How short must the gap be?
#
# **Predict:** there are nods every 0.6 s, and gaps of 0.1, 0.3 and 2 s. Across which gaps will the line be
# right?

# %%
seen = ours.copy()
seen[35:40] = seen[100:115] = seen[300:400] = np.nan
filled = fill_gaps(middles, seen, max_gap_s=0.5)
figure, ax = plt.subplots(figsize=(8, 2.4))
ax.plot(middles, filled, color="C1", label="filled")
ax.plot(middles, seen, color="C0", label="seen")
ax.set(xlabel="time (s)", ylabel="angle (degrees)")
_ = ax.legend(loc="center", bbox_to_anchor=(0.68, 0.5))
print("gaps before:", np.isnan(seen).sum(), "frames, after:", np.isnan(filled).sum())

# %% [markdown]
# **Explain.** A gap must be short compared with the movement. Across 0.1 s the line is right. Across 0.3 s it
# cuts off the turn of a nod. Across 2 s it would show a stillness that never happened. The library bridges up
# to 0.5 s. That is a compromise: some turns are lost.

# %% [markdown]
# ## Exercises
#
# **1. Which filter keeps the nods whole?** For `moving_average` and for `savgol`, find the window at which
# the jitter is about 0.4 degrees. How large are the nods then? Use `np.ptp(filtered[25:80])`; the truth is
# 10. *Target: savgol keeps about 9 of 10 degrees, the mean up to 1.5 less.*

# %%
kept = ...  # two numbers, in degrees: for savgol, for moving_average

check(kept, lambda: 8.5 < kept[0] < 9.5 and 0 < kept[0] - kept[1] < 1.5)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# kept = []
# windows_s = (0.2, 0.28, 0.36, 0.44, 0.52)
# for method in ("savgol", "moving_average"):
#     tried = [el.smooth(times, measured, method, window_s=window_s) for window_s in windows_s]
#     best = min(tried, key=lambda filtered: abs(jitter(filtered) - 0.4))
#     kept.append(np.ptp(best[25:80]))
#     print(method, jitter(best).round(2), kept[-1].round(1))
# ```
# </details>

# %% [markdown]
# **2. Thirty seconds.** By how much does the error of `align_corners=True` change over a clip of 30 s, at 5
# features a second and 50 frames a second? *Target: 180 ms again, from one end to the other.*

# %%
error_ms = ...  # for each of the 1,500 frames

check(error_ms, lambda: len(error_ms) == 1500 and abs(np.ptp(error_ms) - 180) < 1)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# n, frames = 150, 1500
# place = np.arange(frames) * (n - 1) / (frames - 1)
# error = (0.5 + place) / 5 - (np.arange(frames) + 0.5) / 50
# error_ms = 1000 * error
# print(np.ptp(error_ms))
# ```
#
# At each end the error is half a feature less half a frame: 100 ms - 10 ms. In a longer clip the same error
# only builds up more slowly.
# </details>

# %% [markdown]
# **3. Live.** A live instrument may lag by 30 ms at most. Find `min_cutoff_hz` and `beta` for One Euro with
# which it is calm enough. (`beta` adds so many Hz for each degree/s. It was 1 in section 3 and 0.05 in
# section 4.) *Target: a lag of 30 ms or less, a jitter under 0.45 degrees.*

# %%
chosen = ...  # (min_cutoff_hz, beta)


def calm_and_quick():
    live = one_euro(times, measured, *chosen)
    return jitter(live) < 0.45 and lag_ms(live) <= 30


check(chosen, calm_and_quick)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# tried = []
# for cutoff_hz in (0.5, 1.0, 2.0, 4.0):
#     for beta in (0.05, 0.1, 0.2, 0.4):
#         filtered = one_euro(times, measured, cutoff_hz, beta)
#         tried.append((jitter(filtered).round(2), lag_ms(filtered), cutoff_hz, beta))
# best = min(each for each in tried if each[1] <= 30)
# print("jitter, lag, min_cutoff_hz, beta:", best)
# chosen = best[2:]
# ```
#
# `beta` makes this possible: calm while still, quick while moving.
# </details>

# %% [markdown]
# ## Quiz
#
# **1. A filter with zero phase makes nods smaller. What can you do about it afterwards?**  (a) Shift the
# result. (b) Multiply it. (c) Nothing in general.
#
# <details><summary>Answers</summary>
#
# - (a) Nothing was displaced in time, so there is nothing to shift.
# - (b) Slow movements did not shrink, so this makes them too large.
# - (c) **Right**: the loss depends on the speed, and what has sunk below the noise is gone.
# </details>

# %% [markdown]
# **2. Why is a curve sampled at a frame's middle and not at its beginning?**  (a) Because a frame stands for
# all of its 20 ms. (b) Because half a frame of error is audible. (c) Because torch does it so.
#
# <details><summary>Answers</summary>
#
# - (a) **Right**: its middle is the one moment that favours neither side. The same holds for a coarse
#   feature, where it matters.
# - (b) 10 ms are hardly audible. Half a feature is 100 ms, which people notice when sound is early. That is a
#   sixth of a beat at 100 a minute.
# - (c) With `align_corners=False` it does, for this reason.
# </details>

# %% [markdown]
# ## What we saw
#
# - Smoothing removes noise, but shrinks fast movements. Filters that cannot look ahead also add delay.
# - Resampling at the middles of frames keeps everything in its place. `align_corners=True` drifts from nearly
#   half a feature early to nearly half a feature late.
# - Short gaps can be bridged. Long ones must stay gaps.
#
# ## Limits
#
# - The noise here is equally strong everywhere and new in every frame. Real points tremble more when badly
#   seen, and wander slowly.
# - Lag and jitter do not tell everything. Filters also differ at corners and sudden starts.
#
# ## References
#
# - Casiez, Roussel and Vogel 2012, 1 € filter. CHI, pages 2527-2530.
# - Savitzky and Golay 1964, Smoothing and differentiation of data by simplified least squares procedures.
#   Analytical Chemistry 36.
# - Izzati, Li and Xia 2025, [Expotion](https://arxiv.org/abs/2507.04955): the published smoothing, section 3.
#
# ## Next
#
# The curves are ready. Next comes the model that they steer, and how it writes music as numbers:
# [04_inside_musicgen](04_inside_musicgen.ipynb).
