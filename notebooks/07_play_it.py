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
# # Play it: the model as an instrument
#
# So far you asked for music and then waited for it. An instrument answers while you play. You can change one
# thing at a time, and repeat what you liked. Here you turn the model into one. At the end the *studio* has
# buttons for all of this, and you record yourself.
#
# **Time:** a minute of computing on two CPU cores, 50 minutes with reading, playing and listening. So small a
# model needs no GPU. Large ones need one to play without gaps.
#
# **By the end you can**
#
# - *draw* a gesture and have it played, without a camera,
# - *predict* when streamed sound has gaps, and *prevent* them,
# - *change* one knob, group or curve, *say* what stayed fixed, and *compare* takes without being misled by loudness,
# - *foresee* a beat with a phase-locked loop, and *say* what that can and cannot do for music that is played live,
# - *keep* a take so that somebody else can make it again.
#
# **You need** [02_controls](02_controls.ipynb), guidance and the delay pattern from
# [04](04_inside_musicgen.ipynb), headphones, and for the last section a webcam, if you have one.

# %%
import time
from dataclasses import replace

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Audio, Video, display

import expotion_lite as el
from expotion_lite.controls import GROUPS, Steering, beats_curve, group_of, with_events
from expotion_lite.course import check
from expotion_lite.studio import Session, match_loudness

# %% [markdown]
# ## 1. A gesture without a camera
#
# A curve says how far down a head is, from 0 to 1. At ninety nods a minute, it has a bump every two thirds of
# a second. A *session* makes a synthetic person who follows the curve. From her landmarks on, she is treated
# like a filmed person.

# %%
duration_s, bpm = 6.0, 90
moments = np.linspace(0, duration_s, 300)
beats = np.arange(30 / bpm, duration_s, 60 / bpm)  # the first after half a beat
bumps = np.exp(-0.5 * ((moments[:, None] - beats) / 0.05) ** 2)
curve = bumps.max(axis=1)
assert np.allclose(curve, beats_curve(bpm, duration_s, 300), atol=0.01)

# %%
session = Session()
nodder = session.draw(curve.tolist(), duration_s, movement="nod")
Video(nodder.video, embed=True, width=320)

# %% [markdown]
# **Predict:** your bumps are a tenth of a second wide. No head nods so quickly. What will `head_pitch` look
# like?

# %%
channels = ["event", "activity", "head_pitch", "head_pitch_velocity", "smile"]
ax = el.plots.plot_controls(nodder.controls, channels)

# %% [markdown]
# **Look:** the bumps are rounder, because the controls are smoothed (03). `event` has one peak for each nod.
#
# ## 2. Sound before it is finished
#
# Why wait for the last frame? A stretch of sound can be played as soon as nothing later changes it.
#
# **Predict:** the music comes in chunks of half a second, 25 frames. So that they meet without a click, the
# codec decodes five frames beyond each and discards them. The delay pattern adds more steps. After how many
# steps of the model can the first chunk be heard?

# %%
musicgen = session.pipeline().musicgen  # loads the model before the clock starts
prompt, arrived, chunks = "energetic rock with guitar, bass and drums", [], []


def on_sound(chunk):
    """Keep a chunk of the music, (N,) float32, and the time when it came."""
    arrived.append(time.monotonic() - start)
    chunks.append(chunk)


start = time.monotonic()
kept = session.generate(nodder, prompt, on_sound=on_sound)

# %%
rate = musicgen.sample_rate
print(f"first sound after {arrived[0]:.2f} s, all after {arrived[-1]:.2f} s")
print("seconds in each chunk:", [round(len(chunk) / rate, 2) for chunk in chunks])
assert sum(map(len, chunks)) == len(kept.take.audio)
Audio(np.concatenate(chunks), rate=rate)

# %% [markdown]
# **Explain.** After 25 + 5 + 3 = 33 steps. The delay pattern adds one step less than there are codebooks, and
# there are four.
#
# The player must not run out of sound. When the first chunk has come, it waits for a moment, its *lead*. Then
# each chunk starts when the one before ends. If a chunk is late, there is a gap. When it comes, the player
# waits for its lead again.


