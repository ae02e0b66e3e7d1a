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
# # Landmarks: points on a moving face
#
# A music model cannot watch a video. It gets numbers that were measured on the person, and all later steps
# depend on them. Here you read the times of a video's frames and measure a smile from points, both by hand.
# Then you make the measurements fail.
#
# **Time:** half a minute of computing on two CPU cores, 30 minutes with reading. A GPU would not help.
#
# **By the end you can**
#
# - *read* each frame of a video with its true time, and *say* what goes wrong if you count frames instead,
# - *compute* a head's tilt and a smile from points, and *check* them against MediaPipe's own scores,
# - *tell* "found" from "right", and *name* three conditions in which they differ,
# - *explain* why a missing value must not be zero.
#
# **You need** numpy's arrays with boolean masks, and [00_start_here](00_start_here.ipynb).
#
# **Privacy:** this notebook reads the video on the machine where it runs. Nothing is sent anywhere.

# %%
from dataclasses import replace

import av
import cv2
import matplotlib.pyplot as plt
import numpy as np

import expotion_lite as el
from expotion_lite.course import check
from expotion_lite.landmarks import BLENDSHAPES
from expotion_lite.synthetic import bundled_performance, render_frames

# %% [markdown]
# ## 1. A frame has a time
#
# A webcam promises 30 frames a second and delivers what the light allows. One frame comes after 33 ms, the
# next after 50 ms, and some are lost. We make such a recording from the bundled clip: each frame comes up to
# 20 ms late, and one in ten is lost.

# %%
frames = list(el.read_frames(el.example_clip()))
rng = np.random.default_rng(0)
kept = [frame for frame in frames if frame.time_s == 0 or rng.random() > 0.1]
uneven = [el.Frame(frame.image, frame.time_s + 0.02 * rng.random()) for frame in kept]
path = el.write_video("out/uneven.mp4", uneven, overwrite=True)

# %% [markdown]
# In the file every frame carries its *presentation timestamp* (pts), a whole number of ticks. The stream says
# how long a tick is. The product of the two is the frame's time:

# %%
with av.open(str(path)) as file:
    stream = file.streams.video[0]
    times = np.array([float(picture.pts * stream.time_base) for picture in file.decode(stream)])
times = times - times[0]

# %%
assert np.allclose(times, [frame.time_s for frame in el.read_frames(path)], atol=1e-3)
print(len(times), "frames; the last at", round(times[-1], 2), "s")

# %% [markdown]
# **Predict:** suppose you count frames instead. The clip was made at 25 frames a second, so you take frame
# *i* to be at *i* / 25 s. How far off are you after 10 seconds?

# %%
counted = np.arange(len(times)) / 25
figure, ax = plt.subplots(figsize=(8, 2.6))
ax.plot(times, 1000 * (times - counted))
_ = ax.set(xlabel="time (s)", ylabel="too early by (ms)", title="error of counting frames")

# %% [markdown]
# **Explain.** Each lost frame makes the counted time 40 ms too early, and this error stays. After ten seconds
# it is about one second. At 100 beats a minute that is more than a beat. People notice sound that comes 45 ms
# too early or 125 ms too late (ITU-R BT.1359), so never count frames. `read_frames` never does.

# %% [markdown]
# ## 2. Points
#
# MediaPipe looks at each frame and returns 478 points of the face, 52 expression scores (*blendshapes*), the
# rotation of the head, and 33 points of the body.

# %%
landmarks = el.extract_landmarks(el.example_clip(), progress=False)
figure = el.plots.plot_landmark_strip(el.example_clip(), landmarks, 3)

# %%
landmarks.face.shape, landmarks.blendshapes.shape, landmarks.head_pose.shape, landmarks.body.shape

# %% [markdown]
# Each point has a fixed number. 33 and 263 are the outer corners of the eyes, 61 and 291 the corners of the
# mouth. 33 and 61 lie on the left of the image, which is her right. (Names of expressions, such as
# `mouthSmileLeft`, mean her own left.) Coordinates are fractions of the image's width and height. They must
# become pixels before you measure anything.

# %%
size = np.array([landmarks.width, landmarks.height])
points = landmarks.face[:, :, :2] * size  # (T, 478, 2) pixels
corners = [33, 263, 61, 291]
frame = 100
figure, ax = plt.subplots(figsize=(4.2, 4.2))
ax.imshow(frames[frame].image)
ax.plot(*points[frame].T, ".", markersize=1.5, color="C5")
ax.plot(*points[frame, corners].T, "o", color="C1")
ax.axis("off")
_ = ax.set(xlim=(145, 315), ylim=(230, 60), title="the four corners among 478 points")

# %% [markdown]
# ## 3. A tilt, by hand
#
# The head tilts when the line through the eyes tilts. The angle of that line is an arctangent.

