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
# # Start here: music for a video in a minute
#
# A person nods, sways and smiles in front of a camera. A music model watches the video and plays along. Here
# you make such music, look at what the model saw of the person, and change one setting.
#
# **Time:** about half a minute of computing on two CPU cores, 20 minutes with reading and listening. No GPU
# is needed. One would hardly help with so small a model.
#
# **By the end you can**
#
# - *make* music for a video in one line of Python,
# - *name* the steps from video frames to sound,
# - *read* movement and music on one time axis,
# - *change* one setting at a time and say what it did,
# - *judge* what a single piece of music can show and what it cannot.
#
# **You need** Python with functions and arrays, headphones, and no music theory. The
# [README](../README.md#try-it) explains how to install. `make lessons` installs everything.
#
# **Privacy:** this notebook reads the video and makes the music on the machine where it runs. In Colab, that
# is Google's machine. Nothing is sent elsewhere.

# %%
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Audio, Video

import expotion_lite as el
from expotion_lite.course import check

# %% [markdown]
# ## 1. A person moves

# %%
video = el.example_clip()  # later: the path of your own video, such as "me.mp4"
Video(video, embed=True, width=320)

# %%
facts = el.probe(video)
print(f"{facts.duration_s:.1f} s, {facts.frames} frames of {facts.width} x {facts.height} pixels")

# %% [markdown]
# Nobody was filmed for this clip. It shows NASA's public-domain portrait of the astronaut Eileen Collins. A
# program warps the portrait so that she nods on every beat of some music at 100 beats a minute. She never
# made these movements. The clip has no sound.
#
# **Predict:** how many nods do these 10 seconds contain? Write your number down. Section 4 counts them.

# %% [markdown]
# ## 2. Music for her
#
# **Predict:** what in the music will come from the words, and what from her movements?

# %%
prompt = "energetic rock with guitar, bass and drums"
take = el.generate(video, prompt, output="out/start.mp4", overwrite=True)
Video("out/start.mp4", embed=True, width=320)

# %% [markdown]
# **Explain.** `take` holds the music and everything that it was made from. Four steps made it:
#
# 1. **Landmarks:** MediaPipe, a library by Google, found points on the face and the upper body in every
#    frame.
# 2. **Controls:** the points became named curves, such as `head_pitch` or `smile`, with 50 values a second.
# 3. **Codes:** a music model wrote 50 small groups of numbers a second, one after the other. The words and
#    the curves steered it. The words should set style, instruments and mood. The movements should set when
#    things happen and how strongly.
# 4. **Sound:** a decoder turned the codes into audio. The audio was put under the video.
#
# The model is called *nano*. It has sixteen million parameters and comes with the library. It has never heard
# a recording. It learned from short pieces by a *procedural band*, a program that composes and plays. So its
# music is short, simple and rough. Nano is a miniature of MusicGen, a published model that makes music from
# words. The same code runs both. All terms are in the [glossary](glossary.md).

# %% [markdown]
# ## 3. What the computer saw

# %%
figure = el.plots.plot_landmark_strip(video, take.landmarks, 3)

# %% [markdown]
# **Look:** the outline of the face and the nose are light blue, the brows yellow, the eyes green, the lips
# red-orange. A pink line joins the points that MediaPipe takes for the shoulders. Here they lie on the ring
# of the suit. The arms are outside the image. MediaPipe guesses where they are, but it also says how visible
# each point is. The library treats doubtful points as missing and does not draw them.

# %%
print("face     ", take.landmarks.face.shape, "frames, points, x y z")
print("smile ...", take.landmarks.blendshapes.shape, "frames, expressions, each with a score")
print("body     ", take.landmarks.body.shape, "frames, points, x y z and visibility")

# %% [markdown]
# Here are the points in motion, with the music. Follow one with your eyes. Is it ever wrong? Does it tremble?

# %%
sound = {"audio": take.audio, "sample_rate": take.sample_rate}
el.plots.overlay_video(video, take.landmarks, "out/seen.mp4", overwrite=True, **sound)
Video("out/seen.mp4", embed=True, width=480)

# %% [markdown]
# ## 4. From points to controls
#
# The music model never sees the points. It sees curves that have a meaning. They are smoothed, and scaled so
# that most of what *this* person did lies between -1 and 1. Sitting nearer to the camera changes nothing.

# %%
ax = el.plots.plot_controls(take.controls)
print(len(take.controls.channels), "channels in all; the figure shows some of them")

# %% [markdown]
# **Look:** `event` has a bump wherever a movement arrives or, if somebody moves steadily, turns. Here that is
# the lowest point of each nod. `activity` shows how fast she moves. The music follows these two. `head pitch`
# rises when the chin goes down. Find the moment when her brows are highest, then find it in the video.
#
# Now count the bumps. Compare with your prediction.

