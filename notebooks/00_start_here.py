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
# Somebody nods, sways and smiles in front of a camera. A music model watches and plays along. Here you make such music,
# look at what the model saw of the person, and change one thing.
#
# **Time:** about half a minute of computing on two CPU cores, 20 minutes with reading and listening. No GPU is needed; one
# would hardly help with so small a model.
#
# **By the end you can**
#
# - *make* music for a video in one line of Python,
# - *name* the steps from a video's pictures to sound,
# - *read* movements and music on one time axis,
# - *change* one knob at a time, and say what it did,
# - *judge* what a single piece of music can show, and what it cannot.
#
# **You need** Python with functions and arrays, nothing of music theory, and headphones. How to install is in the
# [README](../README.md#try-it); started with `make lab`, everything is there.
#
# **Privacy:** the video is read and the music is made on the machine that runs this notebook (in Colab, Google's). Nothing of either
# is sent anywhere else.

# %%
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Audio, Video

import expotion_lite as el
from expotion_lite import example_clip, plots
from expotion_lite.course import check

# %% [markdown]
# ## 1. Somebody moves

# %%
video = example_clip()  # later: the path of your own, such as "me.mp4"
Video(video, embed=True, width=320)

# %%
facts = el.probe(video)
print(f"{facts.duration_s:.1f} s, {facts.frames} frames of {facts.width} x {facts.height} pixels")

# %% [markdown]
# Nobody was filmed for this. It is NASA's public-domain portrait of the astronaut Eileen Collins, warped by a program so
# that she nods on every beat of some music at 100 beats a minute. She never made these movements, and you cannot hear that
# music.
#
# **Predict:** how many nods are there in these 10 seconds? Write your number down; section 4 counts.

# %% [markdown]
# ## 2. Music for her
#
# **Predict:** of what you are about to hear, what will come from the words, and what from her movements?

# %%
prompt = "energetic rock with guitar, bass and drums"
take = el.generate(video, prompt, output="out/start.mp4", overwrite=True)
Video("out/start.mp4", embed=True, width=320)

# %% [markdown]
# **Explain.** Four things happened:
#
# 1. **Landmarks:** points on the face and the upper body were found in every frame.
# 2. **Controls:** these became named curves, such as `head_pitch` or `smile`, 50 values a second.
# 3. **Codes:** a music model wrote 50 small groups of numbers a second, one after the other, led by the words and by the
#    curves. Words are to set style, instruments and mood; movements, when things happen and how strongly.
# 4. **Sound:** a decoder turned the codes into audio, and the audio went under the video.
#
# The model is *nano*. It has sixteen million parameters and comes with the library. It has never heard a recording, only
# short pieces by a *procedural band*, which is a program; so what you heard is short, simple and rough. Nano is a miniature
# of MusicGen, a published model that makes music from words, and the same code runs both.

# %% [markdown]
# ## 3. What the computer saw

# %%
figure = plots.plot_landmark_strip(video, take.landmarks, 3)

# %% [markdown]
# **Look:** the outline of the face and the nose are light blue, the brows yellow, the eyes green, the lips red-orange.
# MediaPipe, a library of Google's, finds the points. A pink line joins what it takes for the shoulders, here on the ring of
# the suit. The arms are out of the picture; it guesses where they are, but also says how visible each point is: the doubtful
# ones are not drawn, and count as missing from here on.

# %%
print("face     ", take.landmarks.face.shape, "frames, points, x y z")
print("smile ...", take.landmarks.blendshapes.shape, "frames, expressions, each with a score")
print("body     ", take.landmarks.body.shape, "frames, points, x y z and visibility")

# %% [markdown]
# The same on the moving picture, with the music. Follow one point with your eyes: is it ever wrong, and does it tremble?

# %%
sound = {"audio": take.audio, "sample_rate": take.sample_rate}
plots.overlay_video(video, take.landmarks, "out/seen.mp4", overwrite=True, **sound)
Video("out/seen.mp4", embed=True, width=480)

# %% [markdown]
# ## 4. From points to controls
#
# The music model never sees the points. It sees curves that mean something, smoothed, and scaled so that most of what *this*
# person did lies between -1 and 1. Sitting nearer to the camera changes nothing.

# %%
ax = plots.plot_controls(take.controls)
print(len(take.controls.channels), "channels in all, some of them here")

# %% [markdown]
# **Look:** `head pitch` goes up when the chin goes down. `pulse` has a bump where the liveliest movement of the time turns; here
# that is the nod, at its lowest point. `motion energy` is how much moves. Find the moment when the brows go up highest, then find it
# in the video.
#
# Now count the bumps, and compare with your prediction.

# %%
nods = plots.pulse_times(take.controls)
print(len(nods), "nods, one every", round(float(np.median(np.diff(nods))), 2), "s")

