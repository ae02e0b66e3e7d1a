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
# # Data: what an adapter learns from
#
# An *adapter* is the small part that lets a frozen MusicGen follow a person; the next lesson builds one. It
# learns from examples: music, a person's movement to it, and words. What the examples contain decides what it
# learns. Which examples you *hold out* for testing decides whether you notice a mistake. Here a model that
# understands nothing gets a perfect score, until the data are split well.
#
# **Time:** under a minute of computing on two CPU cores, 35 minutes with reading. A GPU would help little.
#
# **By the end you can**
#
# - *assemble* an example by hand: codes, controls, caption,
# - *measure* how late a person moves, and *explain* why the measurement itself is late,
# - *decide* what captions should leave out,
# - *split* recordings without a leak, and *show* how much a leak improves a score,
# - *write* a cache key that changes whenever it should.
#
# **You need** numpy, least squares, correlation, [02_controls](02_controls.ipynb), and what codes are, from
# [04_inside_musicgen](04_inside_musicgen.ipynb).

# %%
import hashlib
import json
import tempfile
import time
from itertools import islice, product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Audio

# %%
import expotion_lite as el
from expotion_lite.course import check
from expotion_lite.synthetic import band, draw_performer, perform, to_landmarks

# %% [markdown]
# ## 1. One example
#
# A procedural band composes a song from a seed. A synthetic person moves to it. So the truth is known
# exactly. One example lasts the model's `window`, 10 s. First make one by hand. The library adds a caption
# and numbers for song and performer.

# %%
musicgen = el.load()
frame_rate, seconds = musicgen.frame_rate, musicgen.window / musicgen.frame_rate
song, performer = 4242, 7
piece, person = band.compose(song, seconds), draw_performer(performer)
landmarks = to_landmarks(perform(piece, person), person)
controls = el.extract_controls(landmarks, frame_rate=frame_rate, duration_s=seconds)
audio = band.play(piece, musicgen.sample_rate)
codes = el.musicgen.encode(musicgen, torch.from_numpy(audio)[None])[0].numpy()

# %%
example = el.data.synthetic_examples(musicgen, 1, song, performer)
assert np.array_equal(example.codes[0], codes)
assert np.array_equal(example.controls[0], controls.values)
print(f'"{example.captions[0]}"')
print(f"song {example.songs[0]}, performer {example.performers[0]}")
Audio(audio, rate=musicgen.sample_rate)

# %% [markdown]
# **Predict:** dotted lines will mark the beats. Will the person's pulse come before them, on them, or after
# them?

# %%
figure, axes = plt.subplots(3, 1, figsize=(8, 5.4), sharex=True)
energy_times = (np.arange(len(piece.energy)) + 0.5) / 50
axes[0].fill_between(energy_times, piece.energy, color="C5", alpha=0.5)
axes[1].plot(controls.times, controls["pulse"], color="C3", label="pulse")
axes[1].plot(controls.times, controls["motion_energy"], color="C2", label="motion energy")
extent = (0, seconds, len(codes) - 0.5, -0.5)
axes[2].imshow(codes, aspect="auto", interpolation="nearest", extent=extent)
axes[0].set(ylabel="band's energy", ylim=(0, 1.1))
axes[1].set(ylabel="person\n(own range)", ylim=(0, 1.1))
axes[2].set(ylabel="codebook", yticks=range(len(codes)), xlabel="time (s)", xlim=(0, seconds))
for ax, beat in product(axes[:2], piece.beats):
    ax.axvline(beat, color="0.4", linestyle=":", linewidth=1)
_ = figure.legend(*axes[1].get_legend_handles_labels(), loc="outside upper center", ncols=2)

# %% [markdown]
# **Look** along a dotted line: the pulse has a bump at the beat or a little later, where the movement turns.
# Where the band plays with more energy, the person roughly moves more. The model must predict the codes. It
# may look at the curves.

