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
# An *adapter* is the small part that is trained so that a frozen MusicGen sees a person; the next lesson builds it. It learns from
# examples: music, somebody who moves to it, and words. What these give away decides what is learned, and which of them you *hold out*,
# to judge by, decides whether you notice. Here a model that understands nothing shines until the data is split well.
#
# **Time:** under a minute of computing on two CPU cores, 35 minutes with reading. A GPU would help little.
#
# **By the end you can**
#
# - *assemble* an example by hand: codes, controls, words,
# - *measure* how late somebody moves, and *explain* why the measurement itself is late,
# - *decide* what captions should leave out,
# - *split* recordings without a leak, and *show* how much a leak flatters,
# - *write* a cache key that changes whenever something that matters does.
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
from expotion_lite import data, example_clip, plots
from expotion_lite.course import check
from expotion_lite.data import RecordedFolder
from expotion_lite.files import digest_of
from expotion_lite.musicgen import encode, model_folder
from expotion_lite.synthetic import band, draw_performer, perform, to_landmarks

# %% [markdown]
# ## 1. One example
#
# A song is a seed, and so is a person: a procedural band composes, a synthetic performer is drawn, and the truth is known exactly. An
# example is one `window` of the model, 10 s. First by hand, then as the library does it, which adds words and who is who.

# %%
musicgen = el.load()
rate, seconds = musicgen.frame_rate, musicgen.window / musicgen.frame_rate
song, performer = 4242, 7
piece, person = band.compose(song, seconds), draw_performer(performer)
seen = to_landmarks(perform(piece, person), person)
controls = el.extract_controls(seen, frame_rate=rate, duration_s=seconds)
audio = band.play(piece, musicgen.sample_rate)
codes = encode(musicgen, torch.from_numpy(audio)[None])[0].numpy()

# %%
example = data.synthetic_examples(musicgen, 1, song, performer)
assert np.array_equal(example.codes[0], codes) and np.array_equal(example.controls[0], controls.values)
print(f'"{example.captions[0]}", song {example.songs[0]}, performer {example.performers[0]}')
Audio(audio, rate=musicgen.sample_rate)

# %% [markdown]
# **Predict:** dotted lines will mark the beats. Do the bumps of the person's pulse lie on them, before, or after?

# %%
figure, axes = plt.subplots(3, 1, figsize=(8, 5.4), sharex=True)
axes[0].fill_between((np.arange(len(piece.energy)) + 0.5) / 50, piece.energy, color="C5", alpha=0.5)
axes[1].plot(controls.times, controls["pulse"], color="C3", label="pulse")
axes[1].plot(controls.times, controls["motion_energy"], color="C2", label="motion energy")
axes[2].imshow(codes, aspect="auto", interpolation="nearest", extent=(0, seconds, len(codes) - 0.5, -0.5))
axes[0].set(ylabel="band's energy", ylim=(0, 1.1))
axes[1].set(ylabel="person\n(own range)", ylim=(0, 1.1))
axes[2].set(ylabel="codebook", xlabel="time (s)", yticks=range(len(codes)), xlim=(0, seconds))
for ax, beat in product(axes[:2], piece.beats):
    ax.axvline(beat, color="0.4", linestyle=":", linewidth=1)
_ = figure.legend(*axes[1].get_legend_handles_labels(), loc="outside upper center", ncols=2)

# %% [markdown]
# **Look** along a dotted line: the movement turns, and the pulse has a bump, at the beat or a little later. Where the band's energy changes, so does, roughly, how much the
# person moves. The codes are the music itself, which the model must predict; the person's curves are what it may look at.

# %% [markdown]
# ## 2. Two people, one piece
#
# Each synthetic person has habits, drawn from the seed: which part of the body *leads*, how large, and by which *delay* it moves after
# the beat (negative: before it).
#
# **Predict:** somebody else moves to the same music. What will differ?


# %%
def look(performer):
    """What leads one person's movement to the piece, and the pulse; dotted: the beats."""
    who = draw_performer(performer)
    moves = data.synthetic_pair(song, performer, seconds, rate)[1]
    ax = plots.plot_controls(moves, ["head_pitch", "shoulders_y", "right_wrist_y", "pulse"])
    for beat in piece.beats:
        ax.axvline(beat, color="0.4", linestyle=":", linewidth=1)
    ax.set_title(f"{who.lead} leads, nods of {who.nod_deg:.0f} degrees, drawn delay {1000 * who.lateness_s:.0f} ms")
    plt.show()