# %%
nods = el.plots.event_times(take.controls)
print(len(nods), "nods, one every", round(float(np.median(np.diff(nods))), 2), "s")

# %% [markdown]
# **Explain.** At 100 beats a minute there is one beat every 60 / 100 = 0.6 s. 10 / 0.6 is 16.7, so ten
# seconds hold sixteen or seventeen nods, depending on where they begin. The last nod of this clip is cut off
# and not counted.

# %% [markdown]
# ## 5. One time axis
#
# **Predict:** dotted lines will mark the events of her movement, here her nods. If the music follows them,
# where do new notes begin? If it follows how much she moves, where does it grow louder?

# %%
figure = el.plots.plot_take(take)

# %% [markdown]
# **Look** from top to bottom. *Onset strength* is high where a new sound begins. The *spectrogram* shows
# which frequencies sound. Low ones are at the bottom, loud ones are bright. The frequency axis is spaced as
# the ear hears it (the *mel scale*). A drum makes a thin vertical line, a held note a horizontal one.
#
# - Go from dotted line to dotted line. Does a sound begin there, or close by?
# - From 4 s on she moves more (`activity`). Does the spectrogram change?
#
# Do not expect a peak on every line and none between. Music also has notes between the beats, and nano makes
# mistakes.

# %%
before, after = np.split(take.audio, [4 * take.sample_rate])
print(f"loudness (root mean square): {before.std():.3f} before 4 s, {after.std():.3f} after")

# %% [markdown]
# **Explain.** The music is louder after 4 s. Her movements may be the reason, or the piece may grow louder
# anyway. Peaks on the lines may be luck. The next section looks for evidence. Over many takes, the music
# follows *when* people move far better than *how strongly*.

# %% [markdown]
# ## 6. Change one thing
#
# The words stay the same. So does the seed, which fixes all random draws. But the model must not look at her:
# `visual_guidance=0`. The take above had 5.5, the default. (`guidance` sets how strongly the words count; its
# default is 3.)
#
# **Predict:** what stays, and what changes?

# %%
# later try {"prompt": "calm piano ballad"}, {"seed": 1} or {"guidance": 6.0}
change = {"visual_guidance": 0.0}
other = el.generate(**{"video": video, "prompt": prompt, **change})
Audio(other.audio, rate=other.sample_rate)

# %% [markdown]
# The first take again:

# %%
Audio(take.audio, rate=take.sample_rate)

# %%
figure, axes = plt.subplots(2, 1, sharex=True, sharey=True)
for ax, each, name in [(axes[0], take, "first take"), (axes[1], other, f"changed: {change}")]:
    el.plots.plot_onsets(each.audio, each.sample_rate, marks=nods, ax=ax)
    ax.set_title(name)
    ax.label_outer()

# %% [markdown]
# Eyes find patterns in anything, so we also compute a number: the correlation of the onset strength with her
# events. People nod a little early or late, so we take the highest correlation over shifts of up to 0.1 s.
# Alone it says little, because music with a beat fits anybody's nods a little. So the same music is also
# compared with twenty **strangers**, synthetic people who moved to other music. Such a comparison is called a
# *control experiment*. It has nothing to do with the curves called controls.

# %%
strangers = [el.data.synthetic_pair(n, n, facts.duration_s)[1] for n in range(20)]


# %%
def fit(take, controls):
    """Return the correlation of the take's onsets with somebody's events, -1 to 1."""
    onsets = el.metrics.onset_strength(take.audio, take.sample_rate)
    return el.metrics.onset_motion_correlation(onsets, controls["event"], max_lag_s=0.1)


# %%
figure, ax = plt.subplots(figsize=(8, 2.2))
ax.set(yticks=[0, 1], yticklabels=["changed", "first take"], ylim=(-0.5, 1.5))
ax.set(title="diamond: her, dots: strangers", xlabel="correlation of onset strength with events")
for row, each in enumerate([other, take]):
    ax.plot([fit(each, person) for person in strangers], [row] * 20, "o", color="0.6")
    ax.plot(fit(each, take.controls), row, "D", color="C3", markersize=9)

# %% [markdown]
# **Explain.** If a diamond lies to the right of the grey dots, the music fits her better than it fits others.
# If that holds for the first take only, this pair is evidence that seeing matters. One pair can be luck, good
# or bad. For a second pair, run this section with `change = {"seed": 1}`, then with
# `{"seed": 1, "visual_guidance": 0.0}`. Does the row *changed* say the same? The
# [README](../README.md#what-to-expect) shows what holds over many people and songs.

# %% [markdown]
# ## Exercises
#
# Replace the dots with your answer. You may add lines before it. `check` tells you whether you reached the
# target. An `AssertionError` only means *not yet*. All lessons work this way.
#
# **1. The eyebrows.** At which second are her brows highest? Use `take.controls["brows_up"]` and
# `take.controls.times`. Show that moment with `el.plots.plot_landmark_strip(video, take.landmarks, [...])`.
# *Target: between 1.5 and 1.9 s.*