# %% [markdown]
# ## 2. Two people, one piece
#
# Each synthetic person has habits: which part of the body *leads*, how large the movements are, and how long
# after the beat they come. A negative *delay* is early.
#
# **Predict:** another person moves to the same music. Which of the four curves will differ?


# %%
def plot_person(performer):
    """Plot the leading movements of a person to the piece, and the pulse. Dotted: the beats."""
    person = draw_performer(performer)
    moves = el.data.synthetic_pair(song, performer, seconds, frame_rate)[1]
    channels = ["head_pitch", "shoulders_y", "right_wrist_y", "pulse"]
    ax = el.plots.plot_controls(moves, channels)
    for beat in piece.beats:
        ax.axvline(beat, color="0.4", linestyle=":", linewidth=1)
    size, delay_ms = person.nod_deg, 1000 * person.lateness_s
    ax.set_title(f"{person.lead} leads, nods of {size:.0f} degrees, drawn delay {delay_ms:.0f} ms")
    plt.show()


# %%
plot_person(7)
plot_person(12)

# %% [markdown]
# **Look:** the titles tell what was drawn. All four curves differ; the beats do not.
#
# How late is a person? Put a bump on each beat, shift all bumps along the pulse, and keep the shift that
# correlates best.
#
# **Predict:** people are drawn with delays from -30 to 60 ms. Will the measurement be right on average? Will
# longer smoothing change it, although the filter has no delay ([03](03_smoothing_and_alignment.ipynb))?


# %%
def delay_s(controls):
    """Return the shift of the beats, in seconds, that correlates best with the pulse."""
    shifts, correlations = np.arange(-0.15, 0.2, 0.005), []
    for shift in shifts:
        distances = np.subtract.outer(controls.times - shift, piece.beats)
        bumps = np.exp(-0.5 * (distances / 0.05) ** 2).max(axis=1)
        correlations.append(np.corrcoef(bumps, controls["pulse"])[0, 1])
    return shifts[np.argmax(correlations)]


# %%
people = [draw_performer(seed) for seed in range(40)]
people = [person for person in people if not person.offbeat]  # nobody who moves between the beats
drawn = 1000 * np.array([person.lateness_s for person in people])  # ms
leads = np.array([person.lead for person in people])

# %%
all_landmarks = [to_landmarks(perform(piece, person), person) for person in people]
measured = {}
for window_s in (0.3, 0.6):
    options = {"frame_rate": frame_rate, "duration_s": seconds, "window_s": window_s}
    moves = [el.extract_controls(landmarks, **options) for landmarks in all_landmarks]
    measured[window_s] = 1000 * np.array([delay_s(each) for each in moves])
    print(f"smoothed over {window_s} s, measured minus drawn delay (median):")
    for lead in ("nod", "bounce", "sway"):
        print(f"  {lead}: {np.median((measured[window_s] - drawn)[leads == lead]):.0f} ms")

# %%
figure, ax = plt.subplots(figsize=(6, 3.2))
ax.axline((0, 0), slope=1, color="0.7")
for lead, mark in zip(("nod", "bounce", "conduct", "sway", "tap"), "osD^v", strict=True):
    ax.plot(drawn[leads == lead], measured[0.3][leads == lead], mark, markersize=6, label=lead)
ax.set(xlabel="drawn delay (ms)", ylabel="measured delay (ms)")
_ = figure.legend(loc="outside right center")
assert np.corrcoef(drawn, measured[0.3])[0, 1] > 0.8

# %% [markdown]
# **Explain.** People with a longer delay are measured later. On the line, both delays are equal. Nods lie
# above it, sways near it, and longer smoothing raises the nods further. The reason is the shape: a nod falls
# quickly and comes back slowly, and averaging moves its turning point towards the slow side. "No delay" holds
# for symmetric movements.
#
# Training uses controls that are late in the same way. But nothing tells the model the delay of a new person.
# So no adapter can place a beat more exactly than people keep it.