look(7)
look(12)

# %% [markdown]
# **Look** at the titles: they tell what was drawn, and the model never sees them. Everything differs but the beats that the turns are near.
#
# How late is somebody? Lay a bump on each beat, slide the bumps along the pulse, and keep the shift that fits best.
#
# **Predict:** forty people are drawn, from 30 ms early to 60 ms late. Will the measurement be right on average? Will it change with
# longer smoothing, whose filter has no delay ([03](03_smoothing_and_alignment.ipynb))?


# %%
def delay_s(controls):
    """The shift of the beats, in seconds, that fits the pulse best."""
    shifts = np.arange(-0.15, 0.2, 0.005)
    apart = [np.subtract.outer(controls.times - shift, piece.beats) for shift in shifts]
    bumps = [np.exp(-0.5 * (each / 0.05) ** 2).max(axis=1) for each in apart]
    return shifts[np.argmax([np.corrcoef(each, controls["pulse"])[0, 1] for each in bumps])]


cast = [each for each in map(draw_performer, range(40)) if not each.offbeat]  # nobody who moves between the beats
drawn, leads = 1000 * np.array([each.lateness_s for each in cast]), np.array([each.lead for each in cast])

# %%
films, measured = [to_landmarks(perform(piece, each), each) for each in cast], {}
for window_s in (0.3, 0.6):
    read = [el.extract_controls(each, frame_rate=rate, duration_s=seconds, window_s=window_s) for each in films]
    measured[window_s] = 1000 * np.array([delay_s(each) for each in read])
    excess = {lead: np.median((measured[window_s] - drawn)[leads == lead]) for lead in ("nod", "bounce", "sway")}
    print(f"smoothed over {window_s} s, measured later than drawn by", {k: f"{v:.0f} ms" for k, v in excess.items()})

# %%
figure, ax = plt.subplots(figsize=(6, 3.2))
ax.axline((0, 0), slope=1, color="0.7")
for lead, mark in zip(("nod", "bounce", "conduct", "sway", "tap"), "osD^v", strict=True):
    ax.plot(drawn[leads == lead], measured[0.3][leads == lead], mark, markersize=6, label=lead)
ax.set(xlabel="drawn delay (ms)", ylabel="measured delay (ms)")
_ = figure.legend(loc="outside right center")
assert np.corrcoef(drawn, measured[0.3])[0, 1] > 0.8

# %% [markdown]
# **Explain.** Who is later is measured later. On the line, measured equals drawn; nods lie above it, sways much less, and longer smoothing
# lifts the nods further. A nod falls quickly and comes back slowly; every average pulls the turn of so lopsided a curve
# towards its slow side. "No delay" holds for symmetric movements.
#
# Training learns from controls that are late in the same way. But when music is made anew, nothing tells *this* person's delay: no
# adapter knows the beat more exactly than people keep it.

# %% [markdown]
# ## 3. What words should leave out
#
# One piece has many captions; a model that always read the same one would learn the sentence, not the words. Captions *may* tell the
# tempo in 30 % of the examples only, the mood in 25 %; the key stands in 80 %, without its mode where the mood is not told.

# %%
rng = np.random.default_rng(0)
for tempo in (True, True, True, False, False, False):
    print("may tell the tempo:" if tempo else "may not:           ", band.describe(piece, rng, tempo=tempo))

# %% [markdown]
# Why so rarely? Let a model of two weights, found by least squares, decide whom to trust. It guesses the tempo from the words (exact
# where they tell, else the mean) and from the person (60 / the median time between pulses: rough, since some move on every second beat).
#
# **Predict:** 80 songs teach it, whose captions *all* tell the tempo. Then 40 new ones come with prompts that do not. How well will it
# follow the person?

# %%
pairs = [data.synthetic_pair(7000 + k, 7000 + k, seconds, rate) for k in range(120)]
tempo = np.array([piece.tempo_bpm for piece, _ in pairs])
heard = np.array([60 / np.median(np.diff(plots.pulse_times(moves))) for _, moves in pairs])
tempo, heard = tempo - tempo[:80].mean(), heard - heard[:80].mean()


def learn(share, seed):
    """Weights of words and person if this share of captions tells the tempo; error in bpm for prompts that do not."""
    words = tempo * (np.random.default_rng(seed).random(len(tempo)) < share)
    weights = np.linalg.lstsq(np.stack([words, heard], axis=1)[:80], tempo[:80])[0]
    return *weights, np.abs(weights[1] * heard[80:] - tempo[80:]).mean()