# %%
def gaps(arrivals_s, length_s, lead_s):
    """Return how often a player runs out of sound.

    Chunks of `length_s` seconds arrive at these times.
    """
    ends, count = arrivals_s[0] + lead_s, 0
    for arrival_s in arrivals_s:
        if arrival_s > ends:
            ends, count = arrival_s + lead_s, count + 1
        ends += length_s
    return count


print("gaps in what you just made:", gaps(arrived, 0.5, 0.15))

# %% [markdown]
# **Predict:** a larger model writes 40 frames a second, but 50 are needed. Is a lead of half a second enough?


# %%
def plot_stream(frames_a_second=40, lead_s=0.5):
    """Plot how much music is made, and how much is played, for ten seconds of music."""
    arrivals = np.arange(1, 21) * 25 / frames_a_second
    figure, ax = plt.subplots(figsize=(8, 2.8))
    ax.step([0, *arrivals], [0, *np.arange(1, 21) * 0.5], where="post", label="made")
    played_at = arrivals[0] + lead_s + np.array([0, 10])
    ax.plot(played_at, [0, 10], "--", label="played, without gaps")
    ax.set(xlabel="time (s)", ylabel="music (s)")
    ax.set_title(f"gaps: {gaps(arrivals, 0.5, lead_s)}")
    figure.legend(loc="outside right center")
    plt.show()


plot_stream()

# %%
speed = widgets.IntSlider(value=40, min=20, max=120, step=5, description="frames/s")
_ = widgets.interact(plot_stream, frames_a_second=speed, lead_s=(0.0, 6.0, 0.25))

# %% [markdown]
# **Look** where the dashed line is above the steps: the player needs music that does not exist yet. If the steps
# rise more slowly than the dashed line, a lead only delays the first gap. Exercise 3 asks how long it must
# be.
#
# ## 3. One knob, one seed, one change
#
# The seed fixes all random draws. So only your change makes two takes differ. But one code that differs
# changes all codes after it. So *how* they differ may be luck.
#
# **Predict:** with a visual guidance of 0 the model does not see her. Does the music still fit her nods a
# little?


# %%
def fit(take, controls):
    """Return how well note onsets correlate with a person's events, -1 to 1.

    It is the best correlation over shifts of up to 0.3 s.
    """
    onsets = el.metrics.onset_strength(take.audio, take.sample_rate)
    return el.metrics.onset_motion_correlation(onsets, controls["event"])


blind = session.generate(nodder, prompt, settings=el.Settings(visual_guidance=0.0))
print(f"sees her: {fit(kept.take, nodder.controls):.2f}")
print(f"does not: {fit(blind.take, nodder.controls):.2f}")
Audio(blind.take.audio, rate=rate)

# %% [markdown]
# **Explain.** The second number is seldom 0. Music has a beat of its own, two regular things agree now and
# then, and the best of many shifts counts. And this is only one take with one seed.
#
# ## 4. Weights, and a curve of your own
#
# Steering changes the controls before the model sees them. A weight multiplies a group of channels. Then
# events and activity are found anew (02):

# %%
weights = {"head": 0.5, "expression": 2.0}
factors = [weights.get(group_of(channel), 1.0) for channel in nodder.controls.channels]
weighted = replace(nodder.controls, values=(nodder.controls.values * factors).astype(np.float32))
by_hand = with_events(weighted).values
assert np.array_equal(by_hand, Steering(weights).apply(nodder.controls).values)
print("groups:", ", ".join(GROUPS))

# %% [markdown]
# A drawn curve replaces a channel. Let her head nod at 90 a minute, and draw events at 120.
#
# **Predict:** which does the music follow, the head or the events?

# %%
steering = Steering().draw("event", beats_curve(120, duration_s, 150))
mixed = steering.apply(nodder.controls)
ax = el.plots.plot_controls(mixed, ["event", "head_pitch", "activity"])

# %%
steered = session.generate(nodder, prompt, steering=steering)
print(f"with the events at 120: {fit(steered.take, mixed):.2f}")
print(f"with the nods at 90:    {fit(steered.take, nodder.controls):.2f}")
Audio(steered.take.audio, rate=rate)

# %% [markdown]
# **Explain.** The bundled adapter does not read the head. It reads events, activity and some expressions. So
# only the events can tell it when to play.
#
# There is one more knob: `Steering(beat=0)` takes every gesture as an event, `beat=1` puts events on a steady
# beat. 0.5, the default, decides by how steadily somebody moves.
#
# ## 5. Somebody else's movements
#
# Now the music follows a stranger, and the picture stays. If you cannot tell this take from the first one,
# you have no evidence yet that the first one followed her.

