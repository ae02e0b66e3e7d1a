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
# # Smoothing and alignment: calm curves at the right time
#
# Points tremble, and cameras take 25 pictures a second while the music model wants 50 values. So curves are smoothed and resampled.
# Both can quietly move things in time, and music that is to meet a nod cannot afford that. Here you build two filters and a resampler,
# and find out where the published method is early, and where late.
#
# **Time:** 10 seconds of computing on two CPU cores, 35 minutes with reading. A GPU would not help.
#
# **By the end you can**
#
# - *build* a Gaussian and a One Euro filter in a few lines each,
# - *measure* how much a filter trembles and how late it is, and *choose* between filters by that,
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

from expotion_lite.controls import fill_gaps, frame_times, one_euro, resample, smooth
from expotion_lite.course import check

# %% [markdown]
# ## 1. A movement that we know
#
# To judge a filter one must know the truth. So: six nods at 100 beats a minute, then stillness, then a quick turn, and on top the
# trembling of measured points.

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
# Replace each value by a mean of its neighbours, in which those nearby count more: a bell of width `sigma_s` around each moment.


# %%
def gaussian(times, values, sigma_s):
    """Weighted mean around each time; the weights of a row add up to 1."""
    weights = np.exp(-0.5 * (np.subtract.outer(times, times) / sigma_s) ** 2)
    return weights @ values / weights.sum(axis=1)


inside = slice(20, -20)
scipys = gaussian_filter1d(measured, sigma=0.06 * rate, truncate=8)
assert np.allclose(gaussian(times, measured, 0.06)[inside], scipys[inside], atol=1e-6)

# %% [markdown]
# Written with times instead of sample numbers it also works for uneven pictures, which scipy's does not.
#
# **Predict:** with a wider bell the trembling goes. What else goes?

# %%
figure, axes = plt.subplots(1, 3, figsize=(8, 2.6), sharey=True)
for ax, sigma_s in zip(axes, (0.03, 0.08, 0.2), strict=True):
    ax.plot(times, truth, "--", color="C6")
    ax.plot(times, gaussian(times, measured, sigma_s))
    ax.set(title=f"sigma {sigma_s} s", xlabel="time (s)")
_ = axes[0].set_ylabel("angle (degrees)")

# %% [markdown]
# **Explain.** The nods shrink. A mean over a time as long as a nod knows of no nods, and no later step gives them back. Where they are
# is still right, though: the bell looks as far ahead as back. Such a filter is said to have *zero phase*.

# %% [markdown]
# ## 3. A One Euro filter, by hand
#
# A live system cannot look ahead. The One Euro filter (Casiez 2012) goes from sample to sample, and mixes each new one with what it
# has. How much of the new one it takes is set by a *cut-off* frequency: what swings more slowly passes, what swings faster is
# smoothed away. Its trick: the faster the movement, the higher the cut-off (by `beta` times the speed).


# %%
def mix_of(cutoff_hz, step_s):
    """How much of the new sample to take, 0..1: the usual formula of a first-order low-pass."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * step_s))


def one_euro_by_hand(times, values, min_cutoff_hz=1.0, beta=1.0):
    """Slow when still, quick when moving."""
    level, speed, out = values[0], 0.0, [values[0]]
    for step_s, sample in zip(np.diff(times), values[1:], strict=True):
        speed += mix_of(1.0, step_s) * ((sample - level) / step_s - speed)  # smoothed as well, at 1 Hz
        level += mix_of(min_cutoff_hz + beta * abs(speed), step_s) * (sample - level)
        out.append(level)
    return np.array(out)


assert np.allclose(one_euro_by_hand(times, measured), one_euro(times, measured))

# %% [markdown]
# ## 4. Jitter against lag
#
# Two numbers tell most of a filter. *Jitter*: how much it still trembles while nothing happens. *Lag*: by how much the true nods must be
# delayed to fit the result best. The library has One Euro and three that look ahead: `moving_average` (a flat window instead of the bell),
# `savgol` (the parabolas of 02) and `kalman` (assumes that what moves keeps its speed; goes over the clip forwards, then backwards).


# %%
def jitter(filtered):
    """Spread while the person is still, in degrees."""
    return filtered[(times > 4.2) & (times < 6)].std()


def lag_ms(filtered):
    """The delay, in milliseconds, at which the true nods correlate best with the result."""
    delays, moving = np.arange(-0.1, 0.3, 0.002), (times > 0.3) & (times < 3.3)
    fits = [np.corrcoef(np.interp(times - d, times, truth)[moving], filtered[moving])[0, 1] for d in delays]
    return round(1000 * delays[int(np.argmax(fits))])


# %%
def compare(method, strength):
    """Draw a filter's result beside the truth, with its two numbers."""
    parameters = {"one_euro": {"min_cutoff_hz": 4 / strength, "beta": 0.05}, "kalman": {"cutoff_hz": 8 / strength}}
    chosen = parameters.get(method, {} if method == "none" else {"window_s": 0.1 * strength})
    filtered = smooth(times, measured, method, **chosen)
    _, ax = plt.subplots(figsize=(8, 2.6))
    ax.plot(times, measured, color="0.8")
    ax.plot(times, truth, "--", color="C6")
    ax.plot(times, filtered, color="C0")
    ax.set(xlabel="time (s)", ylabel="angle (degrees)")
    ax.set_title(f"{method}: jitter {jitter(filtered):.2f} degrees, lag {lag_ms(filtered)} ms")
    plt.show()