# %%
shares = np.linspace(0.1, 1, 10)
words, person_weight, error = np.array([np.mean([learn(s, k) for k in range(20)], axis=0) for s in shares]).T
figure, axes = plt.subplots(1, 2, figsize=(8, 2.8))
axes[0].plot(shares, words, "o-", label="words")
axes[0].plot(shares, person_weight, "s-", label="person")
axes[1].plot(shares, error, "D-", color="C3")
axes[1].axhline(np.abs(tempo[80:]).mean(), color="0.5", linestyle="--", label="not looking at all")
for ax, ylabel in zip(axes, ("weight learned", "error, words silent (bpm)"), strict=True):
    ax.set(xlabel="share of captions that tell the tempo", ylabel=ylabel, ylim=(-0.02, None))
_ = figure.legend(loc="outside upper center", ncols=3)
assert abs(person_weight[-1]) < 0.01 < 0.3 < person_weight[2]

# %% [markdown]
# **Explain.** If words always tell, the person's weight falls to nothing: the words have said it already, and better. In use such a model
# does not look. At 30 % it relies on the person almost as much as at 10 %. Networks tend to the easiest way, too (Geirhos 2020).

# %% [markdown]
# ## 4. A split that does not leak
#
# A class films: six people, five songs, and everybody moves to every song. Only who is who matters here, so these examples are empty. First
# hold out six at random, as is often done:


# %%
def recorded(pairs):
    """Examples without content of (performer, song) pairs."""
    people, songs = np.array(pairs).T
    nothing = np.zeros((len(pairs), 1, 1))
    return data.Examples(nothing, nothing, ("",) * len(pairs), songs, people, ("nothing",))


everybody = recorded(list(product(range(6), range(5))))

# %%
order = np.random.default_rng(1).permutation(30)
at_random = everybody.pick(order[6:]), everybody.pick(order[:6])
try:
    data.check_split(*at_random)
except el.ExpotionError as error:
    print(error)

# %% [markdown]
# **Predict:** hold out two people with two songs, and train on neither. How many of the thirty are held out, how many trained on, how
# many of no use? One song instead of two would waste less: what could then not be shown to those who are held out?

# %%
them, theirs = np.isin(everybody.performers, [4, 5]), np.isin(everybody.songs, [3, 4])
by_hand = everybody.pick(~them & ~theirs), everybody.pick(them & theirs)
data.check_split(*by_hand)
found = data.split(everybody)
for name, (train, held_out) in {"by hand": by_hand, "library": found}.items():
    print(f"{name}: train {len(train)}, held out {len(held_out)}, dropped {30 - len(train) - len(held_out)}")
# p people and s songs out, so that four to six examples judge, and each can be shown another person of another song
used = [(6 - p) * (5 - s) + p * s for p in range(2, 6) for s in range(2, 5) if 4 <= p * s <= 6]
assert len(found[0]) + len(found[1]) == max(used)

# %%
own = recorded([(who, 2 * who + k) for who in range(6) for k in range(2)])
splits = (at_random, by_hand, found, data.split(own))
titles = ("random: leaks", "by hand", "library", "library, own songs")
figure, axes = plt.subplots(1, 4, figsize=(8, 3.2), sharey=True, width_ratios=(5, 5, 5, 12))
for ax, title, (train, held_out) in zip(axes, titles, splits, strict=True):
    every = own if ax is axes[3] else everybody
    for part, colour, name in ((every, "0.85", "dropped"), (train, "C0", "train"), (held_out, "C1", "held out")):
        ax.plot(part.songs, part.performers, "s", color=colour, markersize=8, label=name)
    ax.set(title=title, xlabel="song", xticks=range(0, every.songs.max() + 1, 2), xmargin=0.12)
axes[0].set_ylabel("performer")
_ = figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)

# %% [markdown]
# **Look** along rows and columns: in a clean split none has both colours. Where all perform the same songs, even the most thrifty split with
# two people and two songs to judge by drops 14 of 30. (With one song, 12; but then another's video would be of the same song.) Where
# everybody brings their own songs, nothing is lost. Think of the split *before* filming.

