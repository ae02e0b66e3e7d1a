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
# # Controls: from points to curves that mean something
#
# A nod is a nod, whether somebody fills the picture or sits at the back of the room, whether they nod by ten degrees or by twenty.
# Points know nothing of that. Here they become named curves, *controls*, and you build the four steps on the way by hand: divide
# by the body, take the speed, sum up the energy, scale to the person.
#
# **Time:** a few seconds of computing on two CPU cores, 30 minutes with reading. A GPU would not help.
#
# **By the end you can**
#
# - *make* a measurement independent of how near somebody sits, and *show* that it is,
# - *compute* the speed of a noisy curve without drowning in noise,
# - *explain* what scaling to a person's own range gains, and what its floor is for,
# - *predict* which channels a movement reaches, and *read* it off a table.
#
# **You need** numpy, derivatives as slopes, and [01_landmarks](01_landmarks.ipynb).

# %%
from dataclasses import replace

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np

import expotion_lite as el
from expotion_lite import plots
from expotion_lite.controls import moving_average, savitzky_golay
from expotion_lite.course import check
from expotion_lite.synthetic import Performance, draw_performer, to_landmarks

# %% [markdown]
# ## 1. Somebody who does one thing at a time
#
# To see what a channel reacts to, one needs a person who moves *one* thing and nothing else. People cannot; a synthetic person can.
# The library draws such people from a seed, with a camera, a build, and the noise that MediaPipe's points have.

# %%
# all in the picture and seen from the front; the points tremble a little
calm = {"face_seen": True, "body_seen": True, "arms_seen": True, "losses_per_s": 0.0, "view_deg": (0.0, 0.0, 0.0)}
camera = {"eye_span": 0.07, "centre": (0.5, 0.22), "size": (640, 480), "jitter": 0.01}
person = replace(draw_performer(3), **calm, **camera, resting_smile=0.0)
times = np.arange(0, 8, 1 / 30)
movements = "pitch yaw roll sway bob shoulders left_hand_y right_hand_y smile brow_up jaw".split()


# %%
def only(movement, size, hz=1.0):
    """Eight seconds in which one thing goes up and down `hz` times a second, from 0 to `size`."""
    every = [*movements, "frown", "brow_down", "blink", "gaze_x", "gaze_y", "left_hand_x", "right_hand_x"]
    curves = {name: np.zeros(len(times), np.float32) for name in every}
    curves[movement] = (size * (0.5 - 0.5 * np.cos(2 * np.pi * hz * times))).astype(np.float32)
    return Performance(times, curves)


# %% [markdown]
# Nods by 12 degrees, once a second:

# %%
nodding = to_landmarks(only("pitch", 12.0), person)
controls = el.extract_controls(nodding)
ax = plots.plot_controls(controls, ["head_pitch", "head_pitch_velocity", "head_pitch_energy", "pulse", "smile"])

# %% [markdown]
# **Look:** one movement, four readings of it. The *position* says where the chin is, the *velocity* how fast and which way, the
# *energy* how much is going on, and the *pulse* when it turns; of a nod, the lowest point. `smile` stays still. What follows builds
# the first three.

# %% [markdown]
# ## 2. Divide by the body
#
# **Predict:** somebody sways to the side by half a head. Sitting twice as near to the camera, by how many times more pixels does the head
# move? And how many times its own width?

# %%
near, far = (to_landmarks(only("sway", 0.5), replace(person, eye_span=span)) for span in (0.14, 0.07))


# %%
def eye_corners(landmarks):
    """The outer corners of both eyes in pixels, two arrays (T, 2)."""
    return (landmarks.face[:, point, :2] * [landmarks.width, landmarks.height] for point in (33, 263))


def sideways(landmarks):
    """How far the middle of the eyes lies to the right, in pixels and in distances of the eyes: two arrays (T,)."""
    a, b = eye_corners(landmarks)
    middle, apart = (a + b)[:, 0] / 2, np.linalg.norm(b - a, axis=1)
    moved = middle - np.median(middle)
    return moved, moved / np.percentile(apart, 75)


# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), sharex=True)
for landmarks, name, style in [(near, "near", "-"), (far, "far", "--")]:
    for ax, values in zip(axes, sideways(landmarks), strict=True):
        ax.plot(times, values, style, label=name)
axes[0].set(xlabel="time (s)", ylabel="pixels", title="what the camera sees")
axes[1].set(xlabel="time (s)", ylabel="eye distances", title="divided by the face")
_ = figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")

# %%
pixels, body = (np.ptp(sideways(near)[k]) / np.ptp(sideways(far)[k]) for k in (0, 1))
print(f"near / far: {pixels:.2f} in pixels, {body:.2f} in eye distances")
assert abs(pixels - 2) < 0.1 and abs(body - 1) < 0.05

# %% [markdown]
# **Explain.** Half a head both times: about three quarters of the distance of the eyes' corners. A distance of the same body is a
# ruler that comes nearer together with everything else. Which distance? One that no movement changes: the eyes' corners for the
# head, the shoulders for the arms. When a head turns away, the corners come nearer to each other in the picture; so the library
# measures them in three dimensions, and takes a high percentile over the whole clip.

# %% [markdown]
# ## 3. The speed of a noisy curve
#
# Speed is the slope. The obvious way, the difference of neighbours, adds the noise of two points and divides by a small time.
#
# **Predict:** the angle trembles by a fraction of a degree here. Will the difference still look like the nods' speed?

# %%
pitch = nodding.head_pose[:, 0].astype(float)
difference = np.gradient(pitch, times)


# %%
def slope_of_parabola(times, values, window_s):
    """At each time fit a parabola to what lies within the window, and take its slope there."""
    slopes = []
    for now in times:
        near = np.abs(times - now) <= window_s / 2 + 1e-9
        slopes.append(np.polyfit(times[near] - now, values[near], 2)[1])
    return np.array(slopes)


by_hand = slope_of_parabola(times, pitch, 0.2)

# %%
figure, ax = plt.subplots(figsize=(8, 2.8))
ax.plot(times, difference, color="0.7", label="difference of neighbours")
ax.plot(times, by_hand, label="slope of a parabola over 0.2 s")
ax.set(xlabel="time (s)", ylabel="pitch speed (degrees/s)", xlim=(0, 4))
_ = figure.legend(loc="outside upper center", ncols=2)

# %%
inside = slice(5, -5)  # at the ends half a window is missing, and the library takes more from within
library = savitzky_golay(times, pitch, 0.2, order=2, derivative=1)
assert np.allclose(by_hand[inside], library[inside], atol=1e-6)

# %% [markdown]
# **Explain.** The difference shows the nods, but ragged. A parabola fitted to seven points averages their noise. (In the middle of
# even times a straight line would have the same slope; the bend counts at uneven ones.) This is the filter of Savitzky and Golay
# (1964); the library's does the same fit at uneven times, for all channels at once. A longer window is calmer and blunter: it
# rounds off fast turns. Which length is right is a question of how fast people move;
# 0.2 s is a fifth of these nods.

# %% [markdown]
# ## 4. Energy
#
# How much is going on, whichever way it goes: the root of the mean squared speed over a moment. The channel is scaled, as section 5
# will show, and has 50 values a second, so the two are compared by their correlation.

# %%
energy = np.sqrt(moving_average(times, by_hand**2, 0.3))
centres = controls.times
theirs = controls["head_pitch_energy"]

# %%
agreement = np.corrcoef(np.interp(centres, times, energy)[20:-20], theirs[20:-20])[0, 1]
print("correlation with the channel head_pitch_energy:", round(agreement, 3))
assert agreement > 0.95

# %% [markdown]
# ## 5. Scale to the person
#
# Two people feel the same beat. One nods by 4 degrees, the other by 16. If music should follow both, it must hear both.
#
# **Predict:** and a third, who sits quite still? What would be scaled up there?