compare("one_euro", 4.0)

# %% [markdown]
# **Look:** choose a filter, and with *strength* a longer window or a lower cut-off. Is there a setting with a jitter under 0.3
# degrees, a lag under 10 ms, and nods of nearly their full size?

# %%
methods = widgets.Dropdown(options=["savgol", "moving_average", "kalman", "one_euro", "none"], description="filter")
strengths = widgets.FloatSlider(value=3.0, min=1.5, max=8.0, step=0.5, description="strength")
_ = widgets.interact(compare, method=methods, strength=strengths)

# %% [markdown]
# All of them, at eight strengths each, in one picture. On the right stands what is left of the nods' ten degrees (with noise on top).

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True)
for method, mark in [("savgol", "o"), ("moving_average", "s"), ("kalman", "^"), ("one_euro", "D")]:
    found = []
    for k in np.linspace(1.5, 5, 8):
        parameters = {"one_euro": {"min_cutoff_hz": 4 / k, "beta": 0.05}, "kalman": {"cutoff_hz": 8 / k}}
        filtered = smooth(times, measured, method, **parameters.get(method, {"window_s": 0.1 * k}))
        found.append((lag_ms(filtered), np.ptp(filtered[25:80]), jitter(filtered)))
    lags, left, jitters = np.array(found).T
    axes[0].plot(lags, jitters, mark + "-", label=method)
    axes[1].plot(left, jitters, mark + "-")
axes[0].set(xlabel="lag (ms)", ylabel="jitter (degrees)")
axes[1].set(xlabel="size of the nods (degrees)")
_ = figure.legend(loc="outside upper center", ncols=4)

# %% [markdown]
# **Explain.** No setting has all three. Three of the four have no lag at any strength (the -4 ms are this noise's, filtered or not). Between them there is little
# to choose: all give up size for calm, the flat mean somewhat more of it (exercise 1). One Euro keeps the nods large *and* the stillness calm, because it
# trusts what is fast; it pays with delay, as everybody must who does not know the future.
#
# Our videos are recorded before the music is made, so nobody needs to be late. The library takes parabolas over 0.3 s, at which nods keep their size, and
# leaves some trembling to the model. For a live instrument the choice would be another.

# %% [markdown]
# ## 5. Where is a frame?
#
# The music model works in frames of 20 ms. Frame *j* lasts from *j* / 50 s to (*j* + 1) / 50 s, so what belongs to it is the curve's value at its
# *middle*, (*j* + 0.5) / 50 s. Expotion, the published system, describes a video by 5 vectors a second, its *features*, whose middles lie
# 0.2 s apart. Reading them off by the middles of both is *half-pixel* resampling (a picture's pixels are read at their middles, too):

# %%
coarse_rate, seconds = 5, 10
coarse_times = (np.arange(coarse_rate * seconds) + 0.5) / coarse_rate
middles = (np.arange(50 * seconds) + 0.5) / 50
assert np.allclose(middles, frame_times(500, 50))


# %%
def by_hand(values):
    """Features at 5 a second to 50 a second, by the middles of both."""
    return np.interp(middles, coarse_times, values)