# %%
across = points[:, 263] - points[:, 33]
tilt_deg = np.degrees(np.arctan2(across[:, 1], across[:, 0]))

# %%
figure, ax = plt.subplots(figsize=(8, 2.6))
ax.plot(landmarks.times, landmarks.head_pose[:, 2], label="MediaPipe's roll")
ax.plot(landmarks.times, tilt_deg, "--", label="from two points")
_ = ax.set(xlabel="time (s)", ylabel="tilt (degrees)")
_ = ax.legend()
assert np.abs(tilt_deg - landmarks.head_pose[:, 2]).max() < 3

# %% [markdown]
# Two of 478 points give the tilt within three degrees. MediaPipe fits a whole head to all points. That gives
# nod (*pitch*), turn (*yaw*) and tilt (*roll*), the three columns of `head_pose`. Two points cannot give the
# first two.

# %% [markdown]
# ## 4. A smile, by hand
#
# A smile pulls the corners of the mouth apart. But their distance in pixels also depends on how near she
# sits. So we divide it by another distance of the same face that no expression changes: the one between the
# corners of the eyes.
#
# **Predict:** will this ratio rise and fall with MediaPipe's smile score? What else could change it?


# %%
def distance(a, b):
    """Return the pixels between two points of the face in every frame, (T,)."""
    return np.linalg.norm(points[:, a] - points[:, b], axis=1)


smile_ratio = distance(61, 291) / distance(33, 263)

# %%
left = landmarks.blendshapes[:, BLENDSHAPES.index("mouthSmileLeft")]
right = landmarks.blendshapes[:, BLENDSHAPES.index("mouthSmileRight")]
score = (left + right) / 2
figure, (ax, beside) = plt.subplots(1, 2, figsize=(8, 2.8), width_ratios=(2.2, 1))
ax.plot(landmarks.times, score, label="MediaPipe's score")
ax.plot(landmarks.times, smile_ratio, "--", label="mouth / eyes")
_ = ax.set(xlabel="time (s)", ylabel="smile")
_ = ax.legend()
beside.plot(smile_ratio, score, ".", alpha=0.5)
_ = beside.set(xlabel="mouth / eyes", ylabel="score")

# %%
agreement = np.corrcoef(smile_ratio, score)[0, 1]
print("correlation", round(agreement, 2))
assert agreement > 0.8

# %% [markdown]
# **Explain.** The two agree, apart from small wiggles. The mouth lies lower and further forward than the
# eyes, so the camera sees it at another angle when she nods. The blendshapes come from a network that was
# trained on many faces and allows for the pose. A ratio of two distances is simple, but it mixes expression
# with movement. For that reason the channel `smile` in [00](00_start_here.ipynb) comes from the blendshapes.

# %% [markdown]
# ## 5. What fails
#
# Now we make the frames worse: darker, smaller, covered, upside down. For each change we compute the share of
# frames in which a face is *found*, and how far off three things are: all points, the mouth's points, and the
# smile score. Points are measured in eye distances. (The image is square, so fractions will do.)

# %%
few = frames[::5]
true = el.extract_landmarks(few, progress=False)
eyes_apart = np.linalg.norm(true.face[:, 33, :2] - true.face[:, 263, :2], axis=1).mean()


# %%
def with_change(change):
    """Return the landmarks of the same frames after `change`, a function of an image (H, W, 3)."""
    changed = [el.Frame(change(frame.image), frame.time_s) for frame in few]
    return el.extract_landmarks(changed, progress=False)


def grey(rows, columns):
    """Return a change that covers a part of the image."""

    def change(image):
        image = image.copy()
        image[rows, columns] = 128
        return image

    return change


# %%
changes = {
    "as it is": lambda image: image,
    "a tenth of the light": lambda image: image // 10,
    "a fiftieth of the light": lambda image: image // 50,
    "out of focus": lambda image: cv2.GaussianBlur(image, (0, 0), 5),
    "far away (1/8)": lambda image: cv2.copyMakeBorder(
        image[::8, ::8], 210, 210, 210, 210, cv2.BORDER_CONSTANT, value=3 * [128]
    ),
    "mouth covered": grey(slice(163, 225), slice(195, 325)),
    "half of the face covered": grey(slice(60, 235), slice(260, 330)),
    "upside down": lambda image: image[::-1, ::-1].copy(),
}
figure, axes = plt.subplots(2, 4, figsize=(8, 4.2))
for ax, (name, change) in zip(axes.flat, changes.items(), strict=True):
    ax.imshow(change(few[5].image))
    ax.set_title(name, fontsize="small")
    ax.axis("off")

# %% [markdown]
# **Predict:** in which of these is no face found? In which is a face found, but measured wrongly?

# %%
smile_left = BLENDSHAPES.index("mouthSmileLeft")
results = {name: with_change(change) for name, change in changes.items()}
smile = {name: result.blendshapes[:, smile_left] for name, result in results.items()}