# %%
highest = ...  # in seconds

check(highest, lambda: 1.5 < highest < 1.9)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# highest = take.controls.times[np.argmax(take.controls["brows_up"])]
# figure = el.plots.plot_landmark_strip(video, take.landmarks, [highest - 0.6, highest])
# ```
#
# The curve is smoothed, so its highest point is the middle of the raise and not a single frame.
# </details>

# %% [markdown]
# **2. The livelier part.** How many times larger is her mean `activity` after 4 s than before? *Target:
# between 1.5 and 3.*

# %%
ratio = ...  # after 4 s / before

check(ratio, lambda: 1.5 < ratio < 3)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# later = take.controls.times >= 4
# activity = take.controls["activity"]
# ratio = activity[later].mean() / activity[~later].mean()
# print(ratio)
# ```
# </details>

# %% [markdown]
# **3. Chance.** Make the take again with the same settings, then once with `seed=1`. What share of each new
# take's codes (`.codes`) equals those of the first take? *Target: 1.0 for the same seed, less than half for
# the other.*

# %%
equal = ...  # two shares: for seed 0 again, for seed 1

check(equal, lambda: equal[0] == 1 and equal[1] < 0.5)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# again = [el.generate(video, prompt, seed=seed) for seed in (0, 1)]
# equal = [np.mean(each.codes == take.codes) for each in again]
# print(equal)
# ```
#
# The seed fixes every random draw. Another machine may round differently. Then one draw differs, and that
# changes all later draws.
# </details>

# %% [markdown]
# ## Quiz
#
# **1. Every nod has an onset. What follows?**  (a) The music follows her. (b) Nothing yet. (c) The music has
# 100 beats a minute.
#
# <details><summary>Answers</summary>
#
# - (a) Not yet. Music with very many onsets has one at every nod of everybody. That is why we compare with
#   strangers.
# - (b) **Right.** You need the comparison with others, over many takes.
# - (c) Not necessarily. Music at twice or four times that tempo also has an onset at every nod.
# </details>

# %% [markdown]
# **2. What does `visual_guidance=0` do?**  (a) It makes silence. (b) It makes music from the words alone. (c)
# It makes the music do the opposite of the movements.
#
# <details><summary>Answers</summary>
#
# - (a) No. The words still count, as you heard.
# - (b) **Right.** Seeing her changes what the model would write, and 0 removes this change. With 1 it counts
#   as in training. With more it is exaggerated.
# - (c) No. That would take a negative number, which the library refuses.
# </details>

# %% [markdown]
# ## What we saw
#
# - A video becomes landmarks, landmarks become controls, controls and words become codes, codes become sound.
# - Controls, onsets and spectrogram on one time axis show whether music and movement meet.
# - A comparison needs one change at a time, the same seed, and other people to compare with.
#
# ## Limits
#
# - Nano is small and has heard one procedural band only. It knows few words, all English: fifteen styles such
#   as rock, techno, waltz, reggae and piano ballad; words such as fast, slow, happy and sad; and eighteen
#   instruments.
# - It learned to watch from synthetic people. Large, regular movements steer it best. Fine expressions steer
#   it little.
# - MediaPipe finds some people's faces better than others', and light matters. A person who is not found
#   cannot play.
#
# ## References
#
# - Izzati, Li and Xia 2025, [Expotion](https://arxiv.org/abs/2507.04955): the idea that this library teaches.
# - Copet et al. 2023, [Simple and controllable music generation](https://arxiv.org/abs/2306.05284): MusicGen.
# - Kartynnik et al. 2019, [Real-time facial surface geometry](https://arxiv.org/abs/1907.06724): the face's
#   points.
# - Brooks et al. 2023, [InstructPix2Pix](https://arxiv.org/abs/2211.09800): guidance by two conditions.
#
# ## Next
#
# How the points are found, and when that fails: [01_landmarks](01_landmarks.ipynb).
#
# | lessons | topic |
# |---|---|
# | 01, 02, 03 | the person: points, controls, smoothing and time |
# | 04, 05, 06 | the model: inside MusicGen, its training data, how it learns to watch |
# | 07, 08 | the music: play it, then prove that it follows |
# | 09 | all of it with the real MusicGen |
#
# [The map of the course](../README.md#the-course) says what you build by hand in each lesson, and how long it
# takes.
#
# Film yourself for ten seconds: face and shoulders, light from the front, large nods. Put the file beside
# this notebook, set `video = "me.mp4"` in section 1 and run everything again. Numbers and targets in the text
# belong to the bundled clip. Film only people who have agreed. Your results are in `notebooks/out/`.
#
# Without a notebook, in this folder and the activated environment:
# `expotion-lite generate me.mp4 --prompt "slow sad piano ballad" -o mine.mp4`.
