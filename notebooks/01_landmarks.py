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
# A music model cannot watch a video. What it gets are numbers that were read off the person, and everything that follows
# rests on how these are read. Here you read the times of a video's pictures and measure a smile from points, both by hand,
# and then make the reading fail.
#
# **Time:** half a minute of computing on two CPU cores, 30 minutes with reading. A GPU would not help.
#
# **By the end you can**
#
# - *read* each picture of a video with its true time, and *say* what goes wrong with the number of the picture instead,
# - *compute* a head's tilt and a smile from points, and *check* them against MediaPipe's own scores,
# - *tell* "found" from "right", and *name* three conditions in which they differ,
# - *explain* why what is missing must not be zero.
#
# **You need** numpy's arrays with boolean masks, and [00_start_here](00_start_here.ipynb).
#
# **Privacy:** the video is read on the machine that runs this notebook, and nothing of it is sent anywhere.

# %%
from dataclasses import replace

import av
import cv2
import matplotlib.pyplot as plt
import numpy as np

import expotion_lite as el
from expotion_lite import example_clip, plots
from expotion_lite.course import check
from expotion_lite.landmarks import BLENDSHAPES
from expotion_lite.synthetic import bundled_performance, render_frames

# %% [markdown]
# ## 1. A picture has a time
#
# A webcam promises 30 pictures a second and delivers what the light allows: now 33 ms apart, now 50, and some are lost. Let us
# make such a recording out of the bundled clip: each picture comes up to 20 ms late, and one in ten is lost.

# %%
frames = list(el.read_frames(example_clip()))
rng = np.random.default_rng(0)
kept = [frame for frame in frames if frame.time_s == 0 or rng.random() > 0.1]
uneven = [el.Frame(frame.image, frame.time_s + 0.02 * rng.random()) for frame in kept]
path = el.write_video("out/uneven.mp4", uneven, overwrite=True)

# %% [markdown]
# In the file every picture carries its *presentation timestamp* (pts), a whole number of ticks, and the stream says how long a
# tick is. That is all there is to it:

# %%
with av.open(str(path)) as file:
    stream = file.streams.video[0]
    times = np.array([float(picture.pts * stream.time_base) for picture in file.decode(stream)])
times = times - times[0]

# %%
assert np.allclose(times, [frame.time_s for frame in el.read_frames(path)], atol=1e-3)
print(len(times), "pictures; the last at", round(times[-1], 2), "s")

# %% [markdown]
# **Predict:** somebody counts pictures instead and takes picture number *i* to be at *i* / 25 s, because the clip was made at 25 a
# second. How far off is that after 10 seconds?

# %%
counted = np.arange(len(times)) / 25
figure, ax = plt.subplots(figsize=(8, 2.6))
ax.plot(times, 1000 * (times - counted))
_ = ax.set(xlabel="time (s)", ylabel="counted too early (ms)", title="What counting pictures does")

# %% [markdown]
# **Explain.** Each lost picture makes the count 40 ms too early, for good. After ten seconds it is about a second: at 100 beats a
# minute that is more than a beat. People notice sound that comes 45 ms too early or 125 ms too late (ITU-R BT.1359), so nobody may count
# pictures. `read_frames` never does.

# %% [markdown]
# ## 2. Points
#
# MediaPipe looks at each picture and answers with 478 points of the face, 52 expression scores (*blendshapes*), the head's
# rotation, and 33 points of the body.

# %%
landmarks = el.extract_landmarks(example_clip(), progress=False)
figure = plots.plot_landmark_strip(example_clip(), landmarks, 3)

# %%
landmarks.face.shape, landmarks.blendshapes.shape, landmarks.head_pose.shape, landmarks.body.shape

# %% [markdown]
# The numbers of the points are fixed: 33 and 263 are the outer corners of the eyes, 61 and 291 those of the mouth; 33 and 61 lie on
# the left of the picture, which is her right. (Names of expressions such as `mouthSmileLeft` mean her own left.) Coordinates are fractions of the picture's width and height, and become pixels before anything is measured.

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
# The head tilts when the line through the eyes does. Its angle is an arctangent.

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
# Two points of 478 tell the tilt within three degrees. MediaPipe fits a whole head to all of them, which gives nod (*pitch*), turn
# (*yaw*) and tilt (*roll*), the three columns of `head_pose`; the first two do not follow from two points.

# %% [markdown]
# ## 4. A smile, by hand
#
# A smile pulls the corners of the mouth apart. How far apart they are in pixels depends on how near she sits, so it is divided
# by another distance of the same face that no expression changes: that of the eyes' corners.
#
# **Predict:** will this ratio rise and fall with MediaPipe's score of a smile? What else could change it?


# %%
def distance(a, b):
    """Pixels between two points of the face in every frame."""
    return np.linalg.norm(points[:, a] - points[:, b], axis=1)