# %%
stranger = session.stranger(7, duration_s)
swapped = session.generate(nodder, prompt, other=stranger)
print("fit to her nods:")
print(f"  music made for her        {fit(kept.take, nodder.controls):.2f}")
print(f"  music made for a stranger {fit(swapped.take, nodder.controls):.2f}")

# %% [markdown]
# Louder music sounds better. So before you compare by ear, bring both takes to one loudness.

# %%
a, b = kept.take.audio, swapped.take.audio
gain_a, gain_b = match_loudness(a, b)
print(f"A {20 * np.log10(gain_a):+.1f} dB, B {20 * np.log10(gain_b):+.1f} dB")
assert max(np.abs(gain_a * a).max(), np.abs(gain_b * b).max()) <= 1  # neither clips

# %%
for letter, sound in [("A", gain_a * a), ("B", gain_b * b)]:
    path = el.mux_audio(nodder.video, sound, rate, f"out/equal_{letter}.mp4", overwrite=True)
    display(Video(str(path), embed=True, width=320))

# %% [markdown]
# ## 6. Live: a beat before it comes
#
# So far she had finished before the music began. Live, music sounds while she moves. It can answer a nod only
# after its *latency*, the time from a movement to its sound:
#
# | what takes time | seconds |
# |---|---|
# | finding her landmarks in a picture | 0.06 |
# | a turn is a turn only when the head has gone back a little | 0.1 |
# | frames are drawn before they are heard: 8 in a chunk, 3 of the delay pattern, 5 of the codec, 6 in reserve | 0.45 |
#
# **Predict:** she nods every two thirds of a second, and each nod is heard 0.65 s late. What does she hear?
#
# **Explain.** A beat that seems right: each sound comes with her next nod, though it belongs to the one before. If
# she changes her tempo, it falls apart. Musicians do not react to each other's beats. They know when the next one
# will come. A *phase-locked loop* knows it, too. It holds a period and the time of one beat. Each turn pulls both
# towards itself by a part of its error.


# %%
def lock(turns):
    """Return the time of the last beat and the period, seconds, of a loop that takes in turns one by one."""
    beat, period = turns[1], turns[1] - turns[0]
    for turn in turns[2:]:
        passed = max(1, round((turn - beat) / period))  # beats since the last turn, 2 if one had no turn
        expected = beat + passed * period
        error = turn - expected
        beat = expected + 0.45 * error
        period = period + 0.2 * error / passed
    return beat, period


# %%
rng = np.random.default_rng(0)
turns = np.cumsum(np.append(0.5, np.linspace(0.69, 0.65, 14))) + rng.normal(0, 0.015, 15)
pulse = el.live.PhaseLockedPulse()
for turn in turns:
    pulse.turn(turn)
beat, period = lock(turns)
assert np.allclose([beat, period], [pulse.beat_s, pulse.period_s])
print(f"next beat: {beat + period - turns[-1]:.2f} s after the last turn; certainty {pulse.certainty:.2f}")

# %% [markdown]
# She goes faster and faster here. **Predict:** is the foreseen beat too early, or too late? And what happens if
# the loop believes each turn completely, with 1 instead of 0.45 and 0.2?

# %%
expected = [sum(lock(turns[:n])) for n in range(3, 15)]
last_interval = [2 * turns[n - 1] - turns[n - 2] for n in range(3, 15)]
figure, ax = plt.subplots(figsize=(8, 2.8))
ax.plot(turns[3:], 1000 * (turns[3:] - expected), "o-", label="loop")
ax.plot(turns[3:], 1000 * (turns[3:] - last_interval), ".--", label="believes the last interval")
ax.axhline(0, color="0.7")
ax.set(xlabel="time (s)", ylabel="turn late by (ms)")
figure.legend(loc="outside right center")
plt.show()

# %% [markdown]
# **Look:** her turns come 15 ms before they are expected, on average, because the loop follows slowly. Who believes
# only the last interval is hardly late, but scatters almost twice as much: it takes every tremble for a new tempo.
#
# Now the engine. It gets her landmarks one by one, and hands out sound that is due. (`el.LiveLandmarks` finds them
# in the pictures of a camera.) Here its clock runs faster than time. When the loop is sure, its beats stand where
# they will be heard. Every other event comes 0.65 s after the movement.