# %% [markdown]
# ## 3. How much should a caption tell?
#
# A caption that tells the tempo is correct. So why do most captions leave it out? The model has two sources
# for the tempo, the caption and the person, and learns to trust the more exact one. If the caption always
# tells it, the person is never needed.
#
# So only 30 % of the captions may tell the tempo, and 25 % the mood. 80 % tell the key, but not its mode
# (major or minor) where the mood is left out. The wording varies, so that the model learns words, not one
# sentence.

# %%
rng = np.random.default_rng(0)
for tempo in (True, True, True, False, False, False):
    rule = "may tell the tempo:" if tempo else "may not:"
    print(f"{rule:20}", band.describe(piece, rng, tempo=tempo))

# %% [markdown]
# The smallest such model has two weights:
#
# *tempo = w(words) · tempo in the caption + w(person) · tempo of the movement*
#
# All tempos are differences from the mean. The caption's is exact, or 0 where it is left out. The movement's
# is 60 / the median time between pulses. It is rough: some people move on every second beat. Least squares
# finds the weights from 80 songs.
#
# **Predict:** *all* 80 captions tell the tempo. What are the weights? Then 40 new captions do *not* tell it.
# How well does the model follow the person?

# %%
pairs = [el.data.synthetic_pair(7000 + k, 7000 + k, seconds, frame_rate) for k in range(120)]
true_tempo = np.array([piece.tempo_bpm for piece, _ in pairs])
intervals = [np.median(np.diff(el.plots.event_times(moves, channel="pulse"))) for _, moves in pairs]
seen_tempo = 60 / np.array(intervals)
true_tempo, seen_tempo = (tempo - tempo[:80].mean() for tempo in (true_tempo, seen_tempo))


# %%
def learn(share, seed):
    """Fit the model when this share of captions tells the tempo.

    Returns both weights, and the error (bpm) on new songs whose captions do not tell it.
    """
    told = np.random.default_rng(seed).random(len(true_tempo)) < share
    inputs = np.stack([true_tempo * told, seen_tempo], axis=1)
    weights = np.linalg.lstsq(inputs[:80], true_tempo[:80])[0]
    return *weights, np.abs(weights[1] * seen_tempo[80:] - true_tempo[80:]).mean()


# %%
shares = np.linspace(0.1, 1, 10)
results = [np.mean([learn(share, seed) for seed in range(20)], axis=0) for share in shares]
words_weight, person_weight, error = np.array(results).T
figure, axes = plt.subplots(1, 2, figsize=(8, 2.8))
axes[0].plot(shares, words_weight, "o-", label="words")
axes[0].plot(shares, person_weight, "s-", label="person")
axes[1].plot(shares, error, "D-", color="C3")
blind_error = np.abs(true_tempo[80:]).mean()
axes[1].axhline(blind_error, color="0.5", linestyle="--", label="always the mean tempo")
for ax, ylabel in zip(axes, ("learned weight", "error (bpm)"), strict=True):
    ax.set(xlabel="share of captions with the tempo", ylabel=ylabel, ylim=(-0.02, None))
_ = figure.legend(loc="outside upper center", ncols=3)
assert abs(person_weight[-1]) < 0.01 < 0.3 < person_weight[2]

# %% [markdown]
# **Explain.** If every caption tells the tempo, the person's weight is 0. Without words, the model then
# answers the mean tempo. At 30 % it relies on the person almost as much as at 10 %. Neural networks also
# prefer the easiest source (Geirhos 2020).

# %% [markdown]
# ## 4. A split that does not leak
#
# A class films six people, and everybody moves to the same five songs. Only who moves to which song matters
# here, so these examples are empty. First hold out six at random:


# %%
def recorded(pairs):
    """Return empty examples for pairs (performer, song)."""
    performers, songs = np.array(pairs).T
    empty = np.zeros((len(pairs), 1, 1))
    return el.data.Examples(empty, empty, ("",) * len(pairs), songs, performers, ("nothing",))


everybody = recorded(list(product(range(6), range(5))))

# %%
order = np.random.default_rng(1).permutation(30)
at_random = everybody.pick(order[6:]), everybody.pick(order[:6])
try:
    el.data.check_split(*at_random)