smile_ratio = distance(61, 291) / distance(33, 263)

# %%
left, right = (landmarks.blendshapes[:, BLENDSHAPES.index(f"mouthSmile{side}")] for side in ("Left", "Right"))
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
# **Explain.** The two agree, with wiggles: when she nods, the mouth, which lies lower and further forward than the eyes, is seen at
# another angle. The blendshapes come from a network that was trained on many faces and takes the pose into account. A ratio of
# two distances is honest and simple, and it mixes expression with movement. In [00](00_start_here.ipynb) `smile` was made from
# the blendshapes for that reason.

# %% [markdown]
# ## 5. What fails
#
# Now the pictures get worse: darker, smaller, covered, upside down. For each we ask for four things: the share of pictures in which
# a face is *found*, how far all points and those of the mouth then are off, in distances of the eyes, and how far the score of a smile is.
# The picture is square, so fractions will do for a ratio.

# %%
few = frames[::5]
true = el.extract_landmarks(few, progress=False)
eyes_apart = np.linalg.norm(true.face[:, 33, :2] - true.face[:, 263, :2], axis=1).mean()


# %%
def with_change(change):
    """Landmarks of the same pictures after `change`, which takes an image (H, W, 3) and returns another."""
    return el.extract_landmarks([el.Frame(change(f.image), f.time_s) for f in few], progress=False)


def grey(rows, columns):
    """A change that covers a part of the picture."""

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
# **Predict:** in which of these is no face found? In which is one found, and what is read off it wrong?

# %%
results = {name: with_change(change) for name, change in changes.items()}
smile = {name: got.blendshapes[:, BLENDSHAPES.index("mouthSmileLeft")] for name, got in results.items()}
MOUTH = [61, 291, 13, 14]  # its corners, and the middles of the lips
print(f"{'':25} found  points off  mouth off  smile off")
for name, got in results.items():
    face = 1 - got.face if name == "upside down" else got.face  # turned back
    off = np.linalg.norm((face - true.face)[:, :, :2], axis=2)[got.face_found] / eyes_apart
    smile_off = np.abs(smile[name] - smile["as it is"])[got.face_found]
    wrong = f"{np.median(off):8.2f}     {np.median(off[:, MOUTH]):8.2f} {smile_off.mean():8.2f}" if len(off) else ""
    print(f"{name:25} {got.face_found.mean():4.0%} {wrong}")

# %% [markdown]
# **Look** at three kinds of rows. Hardly harmed: a tenth of the light, half a face. Lost: a fiftieth, too far away, and mostly upside
# down. The third kind is the treacherous one: out of focus or with the mouth covered, the face *is found*, its points lie nearly where they should, and the smile is *made up*.

# %%
figure, ax = plt.subplots(figsize=(8, 2.6))
for name, style in [("as it is", "-"), ("mouth covered", "--"), ("out of focus", ":")]:
    ax.plot(true.times, smile[name], style, label=name)
_ = ax.set(xlabel="time (s)", ylabel="score of a smile", ylim=(-0.05, 1.25))
_ = ax.legend(loc="upper left", ncols=3)

# %% [markdown]
# **Explain.** MediaPipe completes a face as it expects faces to be. With a cup or a microphone before the mouth, or in a blur, it
# still answers with a smile score, and the score knows nothing. (At five pictures a second the uncovered face stumbles once as well,
# near 7 s: tracking likes pictures that follow one another closely.) *Found* is not *right*, and no number in the answer says so for the
# face; only the body's points have a visibility.
#
# A network also expects some faces more than others. Three commercial ones that guess a gender from a face were wrong about up to
# 35 % of darker-skinned women and under 1 % of lighter-skinned men (Buolamwini and Gebru 2018). Whoever builds on such networks
# inherits what they do not see; so try your system on the people who will use it.

# %% [markdown]
# ### Turned away
#
# The photograph that moves in the bundled clip can be made to look aside. (It has no back of the head, so beyond 40° it is a poor likeness.)
#
# **Predict:** up to which angle is a face found, and where it is found, is the turn (*yaw*) read within 5°?


# %%
def turned(yaw_deg):
    """Three pictures of her, still, with the head turned by so much."""
    still = {name: np.zeros(3) for name in moves.curves} | {"yaw": np.full(3, yaw_deg)}
    return list(render_frames(replace(moves, times=moves.times[:3], curves=still)))


moves, turns = bundled_performance(0), (0, 20, 40, 60)
figure, axes = plt.subplots(1, 4, figsize=(8, 2.4))
for ax, turn in zip(axes, turns, strict=True):
    pictures = turned(turn)
    got = el.extract_landmarks(pictures, progress=False)
    ax.imshow(pictures[0].image)
    ax.axis("off")
    ax.set_title(
        f"{turn}°: " + (f"read {np.nanmedian(got.head_pose[:, 1]):.0f}°" if got.face_found.any() else "nobody")
    )