features = np.random.default_rng(1).normal(size=50)
assert np.allclose(by_hand(features), resample(coarse_times, features, 50, duration_s=10))

# %% [markdown]
# torch can do the same, `interpolate(..., align_corners=False)`, and something else, `align_corners=True`, which the published Expotion uses:
# it lays the first value on the first frame and the last on the last, and spreads the rest between.

# %%
as_batch = torch.from_numpy(features)[None, None]
half_pixel, corners = (
    torch.nn.functional.interpolate(as_batch, 500, mode="linear", align_corners=flag)[0, 0].numpy()
    for flag in (False, True)
)
assert np.allclose(half_pixel, by_hand(features))

# %% [markdown]
# **Predict:** where is the error of `align_corners=True` largest, and how large is it? Work it out on paper first: frame *j* gets the feature at
# place *j* · 49 / 499.

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
# **Explain.** At the start, frames get features that belong 90 ms later, so everything comes too early; at the end it comes 90 ms too late; only the
# middle is right. Counted from the *beginnings* of features and frames, as one might, the same mapping is right at the start and
# 180 ms late at the end. Either way the error changes by 0.18 s, a third of a beat at 100 beats a minute, and no constant shift mends it.
# A model trained on clips of 10 s may learn to undo it for clips of exactly 10 s. Half-pixel resampling has nothing to undo.

# %% [markdown]
# ## 6. The published method beside ours
#
# Nods at 100 beats a minute, from a camera with 25 pictures a second. *Published*: 5 values a second, spread with `align_corners`; for
# features we take means of the angle over 0.2 s. *Ours*: smoothed at the camera's own rate, read off at the middles.

# %%
video = (np.arange(250) + 0.5) / 25
nod = 5 - 5 * np.cos(2 * np.pi * video * 100 / 60)
noisy = nod + np.random.default_rng(2).normal(0, 0.8, len(nod))
slow = noisy.reshape(50, 5).mean(axis=1)
published = np.interp(place, np.arange(50), slow)
ours = resample(video, smooth(video, noisy), 50, duration_s=10)

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), sharey=True)
for ax, (start, end) in zip(axes, [(0, 2), (8, 10)], strict=True):
    ax.plot(video, nod, "--", color="C6", label="truth")
    ax.plot(middles, published, color="C1", label="published")
    ax.plot(middles, ours, color="C0", label="ours")
    ax.set(xlim=(start, end), xticks=range(start, end + 1), xlabel="time (s)")
axes[0].set_ylabel("angle (degrees)")
_ = figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)

# %%
bottoms = np.arange(1, 17) * 0.6 - 0.3  # when the chin is lowest
for name, curve in [("published", published), ("ours", ours)]:
    peaks = middles[find_peaks(curve, prominence=2)[0]]
    off = [1000 * (peaks - bottom)[np.abs(peaks - bottom).argmin()] for bottom in bottoms]
    print(f"{name:10} nods off by {np.mean(np.abs(off)):3.0f} ms on average, {np.ptp(off):3.0f} ms between extremes")

# %% [markdown]
# **Look** at both ends: at the start the published curve is early, at the end late, and its nods have lost a part of their size because 5 values a second
# hardly hold 1.67 nods a second. This compares how *time* is handled, not what the features say: the published ones are not angles but
# vectors of large networks, which may carry a nod's timing in other ways.

# %% [markdown]
# ## 7. Gaps
#
# A straight line across a gap is a guess. What is short enough for it?
#
# **Predict:** three gaps, of 0.1, 0.3 and 2 s, and nods every 0.6 s. Across which will the line be right?

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
# **Explain.** Short means short against the movement: across 0.1 s the line is right, across 0.3 s it cuts a nod's turn off, and across 2 s it
# would be a stillness that nobody showed. The library bridges up to 0.5 s, in the hope that few are lost at their turns.

# %% [markdown]
# ## Exercises
#
# **1. Whose nods are whole?** For `moving_average` and for `savgol`, find the window at which the jitter is about 0.4 degrees. How large are the nods
# then? Use `np.ptp(filtered[25:80])`; the truth is 10. *Target: savgol keeps about 9 of 10 degrees, the mean up to 1.5 less.*

# %%
kept = ...  # a dictionary: method -> degrees