except el.ExpotionError as error:
    print(error)

# %% [markdown]
# **Predict:** hold out two people and two songs, and train on neither. Of the 30 examples, how many are held
# out, trained on, and dropped? Holding out one song instead of two drops fewer. What can you then no longer
# compare?

# %%
of_two_people = np.isin(everybody.performers, [4, 5])
of_two_songs = np.isin(everybody.songs, [3, 4])
train, held_out = ~of_two_people & ~of_two_songs, of_two_people & of_two_songs
by_hand = everybody.pick(train), everybody.pick(held_out)
el.data.check_split(*by_hand)
found = el.data.split(everybody)
for name, (train, held_out) in {"by hand": by_hand, "library": found}.items():
    dropped = 30 - len(train) - len(held_out)
    print(f"{name}: train {len(train)}, held out {len(held_out)}, dropped {dropped}")

# %%
# hold out p people and s songs, two or more of each, so that four to six examples are held out
sizes = [(p, s) for p in range(2, 6) for s in range(2, 5) if 4 <= p * s <= 6]
most_used = max((6 - p) * (5 - s) + p * s for p, s in sizes)
assert len(found[0]) + len(found[1]) == most_used

# %%
own_songs = recorded([(who, 2 * who + k) for who in range(6) for k in range(2)])
splits = (at_random, by_hand, found, el.data.split(own_songs))
titles = ("random: leaks", "by hand", "library", "library, own songs")
figure, axes = plt.subplots(1, 4, figsize=(8, 3.2), sharey=True, width_ratios=(5, 5, 5, 12))
for ax, title, (train, held_out) in zip(axes, titles, splits, strict=True):
    every = own_songs if ax is axes[3] else everybody
    parts = {"dropped": (every, "0.85"), "train": (train, "C0"), "held out": (held_out, "C1")}
    for name, (part, colour) in parts.items():
        ax.plot(part.songs, part.performers, "s", color=colour, markersize=8, label=name)
    ax.set(title=title, xlabel="song", xticks=range(0, every.songs.max() + 1, 2), xmargin=0.12)
axes[0].set_ylabel("performer")
_ = figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)

# %% [markdown]
# **Look** along rows and columns. In a clean split, none has both colours. If everybody moves to the same
# songs, the best split with two people and two songs drops 14 of 30. With one song it drops 12, but then
# another person's video is always of the same song. If everybody brings their own songs, nothing is lost.
# Plan the split *before* filming.

# %% [markdown]
# ## 5. What leaks, and why it improves the score
#
# Ten people move to all of twelve songs. The task: name the music's *key* from the movement. This is
# impossible: no nod tells A from B flat. Our model is a *memoriser*. It finds the training example with the
# most similar pulse, and answers with that song's key. Three kinds of split each have 56 examples to train on
# and 12 to test on. Only the third satisfies `check_split`.

# %%
songs, performers = np.repeat(np.arange(12), 10), np.tile(np.arange(10), 12)
seeds = zip(3000 + songs, 3100 + performers, strict=True)
pairs = [el.data.synthetic_pair(*each, seconds, frame_rate) for each in seeds]
keys = np.array([piece.key for piece, _ in pairs])
similarity = np.corrcoef([moves["pulse"] for _, moves in pairs])


def remembered(train, test):
    """Return for each test row the training row with the most similar pulse."""
    return train[similarity[np.ix_(test, train)].argmax(axis=1)]


# %%
kinds = ("random", "new people", "new people\nand songs")


def draw_split(kind, seed):
    """Draw a split: return the rows to train on (56,), and those to test on (12,)."""
    rng = np.random.default_rng(seed)
    new_person = np.isin(performers, rng.permutation(10)[:3])
    new_song = np.isin(songs, rng.permutation(12)[:4])
    train, test = np.flatnonzero(~new_person & ~new_song), np.flatnonzero(new_person & new_song)
    if kind == "random":
        train, test = np.split(rng.permutation(120)[:68], [56])
    elif kind == "new people":
        train = rng.permutation(np.flatnonzero(~new_person))[:56]
    return train, test