# %% [markdown]
# **Look:** less is read than the head was turned (in part the photograph's doing: its depth is flattened when it turns), and at 60°
# nobody is found. Somebody who looks far aside is lost; put the camera where they look.

# %% [markdown]
# ## 6. Missing is not zero
#
# Suppose the light goes out for a moment. What should stand in the table then?

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
fastest = [round(np.abs(np.diff(values) / np.diff(landmarks.times)).max()) for values in (with_zero, nod)]
print("fastest with zero", fastest[0], "degrees/s; without the gap", fastest[1], "degrees/s")

# %% [markdown]
# **Explain.** Zero is a pose like any other: it looks straight into the camera. Going there and back are two movements that nobody made,
# and music that follows movements would mark both. NaN (not a number) spreads through every calculation until somebody deals
# with it on purpose: short gaps are bridged ([03](03_smoothing_and_alignment.ipynb)), long ones stay missing. A network cannot read
# NaN, so at the very end 0 is written after all, together with `face_missing` = 1, which tells this 0 from a real one.

# %% [markdown]
# ## Exercises
#
# **1. Blinks.** Points 159 and 145 are the upper and lower lid of one eye. Make a ratio that falls when she blinks, draw it,
# and find the blinks (time by 25; or `scipy.signal.find_peaks`). Her eyes close only by about half. *Target: three, near 2.2, 5.0 and 9.4 s.*

# %%
blinks = ...  # for each blink, the number of the picture in which the eye is most closed

check(blinks, lambda: len(blinks) == 3 and np.allclose(landmarks.times[blinks], [2.2, 5.0, 9.4], atol=0.15))

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
# The prominence is a choice: at 0.06 one blink is lost.
# </details>

# %% [markdown]
# **2. How dark is too dark?** Divide the light by 10, 20, 30 and so on. From which divisor on is no face found in any picture?
# *Target: between 30 and 60, the share falling on the way.*

# %%
found = ...  # a dictionary: divisor -> share of the pictures with a face

check(found, lambda: found[10] > 0.5 and 30 <= min(divisor for divisor, share in found.items() if share == 0) <= 60)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# found = {divisor: with_change(lambda image, by=divisor: image // by).face_found.mean() for divisor in range(10, 70, 10)}
# print(found)
# ```
#
# A real camera in the dark is worse: it adds noise. Try `np.clip(image // 10 + rng.normal(0, 5, image.shape), 0, 255).astype(np.uint8)`.
# </details>

# %% [markdown]
# **3. A nod from points.** How far the tip of the nose (point 1) lies below the middle of the eyes, in distances of the eyes, tells the
# nod. Correlate it with the pitch, `landmarks.head_pose[:, 0]`. *Target: above 0.85.*

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
# **1. A recording has 30 pictures a second on average, and times of its own. Which statement is true?**  (a) Picture 300 is at 10 s. (b) Only
# its pts says when picture 300 is shown. (c) The average is enough if no picture was lost.
#
# <details><summary>Answers</summary>
#
# - (a) Not in general: the average says nothing about the first ten seconds.
# - (b) **Right.**
# - (c) No: pictures that come now early, now late keep the average and still have other times.
# </details>

# %% [markdown]
# **2. A face was found in every picture. What follows?**  (a) The points are where the face is. (b) The person was never hidden. (c) MediaPipe
# had an answer for every picture.
#
# <details><summary>Answers</summary>
#
# - (a) No: with the mouth covered, its points were guessed, and the smile was made up.
# - (b) No: half of the face may be hidden.
# - (c) **Right**, and no more than that.
# </details>

# %% [markdown]
# ## What we saw
#
# - Every picture has its own time, and only that counts.
# - Ratios of distances within a face measure expressions without regard to how near somebody sits; learned scores also allow for the pose.
# - Dark and small pictures fail abruptly; blurred and covered ones are completed by invention.
# - What is missing is marked as missing.
#
# ## Limits
#
# - One face, made from one photograph, seen from the front. How points behave when a real head turns to its profile, this clip cannot
#   show: film yourself turning, and look at which points wander.
# - Depth (`z`) is a guess of the network from a single picture; we have not used it.
#
# ## References
#
# - Kartynnik et al. 2019, [Real-time facial surface geometry](https://arxiv.org/abs/1907.06724): the face's points.
# - Bazarevsky et al. 2020, [BlazePose](https://arxiv.org/abs/2006.10204): the body's points.
# - Buolamwini and Gebru 2018, [Gender shades](https://proceedings.mlr.press/v81/buolamwini18a.html): whom face analysis fails.
# - ITU-R 1998, BT.1359: when people notice that sound and picture part.
#
# ## Next
#
# The points become named curves that a music model can follow, and that do not depend on who sits there:
# [02_controls](02_controls.ipynb).