# %% [markdown]
# ## 5. What leaks, and why it flatters
#
# Twelve songs, ten people, all to all. The task: name the *key* of the music from the movement. Nobody can: no nod tells A from B flat. Our
# model is a *memoriser*. It looks up whose pulse in the training data correlates best, and answers with that song. There are three kinds
# of split, with 56 examples to train on and 12 to test; only the last satisfies `check_split`.

# %%
songs, people = np.repeat(np.arange(12), 10), np.tile(np.arange(10), 12)
pairs = [data.synthetic_pair(3000 + s, 3100 + p, seconds, rate) for s, p in zip(songs, people, strict=True)]
keys = np.array([piece.key for piece, _ in pairs])
alike = np.corrcoef([moves["pulse"] for _, moves in pairs])


def remembered(train, test):
    """For each test row the training row with the most similar pulse."""
    return train[alike[np.ix_(test, train)].argmax(axis=1)]


# %%
kinds, whole = ("random", "new people", "new people\nand songs"), recorded(list(zip(people, songs, strict=True)))


def rows(kind, seed):
    """One draw: rows to train with (56,), rows to test with (12,)."""
    rng = np.random.default_rng(seed)
    them, theirs = np.isin(people, rng.permutation(10)[:3]), np.isin(songs, rng.permutation(12)[:4])
    train, test = np.flatnonzero(~them & ~theirs), np.flatnonzero(them & theirs)
    if kind == "random":
        train, test = np.split(rng.permutation(120)[:68], [56])
    elif kind == "new people":
        train = rng.permutation(np.flatnonzero(~them))[:56]
    return train, test


# %% [markdown]
# **Predict:** how often is the key right, in each kind of split?


# %%
def score(kind, seed):
    """How often the key is right: memoriser, chance."""
    train, test = rows(kind, seed)
    guesses = remembered(train, test), np.random.default_rng(seed).choice(train, len(test))
    return [np.mean(keys[guess] == keys[test]) for guess in guesses]


data.check_split(*map(whole.pick, rows(kinds[2], 0)))
scores = np.array([np.mean([score(kind, seed) for seed in range(40)], axis=0) for kind in kinds])
assert scores[0, 0] > 0.8 and scores[2, 0] < 0.2

# %%
figure, ax = plt.subplots(figsize=(7, 2.8))
for k, (column, name, colour) in enumerate(zip(scores.T, ("memoriser", "chance"), ("C3", "0.7"), strict=True)):
    bars = ax.bar(np.arange(3) + 0.3 * k, column, 0.28, color=colour, label=name)
    ax.bar_label(bars, fmt="%.2f", fontsize=8)
ax.set(ylabel="keys named right", ylim=(0, 1.1), xticks=np.arange(3) + 0.15, xticklabels=kinds)
_ = figure.legend(loc="outside upper center", ncols=2)

# %% [markdown]
# **Explain.** As long as the *song* is known, the memoriser does the impossible: somebody else nodded at the same moments. New people alone
# change little. With new songs it falls to chance, and that is the truth about it. (Shared people matter little in this toy; in
# recordings they may, by the same room and coat.)

# %% [markdown]
# ## 6. Compute once
#
# Codes and controls are slow to compute, and stay the same until something that they come from changes. So they are kept under a *cache
# key*, a fingerprint of all that matters. **Predict:** may it depend on the settings' order? On a file's name? On its content?


