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
# # Controls: from points to curves with a meaning
#
# A nod is a nod, near the camera or far from it, by ten degrees or by twenty. But the numbers of the points
# differ each time. Here they become named curves, the *controls*. You build the steps by hand: divide by the
# size of the body, take the speed, sum up the energy, scale to the person, find the events.
#
# **Time:** a few seconds of computing on two CPU cores, 30 minutes with reading. A GPU would not help.
#
# **By the end you can**
#
# - *make* a measurement independent of how near somebody sits, and *show* that it is,
# - *compute* the speed of a noisy curve without amplifying its noise,
# - *explain* what scaling to a person's own range gains, and what its floor is for,
# - *predict* which channels a movement changes, and *read* it off a table,
# - *find* the moments at which movements arrive.
#
# **You need** numpy, derivatives as slopes, and [01_landmarks](01_landmarks.ipynb).

# %%
from dataclasses import replace

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter1d

import expotion_lite as el
from expotion_lite.controls import arrival_curve, find_events, moving_average, savitzky_golay
from expotion_lite.course import check
from expotion_lite.synthetic import Performance, draw_performer, to_landmarks

# %% [markdown]
# ## 1. A person who does one thing at a time
#
# To see what a channel reacts to, you need a person who makes *one* movement and no other. People cannot do
# this, but a synthetic person can. The library draws such people from a seed, with a camera, a build, and the
# noise of MediaPipe's points.

# %%
# everything is in the image and seen from the front; the points tremble a little
seen = {"face_seen": True, "body_seen": True, "arms_seen": True, "losses_per_s": 0.0}
camera = {"eye_span": 0.07, "centre": (0.5, 0.22), "size": (640, 480), "view_deg": (0.0, 0.0, 0.0)}
person = replace(draw_performer(3), **seen, **camera, jitter=0.01, resting_smile=0.0)
times = np.arange(0, 8, 1 / 30)
movements = "pitch yaw roll sway bob shoulders left_hand_y right_hand_y smile brow_up jaw".split()
others = "frown brow_down blink gaze_x gaze_y left_hand_x right_hand_x".split()


# %%
def only(movement, size, hz=1.0):
    """Return 8 s in which one movement goes from 0 to `size` and back `hz` times a second."""
    curves = {name: np.zeros(len(times), np.float32) for name in [*movements, *others]}
    wave = 0.5 - 0.5 * np.cos(2 * np.pi * hz * times)
    curves[movement] = (size * wave).astype(np.float32)
    return Performance(times, curves)


# %% [markdown]
# Nods of 12 degrees, once a second:

# %%
nodding = to_landmarks(only("pitch", 12.0), person)
controls = el.extract_controls(nodding)
names = ["head_pitch", "head_pitch_velocity", "head_pitch_energy", "pulse", "smile"]
ax = el.plots.plot_controls(controls, names)

# %% [markdown]
# **Look:** one movement gives four readings. The *position* tells where the chin is, the *velocity* how fast
# it moves and in which direction. The *energy* tells how much moves. The *pulse* tells when the movement
# turns; for a nod, at its lowest point. `smile` stays still. You now build the first three.

# %% [markdown]
# ## 2. Divide by the size of the body
#
# **Predict:** somebody sways to the side by half a head. Then they sit twice as near. By how many times more
# pixels does the head move? And by how many times its own width?

# %%
near = to_landmarks(only("sway", 0.5), replace(person, eye_span=0.14))
far = to_landmarks(only("sway", 0.5), replace(person, eye_span=0.07))


# %%
def sideways(landmarks):
    """Return how far the eyes' middle is to the right, in pixels and in eye distances: two (T,)."""
    size = [landmarks.width, landmarks.height]
    right, left = landmarks.face[:, 33, :2] * size, landmarks.face[:, 263, :2] * size
    middle = (right + left)[:, 0] / 2
    eye_distance = np.linalg.norm(left - right, axis=1)
    moved = middle - np.median(middle)
    return moved, moved / np.percentile(eye_distance, 75)


# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), sharex=True)
for landmarks, name, style in [(near, "near", "-"), (far, "far", "--")]:
    for ax, values in zip(axes, sideways(landmarks), strict=True):
        ax.plot(times, values, style, label=name)
axes[0].set(xlabel="time (s)", ylabel="pixels", title="as the camera sees it")
axes[1].set(xlabel="time (s)", ylabel="eye distances", title="divided by the face")
_ = figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")

# %%
pixels, eyes = (np.ptp(sideways(near)[k]) / np.ptp(sideways(far)[k]) for k in (0, 1))
print(f"near / far: {pixels:.2f} in pixels, {eyes:.2f} in eye distances")
assert abs(pixels - 2) < 0.1 and abs(eyes - 1) < 0.05

# %% [markdown]
# **Explain.** It is half a head both times, about three quarters of the distance between the outer eye
# corners. A distance on the same body is a ruler: ruler and movement grow together. A good ruler is one that
# no movement changes. The library uses the eye corners for the head and the shoulders for the arms. When a
# head turns away, its eye corners come closer together in the image. So the library measures them in 3D and
# takes a high percentile over the clip.

# %% [markdown]
# ## 3. The speed of a noisy curve
#
# Speed is the slope. The obvious way, the difference of neighbours, adds the noise of two points and divides
# by a small time.
#
# **Predict:** the angle trembles by a fraction of a degree here. Will the difference still look like the
# nods' speed?

# %%
pitch = nodding.head_pose[:, 0].astype(float)
difference = np.gradient(pitch, times)


# %%
def slope_of_parabola(times, values, window_s):
    """Fit a parabola to the window around each time, and return its slopes there."""
    slopes = []
    for now in times:
        inside = np.abs(times - now) <= window_s / 2 + 1e-9
        slopes.append(np.polyfit(times[inside] - now, values[inside], 2)[1])
    return np.array(slopes)


by_hand = slope_of_parabola(times, pitch, 0.2)

# %%
figure, ax = plt.subplots(figsize=(8, 2.8))
ax.plot(times, difference, color="0.7", label="difference of neighbours")
ax.plot(times, by_hand, label="slope of a parabola over 0.2 s")
ax.set(xlabel="time (s)", ylabel="pitch speed (degrees/s)", xlim=(0, 4))
_ = figure.legend(loc="outside upper center", ncols=2)

# %%
middle = slice(5, -5)  # the library treats the ends in another way
library = savitzky_golay(times, pitch, 0.2, order=2, derivative=1)
assert np.allclose(by_hand[middle], library[middle], atol=1e-6)

# %% [markdown]
# **Explain.** The difference shows the nods, but with much noise. A parabola fitted to seven points averages
# this noise. (With even times a straight line would have the same slope in the middle. With uneven times the
# curvature counts.) This is the filter of Savitzky and Golay (1964). The library does the same fit at uneven
# times, for all channels at once. A longer window gives a smoother curve, but it rounds off fast turns. The
# right length depends on how fast people move; 0.2 s is a fifth of these nods.

# %% [markdown]
# ## 4. Energy
#
# Energy tells how much moves, in any direction: the root of the mean squared speed over a short window. The
# channel has 50 values a second and is scaled (section 5), so we compare the two by their correlation.

# %%
energy = np.sqrt(moving_average(times, by_hand**2, 0.3))
centres = controls.times
channel = controls["head_pitch_energy"]

# %%
agreement = np.corrcoef(np.interp(centres, times, energy)[20:-20], channel[20:-20])[0, 1]
print("correlation with the channel head_pitch_energy:", round(agreement, 3))
assert agreement > 0.95

# %% [markdown]
# ## 5. Scale to the person
#
# Two people feel the same beat. One nods by 4 degrees, the other by 16. Music should follow both.
#
# **Predict:** a third person sits quite still. What would the scaling enlarge there?