# %%
seconds = 14.0
walker = session.draw(beats_curve(bpm, seconds, 700), seconds, movement="nod")
engine, shown = el.LiveEngine(session.pipeline(), "rock with guitar, bass and drums"), 0


def show(now_s):
    """Show the engine what a camera has seen by now, with landmarks that take 0.06 s."""
    global shown
    while shown < len(walker.landmarks.times) and walker.landmarks.times[shown] < now_s - 0.06:
        engine.see(walker.landmarks.part(shown, shown + 1))
        shown += 1


music = el.live.play_recording(engine, show, seconds)
print(engine.status(seconds))
Audio(music, rate=engine.sample_rate)

# %%
nods = np.arange(30 / bpm, seconds, 60 / bpm)
heard = el.metrics.track_beats(music, engine.sample_rate)
for name, moments_s in [("with her nods", nods), ("half a beat later", nods + 30 / bpm)]:
    later = moments_s[moments_s > 4]
    print(f"beats of the music that agree {name}: F {el.metrics.beat_f_measure(heard[heard > 4], later):.2f}")

# %% [markdown]
# **Explain.** The loop needs three nods before it is sure. Then the music is not late at all: it stands on nods that
# were not made yet. When she stops, it plays a beat or two too many. No loop can foresee a single gesture, so
# that one is always late.
#
# With a camera, run `from expotion_lite.studio import LiveInstrument` and then `LiveInstrument()` in a cell of your
# own, and press *Start*. A slow machine plays with gaps at first; then the player waits a little longer.
#
# ## 7. Keep it
#
# An export has three files: the video, the sound, and a small text file with everything that made the take.
# It names the person, the words, every knob, weight and curve.

# %%
session.export(kept, "out/own", overwrite=True)
again, same = Session().rebuild("out/own.json")
print("the same codes:", same)
assert np.array_equal(again.take.codes, kept.take.codes)

# %% [markdown]
# **Explain.** A new session drew the gesture, computed the controls and made the same choices again. Another
# machine may add numbers in another order. One different choice then changes all that follow, and `same` is
# `False`.
#
# ## 8. The studio
#
# The studio has buttons for these functions, and uses your webcam. It needs a browser: JupyterLab at
# `localhost`, or Colab, which is untried. (In Colab, *Runtime, Interrupt execution* replaces *Cancel*.) VS
# Code gives notebooks no camera; everything else works there. Recordings stay in the folder `recordings` on
# the machine that runs this notebook. For Colab that is Google's.
#
# 1. Record ten seconds: first nod to the clicks, then without them.
# 2. Press *Generate*. Keep the seed, change one knob, press it again. Compare A and B.
# 3. Under *Swap the person*, invite a stranger, and press *Generate* again. Then judge both takes in a *Blind
#    test*: does the stranger's fit you less?

# %%
from expotion_lite.studio import Studio

studio = Studio("recordings")
studio

# %% [markdown]
# ## Exercises
#
# **1. A waltz.** Draw 6 s of nods at 120 a minute, the first at 0.25 s. The first of every three is twice as
# deep as the others. Call the person `waltzer`. *Target: in her `head_pitch`, the deep nods are at least 1.5
# times as high as the others.*

# %%
waltzer = ...  # from session.draw


def height(first):
    """Return the mean height of her head_pitch at nods number first, first + 3, ..."""
    nods = np.arange(0.25, 6, 0.5)[first::3]
    return np.interp(nods, waltzer.controls.times, waltzer.controls["head_pitch"]).mean()


check(waltzer, lambda: height(0) > 1.5 * (height(1) + height(2)) / 2 > 0.15)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# nods = np.arange(0.25, 6, 0.5)
# depths = np.where(np.arange(len(nods)) % 3 == 0, 1.0, 0.5)
# bumps = np.exp(-0.5 * ((moments[:, None] - nods) / 0.1) ** 2)
# waltzer = session.draw((bumps * depths).max(axis=1).tolist(), 6.0)
# ```
# </details>