# %% [markdown]
# **Explain.** 100 beats a minute are one every 60 / 100 = 0.6 s, and 10 / 0.6 is 16.7: sixteen or seventeen, depending on
# where the clip begins. The last nod of this one is cut off by the end, and not counted.

# %% [markdown]
# ## 5. One time axis
#
# **Predict:** the dotted lines will mark the bumps of her pulse. If the music follows them, where do new notes begin? And if it
# follows how much she moves, where does it grow louder?

# %%
figure = plots.plot_take(take)

# %% [markdown]
# **Look** from top to bottom. *Onset strength* is high where something new begins to sound. The *spectrogram* shows which
# frequencies sound: low ones at the bottom, spaced as the ear hears them (the *mel scale*), loud ones bright; a drum is a thin
# upright line, a held note a level one.
#
# - Go from dotted line to dotted line: does something begin there, or close by?
# - From 4 s on she moves more (`motion energy`). Does the spectrogram change?
#
# Do not expect a peak on every line and none between: music has notes between the beats too, and nano makes mistakes.

# %%
before, after = np.split(take.audio, [4 * take.sample_rate])
print("loudness (root mean square) before 4 s", round(before.std(), 3), "and after", round(after.std(), 3))

# %% [markdown]
# **Explain.** Louder after 4 s may be her doing, or a piece that grows anyhow; peaks on the lines may be luck. The next section
# looks for what would tell. Over many takes, *when* is followed far better than *how strongly*.

# %% [markdown]
# ## 6. Change one thing
#
# The same words, the same seed for everything that is left to chance, but the model may not look at her:
# `visual_guidance=0`. (The take above had 4.5, the default; `guidance` is how strongly the words count, 2 by default.)
#
# **Predict:** what stays, what changes?

# %%
change = {"visual_guidance": 0.0}  # then try {"prompt": "calm piano ballad"}, {"seed": 1} or {"guidance": 6.0}
other = el.generate(**{"video": video, "prompt": prompt, **change})
Audio(other.audio, rate=other.sample_rate)

# %% [markdown]
# And the first one again:

# %%
Audio(take.audio, rate=take.sample_rate)

# %%
figure, axes = plt.subplots(2, 1, sharex=True, sharey=True)
for ax, each, name in [(axes[0], take, "first take"), (axes[1], other, f"changed: {change}")]:
    plots.plot_onsets(each.audio, each.sample_rate, marks=nods, ax=ax)
    ax.set_title(name)
    ax.label_outer()

# %% [markdown]
# Eyes find patterns in anything, so let a number look as well: the correlation of the onset strength with her pulse, at the
# best shift of up to 0.1 s, because people nod a little early or late. A number alone says little, because any music with a beat
# fits anybody's nods a little. So the same music is also held against twenty **strangers**, synthetic people who moved to
# other music. Such a comparison is called a *control experiment*, which has nothing to do with the curves called controls.

# %%
from expotion_lite import metrics
from expotion_lite.data import synthetic_pair

strangers = [synthetic_pair(n, n, facts.duration_s)[1] for n in range(20)]


# %%
def fit(take, controls):
    """How well the beginnings of the take's notes fit the turns of somebody's motion, -1 to 1."""
    onsets = metrics.onset_strength(take.audio, take.sample_rate)
    return metrics.onset_motion_correlation(onsets, controls["pulse"], max_lag_s=0.1)


# %%
figure, ax = plt.subplots(figsize=(8, 2.2))
ax.set(yticks=[0, 1], yticklabels=["changed", "first take"], ylim=(-0.5, 1.5))
ax.set(title="diamond: her, dots: strangers", xlabel="correlation of onset strength with pulse")
for row, each in enumerate([other, take]):
    ax.plot([fit(each, person) for person in strangers], [row] * 20, "o", color="0.6")
    ax.plot(fit(each, take.controls), row, "D", color="C3", markersize=9)

# %% [markdown]
# **Explain.** A diamond to the right of the grey dots says: this music fits her better than it fits others. If that holds
# for the first take and not for the one that could not see her, this pair speaks for seeing. One pair can be luck, good or
# bad. For a second pair, run the section with `change = {"seed": 1}`, then with `{"seed": 1, "visual_guidance": 0.0}`, and note the row
# *changed* each time: does it say the same? What holds over many people and songs is in the
# [README](../README.md#what-to-expect).

# %% [markdown]
# ## Exercises
#
# In each, put your answer in the place of the dots, with as many lines before it as you like; `check` says whether the target
# is reached; an `AssertionError` only means *not yet*. The other lessons do it the same way.
#
# **1. The eyebrows.** At which second are her brows highest (`take.controls["brows_up"]`, `take.controls.times`)? Show
# that moment with `plots.plot_landmark_strip(video, take.landmarks, [...])`. *Target: between 1.5 and 1.9 s.*