check(kept, lambda: 8.5 < kept["savgol"] < 9.5 and -1.5 < kept["moving_average"] - kept["savgol"] < 0)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# kept = {}
# for method in ("moving_average", "savgol"):
#     tried = [smooth(times, measured, method, window_s=window_s) for window_s in (0.2, 0.28, 0.36, 0.44, 0.52)]
#     best = min(tried, key=lambda filtered: abs(jitter(filtered) - 0.4))
#     kept[method] = np.ptp(best[25:80])
#     print(method, jitter(best).round(2), kept[method].round(1))
# ```
# </details>

# %% [markdown]
# **2. Thirty seconds.** By how much does the error of `align_corners=True` change over a clip of 30 s, at 5 features a second and 50 frames a second?
# *Target: 180 ms again, from one end to the other.*

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
# At each end the error is half a feature less half a frame: 100 ms - 10 ms. In a longer clip the same error only
# slides more slowly.
# </details>

# %% [markdown]
# **3. Live.** A live instrument may lag by 30 ms at most. Find `min_cutoff_hz` and `beta` for One Euro with which it is calm enough. (`beta` adds so
# many Hz for each degree/s: in section 4 it was 0.05, in section 3 it was 1.) *Target: a lag of 30 ms or less, a jitter under 0.45 degrees.*

# %%
chosen = ...  # (min_cutoff_hz, beta)

check(chosen, lambda: jitter(live := one_euro(times, measured, *chosen)) < 0.45 and lag_ms(live) <= 30)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# tried = []
# for cutoff in (0.5, 1.0, 2.0, 4.0):
#     for beta in (0.05, 0.1, 0.2, 0.4):
#         filtered = one_euro(times, measured, cutoff, beta)
#         tried.append((jitter(filtered).round(2), lag_ms(filtered), cutoff, beta))
# *measured_so, cutoff, beta = min(each for each in tried if each[1] <= 30)
# print("jitter and lag:", measured_so, "at", cutoff, beta)
# chosen = cutoff, beta
# ```
#
# `beta` is what buys it: calm while still, quick while moving.
# </details>

# %% [markdown]
# ## Quiz
#
# **1. A filter with zero phase makes nods smaller. What can be done about it afterwards?**  (a) Shift the result. (b) Multiply it. (c) Nothing in
# general.
#
# <details><summary>Answers</summary>
#
# - (a) Nothing is displaced, so there is nothing to shift.
# - (b) That makes slow movements too large, which were not made smaller.
# - (c) **Right**: how much was lost depends on the speed, and what was lost below the noise is gone.
# </details>

# %% [markdown]
# **2. Why is a frame read off at its middle and not at its beginning?**  (a) Because a frame stands for all of its 20 ms. (b) Because half a frame
# of error is audible. (c) Because torch does it so.
#
# <details><summary>Answers</summary>
#
# - (a) **Right**: its middle is the one moment that stands for it without leaning to a side. The same holds for a coarse feature, where it matters.
# - (b) 10 ms are hardly audible. For features of 200 ms it is 100 ms: noticed when too early, and a sixth of a beat at 100 a minute.
# - (c) With `align_corners=False` it does, for this reason.
# </details>

# %% [markdown]
# ## What we saw
#
# - Smoothing trades trembling against size, and, for filters that cannot look ahead, against delay.
# - Resampling by the middles of frames keeps everything in its place; `align_corners=True` slides from half a feature early to half a one late.
# - Short gaps can be bridged, long ones must stay gaps.
#
# ## Limits
#
# - Noise here is equally strong everywhere, and new in every frame. Real points tremble more when they are badly seen, and wander slowly.
# - A number for lag and one for jitter is not all: filters also differ in how they treat corners and sudden starts.
#
# ## References
#
# - Casiez, Roussel and Vogel 2012, 1 € filter. CHI, pages 2527-2530.
# - Savitzky and Golay 1964, Smoothing and differentiation of data by simplified least squares procedures. Analytical Chemistry 36.
# - Izzati, Li and Xia 2025, [Expotion](https://arxiv.org/abs/2507.04955): the published smoothing, section 3.
#
# ## Next
#
# The curves are ready. What they will steer, and how a model writes music as numbers: [04_inside_musicgen](04_inside_musicgen.ipynb).