# %%
def cache_key(settings):
    """Sixteen digits that change with any setting, whatever their order."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


# %%
weights = Path(model_folder(musicgen.name)) / "model.safetensors"  # digest_of reads what is in it, not its name
settings = {"first song": 5000, "first performer": 5000, "weights": digest_of(weights)}
turned, changed = dict(reversed(settings.items())), settings | {"first song": 5001}
print(cache_key(settings), cache_key(turned), cache_key(changed))
assert cache_key(settings) == cache_key(turned) != cache_key(changed)

# %% [markdown]
# The library's keys hold its own code as well. Now a class's recordings: a folder for each person, in it videos with the music as their
# sound. Four seconds of the bundled clip stand for two people. What is computed the first time, *cold*, is only read the second.

# %%
place = tempfile.TemporaryDirectory()
films = Path(place.name) / "recordings"
silent = el.write_video(Path(place.name) / "silent.mp4", islice(el.read_frames(example_clip()), 100))
for name in ("anna", "ben"):
    (films / name).mkdir(parents=True)
    el.mux_audio(silent, audio[: 4 * musicgen.sample_rate], musicgen.sample_rate, films / name / "song.mp4")

# %%
for state in ("cold", "warm"):
    start = time.perf_counter()
    ours = RecordedFolder(films).examples(musicgen)
    print(f"{state}: {time.perf_counter() - start:.2f} s for {len(ours)} examples")
print("people:", len(set(ours.performers)), "songs:", len(set(ours.songs)), f"missing: {np.mean(ours.codes < 0):.0%}")

# %% [markdown]
# **Look:** the folder tells who performs, name and sound of the file which song it is. What lies beyond the four seconds is marked as missing: silence would be
# music to learn. Codes and controls have a key each, so that a new codec makes new codes, but looks for no face again.

# %% [markdown]
# ## Exercises
#
# **1. How little is enough?** Take clean splits and let *one* training person's performances of the held-out songs slip into training (not the test rows). How often
# does the memoriser name the key now, over 40 draws? *Target: more than 0.6.*

# %%
right = ...  # of each draw, the share of keys named rightly

check(right, lambda: len(right) == 40 and 0.6 < np.mean(right) < 1)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# right = []
# for seed in range(40):
#     train, test = rows(kinds[2], seed)
#     slipped = np.flatnonzero(np.isin(songs, songs[test]) & (people == people[train[0]]))
#     guess = remembered(np.append(train, slipped), test)
#     right.append(np.mean(keys[guess] == keys[test]))
# print("clean:", scores[2, 0].round(2), "leaking:", np.mean(right).round(2))
# ```
#
# Four rows among sixty: a leak need not be large.
# </details>

# %% [markdown]
# **2. A day of filming.** Six people, six songs, time for 12 recordings: two songs for each person, two people for each song. Who moves to which, so
# that `data.split` drops nothing? *Target: all 12 used.*

# %%
plan = ...  # [(person, song), ...], both counted from 0

twice = lambda column: (np.bincount(column, minlength=6) == 2).all()  # noqa: E731
check(plan, lambda: all(map(twice, np.array(plan).T)) and sum(map(len, data.split(recorded(sorted(set(plan)))))) == 12)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# plan = [(who, 2 * (who // 2) + k) for who in range(6) for k in range(2)]
# train, held_out = data.split(recorded(plan))
# data.check_split(train, held_out)
# print(len(train), "to train with,", len(held_out), "held out")
# ```
#
# Three pairs of people, each with two songs of its own: hold out a pair. Two groups of three with three songs are clean, too, but half
# is more than `split` holds out.
# </details>

# %% [markdown]
# ## Quiz
#
# **1. From movement alone, a model names the key of nine of ten held-out pieces. What is the likeliest reason?**  (a) People move differently
# in different keys. (b) It knew the songs from training. (c) It is large.
#
# <details><summary>Answers</summary>
#
# - (a) That would be a discovery. Look at the split first.
# - (b) **Right**: a score that cannot be is the best sign of a leak.
# - (c) The memoriser is not, and does it.
# </details>

# %% [markdown]
# **2. You replace the codec. What must be computed anew?**  (a) Codes and controls. (b) The codes. (c) Nothing: the recordings are the same.
#
# <details><summary>Answers</summary>
#
# - (a) Controls come from the pictures. One cache key for both would waste hours of landmarks.
# - (b) **Right**: the codec's weights belong in the cache key of the codes, and only there.
# - (c) Old codes name entries of a table that is gone. They would train without any error message.
# </details>

# %% [markdown]
# ## What we saw
#
# - An example is codes, controls, words, and who is who; each person has a delay that nobody tells the model.
# - What words always tell, nobody learns to see.
# - Where songs are shared between training and test, memory passes for understanding.
# - A good cache key holds everything that a result comes from.
#
# ## Limits
#
# - Everybody here starts at the same moment of a song. In recordings they do not, which makes memorising harder, not impossible.
# - The memoriser and the two weights are toys that show one effect each.
#
# ## References
#
# - Izzati, Li and Xia 2025, [Expotion](https://arxiv.org/abs/2507.04955): a data set of people who react to music.
# - Geirhos et al. 2020, [Shortcut learning in deep neural networks](https://arxiv.org/abs/2004.07780).
# - Kapoor and Narayanan 2022, [Leakage and the reproducibility crisis in ML-based science](https://arxiv.org/abs/2207.07048).
# - `expotion_lite/data/examples.py`, `performer.py`, `captions.py` and `recordings.py`.
#
# ## Next
#
# The examples are ready. How an adapter learns from them: [06_lora_finetuning](06_lora_finetuning.ipynb).