# %%
sizes = {"16 degrees": 16.0, "4 degrees": 4.0, "still": 0.0}
people = {name: to_landmarks(only("pitch", size), person) for name, size in sizes.items()}
figure, axes = plt.subplots(1, 3, figsize=(8, 3.0), sharex=True)
for name, landmarks in people.items():
    degrees = landmarks.head_pose[:, 0] - np.median(landmarks.head_pose[:, 0])
    axes[0].plot(times, degrees, label=name)
    axes[1].plot(times, degrees / np.percentile(np.abs(degrees), 95))
    axes[2].plot(centres, el.extract_controls(landmarks)["head_pitch"])
for ax, title in zip(axes, ("degrees", "/ own range", "/ own range, or floor"), strict=True):
    ax.set(xlabel="time (s)", title=title, xlim=(0, 4))
_ = figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)

# %% [markdown]
# **Explain.** A person's *own range* is the 95th percentile of the distance from the median. Divided by it,
# the two who nod look alike. So does the third, whose *noise* now looks as large as a nod. A floor prevents
# this: the library never divides by less than 4 degrees. Nods of 4 degrees from top to bottom go 2 degrees
# either side of the middle. 2 degrees is half of the floor, so the channel reaches 0.5. Nods under about 3
# degrees give no pulse.
#
# This has a cost. The curves no longer tell *how large* somebody moves compared with others, only compared
# with themselves.

# %% [markdown]
# ## 6. Events and activity
#
# Music needs moments. Many movements have one: where they *arrive*. Here a hand goes up and down and rests in
# between. Its times follow no beat.
#
# **Predict:** the speed of the hand is highest half way. Where is it falling fastest?

# %%
stops = np.array([1.0, 1.8, 3.3, 3.9, 5.6, 7.0])  # s; each way takes 0.3 s
moments = np.sort([*(stops - 0.3), *stops])
gesture = only("right_hand_y", 0.0)
gesture.curves["right_hand_y"][:] = 1.5 * np.interp(times, moments, [0, 1, 1, 0] * 3)
hand = el.extract_controls(to_landmarks(gesture, person))

# %%
speed = np.abs(hand["right_wrist_y_velocity"])


def smooth(curve):
    """Smooth a curve by a Gaussian with a standard deviation of 0.04 s."""
    return gaussian_filter1d(curve.astype(float), 0.04 * 50)


fall = -np.gradient(smooth(smooth(speed)))
arrivals = smooth(np.maximum(fall, 0))
assert np.allclose(arrivals, arrival_curve(speed, 50.0))

# %%
figure, ax = plt.subplots(figsize=(8, 2.8))
curves = {"height": hand["right_wrist_y"], "speed": speed, "arrivals": arrivals / arrivals.max()}
for (name, curve), style in zip(curves.items(), ("0.6", "C0:", "C3"), strict=True):
    ax.plot(centres, curve, style, label=name)
ax.set(xlabel="time (s)", ylabel="own range")
_ = figure.legend(loc="outside upper center", ncols=3)

# %%
found = find_events(arrivals / arrivals.max(), 50.0).times  # the peaks that stand out
in_channel = find_events(hand["event"], 50.0).times
print("arrivals:", found.round(2))
print("events:  ", in_channel.round(2))
assert np.abs(found - stops).max() < 0.1 and np.abs(in_channel - stops).max() < 0.1

# %% [markdown]
# **Explain.** The channel `event` has a bump at each arrival. It joins the speeds of all parts of the body. A
# filmed person also has speeds of pixels, by *optical flow* (`head_flow`, `arms_flow`, `trunk_flow`): they see
# hands and clothes that have no point.
#
# A steady nod has another moment: its lowest point, a *turn*. So where turns are evenly spaced, `event` takes
# them instead of the arrivals. The channel `activity` is the speed, smoothed over a longer time: how much is
# going on. `with_events` finds both from the other channels. The music follows these two, and some of the face.