# %% [markdown]
# **2. Solo.** Write `solo(group)`: it returns a `Steering` that mutes the face and all other parts of the body,
# but not `pulse`, the group of the events. *Target: with `solo("head")`, only channels of these two groups are
# not 0, besides those that say what is missing.*

# %%
solo = ...  # a function of the group


def only_head_is_left():
    controls = solo("head").apply(nodder.controls)
    groups = {group_of(channel) for channel in controls.channels if controls[channel].any()}
    return {"head", "pulse"} <= groups <= {"head", "pulse", None}


check(solo, only_head_is_left)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def solo(group):
#     return Steering({other: 0.0 for other in GROUPS if other not in (group, "pulse")})
# ```
#
# The events are then those of the head alone. If the arms are muted, the channel `arms_missing` is 1: they look
# like arms that are not seen.
# </details>

# %% [markdown]
# **3. A lead that is long enough.** A model writes 40 frames a second. The player gets ten seconds of music,
# in 20 chunks of 25 frames. How many seconds of lead does it need to have no gap? Search with `gaps`, then
# work it out on paper. *Target: both agree within 0.02 s.*

# %%
enough, expected = ..., ...  # seconds: by search, on paper


def is_enough(lead_s):
    return gaps(np.arange(1, 21) * 25 / 40, 0.5, lead_s) == 0


def both_agree():
    shortest = is_enough(enough) and not is_enough(enough - 0.02)
    return shortest and abs(enough - expected) < 0.02


check((enough, expected), both_agree)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# arrivals = np.arange(1, 21) * 25 / 40
# enough = next(lead for lead in np.arange(0, 6, 0.01) if gaps(arrivals, 0.5, lead) == 0)
# expected = 19 * (25 / 40 - 0.5)  # each chunk after the first loses an eighth of a second
# print(round(float(enough), 2), expected)
# ```
#
# The lead grows with the length of the music. A model that is slower than real time cannot play forever.
# </details>

# %% [markdown]
# ## Quiz
#
# **1. Two takes differ in seed and in visual guidance, and the second fits better. What do you know?**  (a)
# Visual guidance helps. (b) The second seed is a good one. (c) Neither: two things were changed.
#
# <details><summary>Answers</summary>
#
# - (a) The seed may be the reason.
# - (b) The guidance may be the reason.
# - (c) **Right**: change one thing, and try more than one seed.
# </details>

# %% [markdown]
# **2. Why are two takes brought to one loudness before they are compared?**  (a) So that neither clips. (b)
# Because people prefer what is louder. (c) Because the model makes everything equally loud.
#
# <details><summary>Answers</summary>
#
# - (a) That is checked, too, but clipping is not what misleads the ear here.
# - (b) **Right**: a difference of a decibel or two is heard as better, not as louder.
# - (c) It does not. That is why it must be done.
# </details>

# %% [markdown]
# ## What we saw
#
# - A drawn curve can replace a filmed person: the model only sees controls.
# - Sound can start after a fraction of a second. It has no gaps only if frames are written faster than they
#   are heard.
# - Live music is late, unless it foresees. A phase-locked loop foresees a steady beat, and nothing else.
# - Keep the seed, change one thing, swap the person, match the loudness. Then your ears may judge.
# - A small text file is enough to make a take again.
#
# ## Limits
#
# - Outside of section 6, the model sees the whole gesture before it begins.
# - One take is an anecdote, and you know how each was made: your listening is not blind.
#
# ## References
#
# - Izzati, Li and Xia 2025, [Expotion](https://arxiv.org/abs/2507.04955): the idea that this library teaches.
# - Copet et al. 2023, [Simple and controllable music generation](https://arxiv.org/abs/2306.05284): MusicGen
#   and its delay pattern.
# - Brooks, Holynski and Efros 2023, [InstructPix2Pix](https://arxiv.org/abs/2211.09800): guidance by two
#   conditions.
# - Large and Jones 1999, "The dynamics of attending", Psychological Review 106: people as loops that lock to a beat.
# - `expotion_lite/studio/session.py` and `live_generation.py`, `expotion_lite/controls/steering.py`: what the
#   buttons call. `expotion_lite/live`: the engine of section 6.
#
# ## Next
#
# Does the music really follow, for many people and many songs? [08_does_it_work](08_does_it_work.ipynb)
# measures it.