# %% [markdown]
# **Predict:** how often is the key right, with each kind of split?


# %%
def score(kind, seed):
    """Return the share of right keys: of the memoriser, and of a random training row."""
    train, test = draw_split(kind, seed)
    guesses = remembered(train, test), np.random.default_rng(seed).choice(train, len(test))
    return [np.mean(keys[guess] == keys[test]) for guess in guesses]


all_pairs = recorded(list(zip(performers, songs, strict=True)))
el.data.check_split(*map(all_pairs.pick, draw_split(kinds[2], 0)))
scores = [np.mean([score(kind, seed) for seed in range(40)], axis=0) for kind in kinds]
scores = np.array(scores)  # (3 kinds, 2 models)
assert scores[0, 0] > 0.8 and scores[2, 0] < 0.2

# %%
figure, ax = plt.subplots(figsize=(7, 2.8))
for k, (name, colour) in enumerate({"memoriser": "C3", "chance": "0.7"}.items()):
    bars = ax.bar(np.arange(3) + 0.3 * k, scores[:, k], 0.28, color=colour, label=name)
    ax.bar_label(bars, fmt="%.2f", fontsize=8)
ax.set(ylabel="share of right keys", ylim=(0, 1.1))
ax.set(xticks=np.arange(3) + 0.15, xticklabels=kinds)
_ = figure.legend(loc="outside upper center", ncols=2)

# %% [markdown]
# **Explain.** While the test *songs* are also in training, the memoriser does the impossible: another person
# nodded at the same moments. New people alone change little. With new songs it falls to chance, its true
# score. In recordings, shared people can leak, too: the same room, the same coat.

# %% [markdown]
# ## 6. Compute once
#
# Codes and controls take long to compute, and stay the same until something that they depend on changes. So
# they are stored under a *cache key*, a fingerprint of what they depend on. **Predict:** should it change
# with the order of the settings? With a file's name? With its content?