# %%
steady = el.extract_controls(to_landmarks(only("pitch", 12.0, hz=1.5), person))
both = {"hand": hand, "nods": steady}
figure, axes = plt.subplots(2, 1, figsize=(8, 4.2), sharex=True)
for ax, (name, each) in zip(axes, both.items(), strict=True):
    el.plots.plot_controls(each, ["event", "activity", "pulse"], ax=ax).set_title(name)
    ax.label_outer()

# %% [markdown]
# **Look:** the pulse of the hand has few bumps, and not where the hand stops. For the nods, events and pulse
# agree.
#
# ## 7. Which channel reacts to what?
#
# Here are eleven movements, one at a time, and what each does to the channels. `sway` goes from side to side.
# `bob` moves head and body up and down.
#
# **Predict:** which channels will a nod (`pitch`) change, and which a `bob`?

# %%
amounts = dict(zip(movements, (12, 12, 12, 0.4, 0.3, 0.3, 1.5, 1.5, 0.8, 0.8, 0.7), strict=True))
alone = {name: to_landmarks(only(name, size), person) for name, size in amounts.items()}
controls_of = {name: el.extract_controls(landmarks) for name, landmarks in alone.items()}
shown = """head_pitch head_yaw head_roll head_x head_y shoulders_x shoulders_y left_wrist_y
right_wrist_y smile brows_up jaw_open pulse motion_energy expression_energy""".split()

# %%
table = np.array([[controls_of[name][channel].std() for channel in shown] for name in movements])
figure, ax = plt.subplots(figsize=(8, 4.4))
image = ax.imshow(table, vmin=0, vmax=0.7, cmap="cividis", aspect="auto")
names = [name.replace("_", " ") for name in shown]
ax.set_xticks(range(len(shown)), names, rotation=45, ha="right", rotation_mode="anchor")
ax.set_yticks(range(len(movements)), [name.replace("_", " ") for name in movements])
ax.set(xlabel="channel", ylabel="movement")
_ = figure.colorbar(image, label="standard deviation (own range)")

# %% [markdown]
# **Look** along the rows. Most movements light up the channel with their name and the `pulse`.
# `motion energy` is dim, because it is high all the time here and the table shows how much a channel varies.
# Then look for light where you did not expect it. `bob` moves the head *and* the shoulders, because they are
# connected. A nod also lowers the head, and a turn takes it aside, because it turns about the neck.
#
# Now choose a movement yourself. The pulse marks the turning points of the *leading* motion: the liveliest of
# head, shoulders and hands within a few seconds. Expressions never lead.


# %%
def show(movement):
    """Plot the channels that this movement changes most."""
    spread = controls_of[movement].values.std(axis=0)
    most = [controls_of[movement].channels[k] for k in np.argsort(-spread)[:4]]
    el.plots.plot_controls(controls_of[movement], list(dict.fromkeys([*most, "pulse"])))
    plt.show()


choice = widgets.Dropdown(options=movements, description="movement")
_ = widgets.interact(show, movement=choice)

# %% [markdown]
# ## Exercises
#
# **1. No.** Somebody shakes the head. Take the standard deviations of `head_yaw`, `head_roll`, `head_x` and
# `head_pitch` in `controls_of["yaw"]`. Which is the largest, and how many times that of `head_pitch`?
# *Target: `head_yaw`, more than 3 times.*

# %%
spread = ...  # a dictionary of the four: channel -> standard deviation

check(spread, lambda: spread["head_yaw"] == max(spread.values()) > 3 * spread["head_pitch"])

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# four = ("head_yaw", "head_roll", "head_x", "head_pitch")
# spread = {channel: controls_of["yaw"][channel].std() for channel in four}
# print(spread)
# ```
# </details>