# %%
MOUTH = [61, 291, 13, 14]  # its corners, and the middles of the lips
print(f"{'':25} found  points off  mouth off  smile off")
for name, result in results.items():
    face = 1 - result.face if name == "upside down" else result.face  # turned back
    found = result.face_found
    print(f"{name:25} {found.mean():4.0%}", end=" ")
    if found.any():
        off = np.linalg.norm((face - true.face)[found, :, :2], axis=2) / eyes_apart
        smile_off = np.abs(smile[name] - smile["as it is"])[found].mean()
        print(f"{np.median(off):8.2f} {np.median(off[:, MOUTH]):12.2f} {smile_off:8.2f}", end="")
    print()

# %% [markdown]
# **Look** at three groups of rows. A tenth of the light and half a face covered do little harm. A fiftieth of
# the light and the far-away face are lost, like most frames upside down. The third group is dangerous: out of
# focus or with the mouth covered, the face *is found* and its points lie nearly right, but the smile is *made
# up*.

# %%
figure, ax = plt.subplots(figsize=(8, 2.6))
for name, style in [("as it is", "-"), ("mouth covered", "--"), ("out of focus", ":")]:
    ax.plot(true.times, smile[name], style, label=name)
_ = ax.set(xlabel="time (s)", ylabel="smile score", ylim=(-0.05, 1.25))
_ = ax.legend(loc="upper left", ncols=3)

# %% [markdown]
# **Explain.** MediaPipe completes a face as it expects faces to be. If a cup, a microphone or a blur hides
# the mouth, it still returns a smile score, but this score means nothing. (At five frames a second the
# uncovered face fails once, too, near 7 s. Tracking works best on closely spaced frames.) *Found* does not
# mean *right*. For the face, no number in the result shows the difference. Only the body's points have a
# visibility.
#
# A network also expects some faces more than others. Buolamwini and Gebru (2018) tested three commercial
# programs that guess a gender from a face. They were wrong about up to 35 % of darker-skinned women and under
# 1 % of lighter-skinned men. A system built on such networks inherits their errors. Test yours on the people
# who will use it.

# %% [markdown]
# ### Turned away
#
# The photograph that moves in the bundled clip can also look aside. It has no back of the head, so beyond 40°
# it is a poor likeness.
#
# **Predict:** up to which angle is a face found? Where it is found, is the turn (*yaw*) read within 5°?


# %%
def turned(yaw_deg):
    """Return three equal frames of her with the head turned by this angle."""
    still = {name: np.zeros(3) for name in moves.curves} | {"yaw": np.full(3, yaw_deg)}
    return list(render_frames(replace(moves, times=moves.times[:3], curves=still)))


moves, turns = bundled_performance(0), (0, 20, 40, 60)
figure, axes = plt.subplots(1, 4, figsize=(8, 2.4))
for ax, turn in zip(axes, turns, strict=True):
    pictures = turned(turn)
    result = el.extract_landmarks(pictures, progress=False)
    ax.imshow(pictures[0].image)
    ax.axis("off")
    yaw = np.nanmedian(result.head_pose[:, 1]) if result.face_found.any() else None
    ax.set_title(f"{turn}°: nobody" if yaw is None else f"{turn}°: read {yaw:.0f}°")

# %% [markdown]
# **Look:** MediaPipe reads too small an angle. In part that is because the photograph's head is modelled
# flatter than a real one. At 60° no face is found. A person who looks far aside is lost, so put the camera
# where they look.

# %% [markdown]
# ## 6. Missing is not zero
#
# Suppose the light goes out for a moment. Which value should stand in the data then?

# %%
gap = (landmarks.times > 4.6) & (landmarks.times < 5.2)
nod = landmarks.head_pose[:, 0]
with_zero, with_nan = np.where(gap, 0.0, nod), np.where(gap, np.nan, nod)

# %%
figure, axes = plt.subplots(2, 1, sharex=True, figsize=(8, 3.8))
for values, name, style in [(with_zero, "zero", "-"), (with_nan, "NaN", "-")]:
    axes[0].plot(landmarks.times, values, style, label=f"missing is {name}")
    axes[1].plot(landmarks.times[1:], np.diff(values) / np.diff(landmarks.times), style)
_ = axes[0].set(ylabel="pitch (degrees)")
_ = axes[1].set(xlabel="time (s)", ylabel="speed (degrees/s)")
_ = axes[0].legend()


# %%
def fastest(values):
    """Return the highest speed, in degrees per second."""
    return round(np.abs(np.diff(values) / np.diff(landmarks.times)).max())


print("highest speed: with zeros", fastest(with_zero), "degrees/s; without a gap", fastest(nod))