# %%
highest = ...  # in seconds

check(highest, lambda: 1.5 < highest < 1.9)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# highest = take.controls.times[np.argmax(take.controls["brows_up"])]
# figure = plots.plot_landmark_strip(video, take.landmarks, [highest - 0.6, highest])
# ```
#
# The curve is smoothed, so its highest point is the middle of the raise and not a single frame.
# </details>

# %% [markdown]
# **2. The livelier part.** How many times larger is the mean `motion_energy` after 4 s than before? *Target: between 1.5
# and 3.*

# %%
ratio = ...  # after 4 s / before

check(ratio, lambda: 1.5 < ratio < 3)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# later = take.controls.times >= 4
# energy = take.controls["motion_energy"]
# ratio = energy[later].mean() / energy[~later].mean()
# print(ratio)
# ```
# </details>

# %% [markdown]
# **3. Chance.** Make the take again with the same settings, and once with `seed=1`. Which share of its codes (`.codes`)
# equals the first take's? *Target: 1.0 for the same seed, less than half for the other.*

# %%
equal = ...  # two shares: for seed 0 again, for seed 1

check(equal, lambda: equal[0] == 1 and equal[1] < 0.5)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# equal = [np.mean(el.generate(video, prompt, seed=seed).codes == take.codes) for seed in (0, 1)]
# print(equal)
# ```
#
# The seed fixes every random draw. Another machine may round differently, and then one different draw changes all that
# come after it.
# </details>

# %% [markdown]
# ## Quiz
#
# **1. Every nod has an onset. What follows?**  (a) The music follows her. (b) Nothing yet. (c) The music has 100 beats a
# minute.
#
# <details><summary>Answers</summary>
#
# - (a) Not yet: music with very many onsets has one at every nod of everybody. That is what the strangers are for.
# - (b) **Right.** It takes the comparison with others, over many takes.
# - (c) Not necessarily: onsets twice or four times as fast meet every nod as well.
# </details>

# %% [markdown]
# **2. What does `visual_guidance=0` do?**  (a) It makes silence. (b) It makes music from the words alone. (c) It makes the
# music do the opposite of the movements.
#
# <details><summary>Answers</summary>
#
# - (a) No: the words still lead, as you heard.
# - (b) **Right.** The change that seeing her makes is multiplied by 0. With 1 it counts as in training, with more it is
#   exaggerated.
# - (c) No: that would take a negative weight, which is refused.
# </details>

# %% [markdown]
# ## What we saw
#
# - A video becomes landmarks, landmarks become controls, controls and words become codes, codes become sound.
# - Controls, onsets and spectrogram on one time axis show whether music and movement meet.
# - Comparing needs one change at a time, the same seed, and other people to compare with.
#
# ## Limits
#
# - Nano is small, has heard one procedural band only, and knows few words, all English: fifteen styles such as rock, techno, waltz,
#   reggae and piano ballad; fast, slow, happy, sad and the like, and the names of eighteen instruments.
# - It learned to watch from synthetic people. Large, regular movements steer it best, fine expressions little.
# - MediaPipe finds faces of some people, and in some light, better than of others. Who is not found cannot play.
#
# ## References
#
# - Izzati, Li and Xia 2025, [Expotion](https://arxiv.org/abs/2507.04955): the idea that this library teaches.
# - Copet et al. 2023, [Simple and controllable music generation](https://arxiv.org/abs/2306.05284): MusicGen.
# - Kartynnik et al. 2019, [Real-time facial surface geometry](https://arxiv.org/abs/1907.06724): the face's points.
# - Brooks et al. 2023, [InstructPix2Pix](https://arxiv.org/abs/2211.09800): guidance by two conditions.
#
# ## Next
#
# How the points are found, and when not: [01_landmarks](01_landmarks.ipynb).
#
# | lessons | what they are about |
# |---|---|
# | 01, 02, 03 | the person: points, what is made of them, smoothing and time |
# | 04, 05, 06 | the model: inside MusicGen, what it learns from, how it learns to watch |
# | 07, 08 | the music: play it, then prove that it follows |
# | 09 | all of it with the real MusicGen |
#
# [The map of the course](../README.md#the-course) says what is built by hand in each, and how long it takes.
#
# Film yourself for ten seconds (face and shoulders, light from the front, large nods), put the file beside this notebook,
# set `video = "me.mp4"` in section 1 and run everything again; the numbers in the text and the exercises' targets belong to the
# bundled clip. Film nobody who has not agreed. What you made lies in `notebooks/out/`. Without a notebook, in this folder and
# the activated environment: `expotion-lite generate me.mp4 --prompt "slow sad piano ballad" -o mine.mp4`.