# %% [markdown]
# **2. A mirror.** Webcams often show you mirrored. On paper: which channels change their sign if the video
# was recorded like that? Then check one. Mirror the points of the face in `near` (`face[:, :, 0]` becomes one
# minus itself), and correlate `head_x` of both. *Target: below -0.9.*

# %%
agreement = ...  # a correlation

check(agreement, lambda: agreement < -0.9)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# face = near.face.copy()
# face[:, :, 0] = 1 - face[:, :, 0]
# head_x = [el.extract_controls(each)["head_x"] for each in (near, replace(near, face=face))]
# agreement = np.corrcoef(*head_x)[0, 1]
# print(agreement)
# ```
#
# Everything with a left and a right changes its sign: x, yaw, roll, tilt and their velocities. Wrists and
# elbows change places. Positions, velocities and the energies of single limbs tell the model left from right.
# The pulse and the other energies do not change in a mirror.
# </details>

# %% [markdown]
# **3. A longer window.** Fit the parabola over 0.2, 0.4, 0.6, 0.8 and 1.0 s. What is the largest speed that
# each finds? Leave out 20 samples at either end. *Target: from 0.8 s on, less than half of the speed at 0.2
# s.*

# %%
fastest = ...  # five speeds, in degrees/s

check(fastest, lambda: len(fastest) == 5 and fastest[2] > fastest[0] / 2 > fastest[3])

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# windows_s = (0.2, 0.4, 0.6, 0.8, 1.0)
# slopes = [slope_of_parabola(times, pitch, window_s) for window_s in windows_s]
# fastest = [np.abs(slope[20:-20]).max() for slope in slopes]
# print(np.round(fastest, 1))
# ```
#
# A longer window sees the way back together with the way down. At 0.8 s less than half of the speed is left.
# </details>

# %% [markdown]
# ## Quiz
#
# **1. Why is a distance divided by the eye distance and not by the width of the image?**  (a) The width of
# the image is not known. (b) So that sitting nearer to the camera changes nothing. (c) So that the numbers
# become small.
#
# <details><summary>Answers</summary>
#
# - (a) It is known.
# - (b) **Right**: ruler and movement grow together.
# - (c) Small numbers are not the aim.
# </details>

# %% [markdown]
# **2. Somebody sits still. `head_pitch` stays near 0 although it is scaled to the person's own range. Why?**
# (a) Because of the floor. (b) Because the points do not tremble. (c) Because still people are left out.
#
# <details><summary>Answers</summary>
#
# - (a) **Right**: anything smaller than the floor is never scaled up to full range.
# - (b) They do. You saw it without a floor.
# - (c) Nobody is left out. Music may follow stillness, too.
# </details>

# %% [markdown]
# ## What we saw
#
# - Dividing by a distance of the same body makes the camera's distance irrelevant.
# - A local parabola gives speeds of noisy curves. A longer window is smoother but blunter.
# - Scaling to the own range makes small and large movers alike. The floor keeps noise from looking like
#   movement.
# - Events mark where movements arrive, or where a steady one turns. Music can meet them.
#
# ## Limits
#
# - One range holds for a whole clip. Somebody who starts shyly and ends wildly has a shy start in these
#   numbers, as it should be. If the clip is cut in two, each part is scaled by itself.
# - The floors are set by hand, not learned from people. A person who can move only a little counts for less,
#   or not at all.
#
# ## References
#
# - Savitzky and Golay 1964, Smoothing and differentiation of data by simplified least squares procedures.
#   Analytical Chemistry 36.
# - Lugaresi et al. 2019, [MediaPipe](https://arxiv.org/abs/1906.08172): where the points come from.
# - `expotion_lite/controls/channels.py`: every channel with its unit and its floor.
#
# ## Next
#
# How the curves are smoothed, and how 25 frames a second become 50 values without drifting away from the
# music: [03_smoothing_and_alignment](03_smoothing_and_alignment.ipynb).