# %% [markdown]
# **Explain.** Zero is a pose like any other: she looks straight into the camera. The jumps to zero and back
# are two movements that nobody made. Music that follows movements would mark both. NaN (not a number) spreads
# through every calculation until somebody handles it on purpose. Short gaps are bridged
# ([03](03_smoothing_and_alignment.ipynb)), long ones stay missing. A network cannot read NaN. So the controls
# hold 0 after all, together with `face_missing` = 1, which tells this 0 from a real one.

# %% [markdown]
# ## Exercises
#
# **1. Blinks.** Points 159 and 145 are the upper and lower lid of one eye. Make a ratio that falls when she
# blinks, plot it, and find the blinks. Read the frames off the plot (seconds times 25), or use
# `scipy.signal.find_peaks`. Her eyes close only by about half. *Target: three blinks, near 2.2, 5.0 and 9.4
# s.*

# %%
blinks = ...  # for each blink, the number of the frame in which the eye is most closed

check(blinks, lambda: np.allclose(landmarks.times[blinks], [2.2, 5.0, 9.4], atol=0.15))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# from scipy.signal import find_peaks
#
# opening = distance(159, 145) / distance(33, 263)
# usual = np.median(opening)
# blinks, _ = find_peaks(usual - opening, prominence=0.03, distance=10)
# print(landmarks.times[blinks])
# ```
#
# The prominence is a choice. At 0.06 one blink is lost.
# </details>

# %% [markdown]
# **2. How dark is too dark?** Divide the light by 10, 20, 30 and so on. From which divisor on is no face
# found in any frame? *Target: between 30 and 60. The share of frames with a face falls on the way.*

# %%
found = ...  # a dictionary: divisor -> share of the frames with a face

check(found, lambda: found[10] > 0.5 and 30 <= min(by for by in found if found[by] == 0) <= 60)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# found = {}
# for divisor in range(10, 70, 10):
#     found[divisor] = with_change(lambda image, by=divisor: image // by).face_found.mean()
# print(found)
# ```
#
# A real camera does worse in the dark, because it adds noise. Try
# `np.clip(image // 10 + rng.normal(0, 5, image.shape), 0, 255).astype(np.uint8)`.
# </details>

# %% [markdown]
# **3. A nod from points.** Measure how far the tip of the nose (point 1) lies below the middle of the eyes,
# in eye distances. Correlate it with the pitch, `landmarks.head_pose[:, 0]`. *Target: above 0.85.*

# %%
agreement = ...  # a correlation

check(agreement, lambda: agreement > 0.85)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# middle = (points[:, 33] + points[:, 263]) / 2
# below = (points[:, 1] - middle)[:, 1] / distance(33, 263)
# agreement = np.corrcoef(below, landmarks.head_pose[:, 0])[0, 1]
# print(agreement)
# ```
# </details>

# %% [markdown]
# ## Quiz
#
# **1. A recording has 30 frames a second on average, at uneven times. Which statement is true?**  (a) Frame
# 300 is at 10 s. (b) Only its pts says when frame 300 is shown. (c) The average is enough if no frame was
# lost.
#
# <details><summary>Answers</summary>
#
# - (a) Not in general. The average says nothing about the first ten seconds.
# - (b) **Right.**
# - (c) No. Frames may come early or late and still have the same average.
# </details>

# %% [markdown]
# **2. A face was found in every frame. What follows?**  (a) The points are where the face is. (b) The face
# was never hidden. (c) MediaPipe returned points for every frame.
#
# <details><summary>Answers</summary>
#
# - (a) No. With the mouth covered, its points were guessed and the smile was made up.
# - (b) No. Half of the face may be hidden.
# - (c) **Right**, and no more than that.
# </details>

# %% [markdown]
# ## What we saw
#
# - Every frame has its own time. Only that time counts.
# - Ratios of distances within a face measure expressions at any distance from the camera. Learned scores also
#   allow for the pose.
# - Dark and small images fail abruptly. In blurred and covered ones, MediaPipe makes up what it cannot see.
# - Missing values are marked as missing.
#
# ## Limits
#
# - One face, made from one photograph, seen from the front. This clip cannot show how points behave when a
#   real head turns to its profile. Film yourself turning, and see which points wander.
# - Depth (`z`) is a guess of the network from a single image. We have not used it.
#
# ## References
#
# - Kartynnik et al. 2019, [Real-time facial surface geometry](https://arxiv.org/abs/1907.06724): the face's
#   points.
# - Bazarevsky et al. 2020, [BlazePose](https://arxiv.org/abs/2006.10204): the body's points.
# - Buolamwini and Gebru 2018, [Gender shades](https://proceedings.mlr.press/v81/buolamwini18a.html): for whom
#   face analysis fails.
# - ITU-R 1998, BT.1359: when people notice sound out of sync.
#
# ## Next
#
# The points become named curves that a music model can follow, whoever sits there:
# [02_controls](02_controls.ipynb).