# %%
sizes = {"16 degrees": 16.0, "4 degrees": 4.0, "still": 0.0}
people = {name: to_landmarks(only("pitch", size), person) for name, size in sizes.items()}
figure, axes = plt.subplots(1, 3, figsize=(8, 3.0), sharex=True)
for name, landmarks in people.items():
    raw = landmarks.head_pose[:, 0] - np.median(landmarks.head_pose[:, 0])
    without_floor = raw / np.percentile(np.abs(raw), 95)
    for ax, values in zip(axes, (raw, without_floor), strict=False):
        ax.plot(times, values, label=name)
    axes[2].plot(centres, el.extract_controls(landmarks)["head_pitch"])
for ax, title in zip(axes, ("degrees", "/ own range", "/ own range, or floor"), strict=True):
    ax.set(xlabel="time (s)", title=title, xlim=(0, 4))
_ = figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)

# %% [markdown]
# **Explain.** Divided by their own range (the 95th percentile of how far they go), the two who nod look alike. So does the third,
# whose *noise* has become a movement as large as a nod. A floor prevents that: nothing is divided by less than 4 degrees. Nods of
# 4 degrees from top to bottom go 2 either side of the middle: half the floor, so they count half; nods under about 3 degrees give no
# pulse at all.
#
# This costs something, too: *how large* somebody moves compared with others is gone. What is left is how large they move now compared
# with themselves.

# %% [markdown]
# ## 6. Which channel reacts to what?
#
# Eleven movements, one at a time, and what each does to the channels. `sway` goes from side to side, `bob` moves head and body up
# and down.
#
# **Predict:** which channels will a nod (`pitch`) reach, and which a `bob`?

# %%
amounts = dict(zip(movements, (12, 12, 12, 0.4, 0.3, 0.3, 1.5, 1.5, 0.8, 0.8, 0.7), strict=True))
reached = {name: el.extract_controls(to_landmarks(only(name, size), person)) for name, size in amounts.items()}
shown = """head_pitch head_yaw head_roll head_x head_y shoulders_x shoulders_y left_wrist_y right_wrist_y smile brows_up
jaw_open pulse motion_energy expression_energy""".split()

# %%
table = np.array([[reached[name][channel].std() for channel in shown] for name in movements])
figure, ax = plt.subplots(figsize=(8, 4.4))
image = ax.imshow(table, vmin=0, vmax=0.7, cmap="cividis", aspect="auto")
names = [name.replace("_", " ") for name in shown]
ax.set_xticks(range(len(shown)), names, rotation=45, ha="right", rotation_mode="anchor")
ax.set_yticks(range(len(movements)), [name.replace("_", " ") for name in movements])
ax.set(xlabel="channel", ylabel="what moves")
_ = figure.colorbar(image, label="spread of the channel (own range)")

# %% [markdown]
# **Look** along the rows: most movements light up the channel called like them, `pulse`, and dimly `motion energy`, which is high
# all the time here: the table shows how much a channel varies. Then look for lights where you did not expect any. `bob` moves the
# head *and* the shoulders, because a body is connected; a nod also lowers the head, and a turn takes it aside, because it turns
# about the neck.

# %% [markdown]
# Now choose one yourself. The pulse marks the turns of the movement that *leads*: the liveliest of head, shoulders and hands within
# a few seconds. Expressions never lead.


# %%
def show(movement):
    """The channels that this movement moves most."""
    spread = reached[movement].values.std(axis=0)
    most = [reached[movement].channels[k] for k in np.argsort(-spread)[:4]]
    plots.plot_controls(reached[movement], list(dict.fromkeys([*most, "pulse"])))
    plt.show()


_ = widgets.interact(show, movement=widgets.Dropdown(options=movements, description="what moves"))

# %% [markdown]
# ## Exercises
#
# **1. No.** Somebody shakes the head. Which of `head_yaw`, `head_roll`, `head_x` and `head_pitch` has the largest standard
# deviation in `reached["yaw"]`, and how many times that of `head_pitch`? *Target: `head_yaw`, more than 3 times.*

# %%
spread = ...  # a dictionary of the four: channel -> standard deviation