# %%
def cache_key(settings):
    """Return 16 digits that change with any setting, but not with the order of the settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


# %%
weights = Path(el.musicgen.model_folder(musicgen.name)) / "model.safetensors"
content = hashlib.sha256(weights.read_bytes()).hexdigest()  # the file's content, not its name
settings = {"first song": 5000, "first performer": 5000, "weights": content}
reordered, changed = dict(reversed(settings.items())), settings | {"first song": 5001}
print(cache_key(settings), cache_key(reordered), cache_key(changed))
assert cache_key(settings) == cache_key(reordered) != cache_key(changed)

# %% [markdown]
# The library's keys also hold version numbers of its code. Now a class's recordings: a folder for each
# person, with videos whose sound is the music. Four seconds of the bundled clip stand for two people. The
# *cold* run computes everything; the *warm* run only reads it.

# %%
temporary = tempfile.TemporaryDirectory()
recordings, silent = Path(temporary.name) / "recordings", Path(temporary.name) / "silent.mp4"
el.write_video(silent, islice(el.read_frames(el.example_clip()), 100))
music = audio[: 4 * musicgen.sample_rate]
for name in ("anna", "ben"):
    (recordings / name).mkdir(parents=True)
    el.mux_audio(silent, music, musicgen.sample_rate, recordings / name / "song.mp4")

# %%
for state in ("cold", "warm"):
    start = time.perf_counter()
    ours = el.data.RecordedFolder(recordings).examples(musicgen)
    print(f"{state}: {time.perf_counter() - start:.2f} s for {len(ours)} examples")
print("people:", len(set(ours.performers)), "songs:", len(set(ours.songs)))
print(f"missing codes: {np.mean(ours.codes < 0):.0%}")

# %% [markdown]
# **Look:** the folder's name gives the performer. The file's name and sound give the song. Everything after
# the four seconds is marked as missing; otherwise the model would learn to produce silence. Codes and
# controls have separate keys, so a new codec does not repeat the search for faces.

# %% [markdown]
# ## Exercises
#
# **1. How small can a leak be?** Start from clean splits. Add *one* training person's performances of the
# held-out songs to training. How often is the key right now, over 40 draws? *Target: more than 0.6.*

# %%
right = ...  # for each draw, the share of right keys

check(right, lambda: len(right) == 40 and 0.6 < np.mean(right) < 1)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# right = []
# for seed in range(40):
#     train, test = draw_split(kinds[2], seed)
#     leaked = np.isin(songs, songs[test]) & (performers == performers[train[0]])
#     guess = remembered(np.append(train, np.flatnonzero(leaked)), test)
#     right.append(np.mean(keys[guess] == keys[test]))
# print("clean:", scores[2, 0].round(2), "leaking:", np.mean(right).round(2))
# ```
#
# Four rows among sixty are enough.
# </details>

# %% [markdown]
# **2. A day of filming.** Six people, six songs, time for 12 recordings: two songs for each person, two
# people for each song. Who moves to which, so that `el.data.split` drops nothing? *Target: all 12 used.*

# %%
plan = ...  # [(person, song), ...], both counted from 0


def all_used():
    twice = all((np.bincount(column, minlength=6) == 2).all() for column in np.array(plan).T)
    return twice and sum(map(len, el.data.split(recorded(sorted(set(plan)))))) == 12


check(plan, all_used)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# plan = [(who, 2 * (who // 2) + k) for who in range(6) for k in range(2)]
# train, held_out = el.data.split(recorded(plan))
# el.data.check_split(train, held_out)
# print(len(train), "to train with,", len(held_out), "held out")
# ```
#
# Three pairs of people each get two songs of their own; hold out one pair. Two groups of three are clean,
# too, but half is more than `split` holds out.
# </details>

# %% [markdown]
# ## Quiz
#
# **1. From movement alone, a model names the key of nine of ten held-out pieces. What is the most likely
# reason?**  (a) People move differently in different keys. (b) It knew the songs from training. (c) It is
# large.
#
# <details><summary>Answers</summary>
#
# - (a) That would be a discovery. Check the split first.
# - (b) **Right**: an impossible score is the best sign of a leak.
# - (c) The memoriser is tiny, and does the same.
# </details>

# %% [markdown]
# **2. You replace the codec. What must be computed again?**  (a) Codes and controls. (b) The codes. (c)
# Nothing: the recordings are the same.
#
# <details><summary>Answers</summary>
#
# - (a) Controls come from the pictures. One key for both would waste hours of landmark extraction.
# - (b) **Right**: the codec's weights belong in the codes' cache key, and only there.
# - (c) Old codes number the rows of tables that no longer exist. Training would use them without an error.
# </details>

# %% [markdown]
# ## What we saw
#
# - An example is codes, controls, a caption, and numbers for person and song. Nothing tells the model a
#   person's delay.
# - A model does not learn to see what the words always tell.
# - If training and test share songs, memory looks like understanding.
# - A good cache key holds everything that a result depends on.
#
# ## Limits
#
# - Everybody here starts at the same moment of a song. In recordings, memorising is harder, not impossible.
# - The memoriser and the model of two weights are toys that show one effect each.
#
# ## References
#
# - Izzati, Li and Xia 2025, [Expotion](https://arxiv.org/abs/2507.04955): a data set of people who react to
#   music.
# - Geirhos et al. 2020, [Shortcut learning in deep neural networks](https://arxiv.org/abs/2004.07780).
# - Kapoor and Narayanan 2022, [Leakage and the reproducibility crisis in ML-based
#   science](https://arxiv.org/abs/2207.07048).
# - `expotion_lite/data/examples.py` and `recordings.py`; `expotion_lite/synthetic/performer.py` and
#   `captions.py`.
#
# ## Next
#
# How an adapter learns from such examples: [06_lora_finetuning](06_lora_finetuning.ipynb).