check(spread, lambda: max(spread, key=spread.get) == "head_yaw" and spread["head_yaw"] > 3 * spread["head_pitch"])

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# spread = {channel: reached["yaw"][channel].std() for channel in ("head_yaw", "head_roll", "head_x", "head_pitch")}
# print(spread)
# ```
# </details>

# %% [markdown]
# **2. A mirror.** Webcams often show you mirrored. On paper: which channels change their sign if the picture was recorded like that?
# Then check one: mirror the points of the face in `near` (`face[:, :, 0]` becomes one minus itself), and correlate `head_x` of both.
# *Target: below -0.9.*

# %%
agreement = ...  # a correlation

check(agreement, lambda: agreement < -0.9)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# face = near.face.copy()
# face[:, :, 0] = 1 - face[:, :, 0]
# mirrored = replace(near, face=face)
# agreement = np.corrcoef(el.extract_controls(near)["head_x"], el.extract_controls(mirrored)["head_x"])[0, 1]
# print(agreement)
# ```
#
# Everything with a left and a right: x, yaw, roll, tilt, and their velocities; wrists and elbows change places. Positions,
# velocities and the energies of single limbs tell the model left from right; the other energies and the pulse do not care about mirrors.
# </details>

# %% [markdown]
# **3. A longer window.** Fit the parabola over 0.2, 0.4, 0.6, 0.8 and 1.0 s. What is the largest speed that each finds, without 20
# samples at either end? *Target: from 0.8 s on, less than half of that at 0.2 s.*

# %%
fastest = ...  # five speeds, in degrees/s

check(fastest, lambda: len(fastest) == 5 and fastest[2] > fastest[0] / 2 > fastest[3])

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# windows_s = (0.2, 0.4, 0.6, 0.8, 1.0)
# fastest = [np.abs(slope_of_parabola(times, pitch, window_s))[20:-20].max() for window_s in windows_s]
# print(np.round(fastest, 1))
# ```
#
# The longer the window, the more of the way back it sees together with the way down: at 0.8 s under half of the speed is left.
# </details>

# %% [markdown]
# ## Quiz
#
# **1. Why is a distance divided by that of the eyes and not by the picture's width?**  (a) The picture's width is not known. (b) So
# that sitting nearer to the camera changes nothing. (c) So that the numbers become small.
#
# <details><summary>Answers</summary>
#
# - (a) It is known.
# - (b) **Right**: the ruler is as much larger as what it measures.
# - (c) Small numbers are no aim.
# </details>

# %% [markdown]
# **2. Somebody sits still; `head_pitch` stays near 0 although it is scaled to the person's own range. Why?**  (a) Because of the
# floor. (b) Because the points do not tremble. (c) Because still people are left out.
#
# <details><summary>Answers</summary>
#
# - (a) **Right**: less than the floor is never scaled up to full range.
# - (b) They do tremble; without a floor you saw it.
# - (c) Nobody is left out: stillness is something that music may follow.
# </details>

# %% [markdown]
# ## What we saw
#
# - Dividing by a distance of the same body removes the camera.
# - A local parabola gives speeds of noisy curves; its window trades calm against sharpness.
# - A person's own range makes small and large movers alike, down to a floor, which keeps noise from being taken for movement.
#
# ## Limits
#
# - One range for a whole clip: somebody who starts shyly and ends wildly has a shy start in these numbers, as it should be. Cut into two
#   clips, each is scaled by itself.
# - The floors are set by hand, not learned from people: whoever can only move less than that counts for less, or not at all.
#
# ## References
#
# - Savitzky and Golay 1964, Smoothing and differentiation of data by simplified least squares procedures. Analytical Chemistry 36.
# - Lugaresi et al. 2019, [MediaPipe](https://arxiv.org/abs/1906.08172): where the points come from.
# - `expotion_lite/controls/extraction.py`: every channel with its unit and its floor.
#
# ## Next
#
# How the curves are smoothed, and how 25 pictures a second become 50 values without drifting away from the music:
# [03_smoothing_and_alignment](03_smoothing_and_alignment.ipynb).
