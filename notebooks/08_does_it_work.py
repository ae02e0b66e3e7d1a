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
# # Does it work? How to prove that music follows a person
#
# One take convinces those who want to be convinced. Here you build what convinces the others: a score, a
# control experiment with people whom the model never saw, an honest p, and a listening test in which you
# cannot cheat.
#
# **Time:** about a minute of computing on two CPU cores, 50 minutes with reading and listening. A GPU would
# hardly help with so small a model.
#
# **By the end you can**
#
# - *compute* how well beats meet beats, and *say* why half of that score can mislead,
# - *read* a table of all music against all people,
# - *enumerate* an exact permutation test, and *draw* a bootstrap interval by hand,
# - *show* how to find something in pure noise, and *avoid* it,
# - *plan* a blind listening test: how many trials, and of what.
#
# **You need** numpy, correlation, headphones, [00_start_here](00_start_here.ipynb), and what *held out*
# means, from [05_data](05_data.ipynb).

# %%
import json
from itertools import product
from math import comb
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Audio, Markdown, Video, display
from scipy.stats import binom, binomtest

import expotion_lite as el
from expotion_lite.course import check
from expotion_lite.studio import match_loudness

# %% [markdown]
# ## First: real people
#
# The claim is about people in front of a camera, so look at them first. Nobody knows their true beats, but a
# video shows how fast the picture moves, and where movements *arrive*: where that speed falls. For 26 clips
# of 20 people or groups that nothing was trained on, dancers and people at a webcam, music was made from their
# motion. The onsets of each piece were correlated with the motion of its own clip, and with that of other
# people. The difference is the *gain*. It is 0 for music that follows nobody.
#
# **Predict:** how large is the gain of the music that the dancers really moved to?

# %%
real = json.loads(Path("../figures/real_motion.json").read_text())
kinds = {"speed": "how fast the picture moves", "stop": "where movements arrive"}
figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), sharex=True, sharey=True)
for ax, (kind, title) in zip(axes, kinds.items(), strict=True):
    for y, row in enumerate(real.values()):
        gain = row[kind]["gain"]
        low, high = row[kind].get("gain_95", (gain, gain))  # published figures come without an interval
        ax.errorbar(gain, y, xerr=[[gain - low], [high - gain]], fmt="o", color="C0", capsize=3)
    ax.axvline(0, color="0.7", linewidth=1)
    ax.set(title=title, xlabel="gain over other people")
axes[0].set(yticks=range(len(real)), yticklabels=real, ylim=(len(real) - 0.5, -0.5))
for name, row in real.items():
    p = f"p = {row['stop']['p']:.4f}" if "p" in row["stop"] else "no p given"
    print(f"{name:45} {row['stop']['gain']:+.3f} where movements arrive, {p}, {row['clips']} clips")

# %% [markdown]
# **Look:** which intervals leave out 0?
#
# **Explain.** The music that people really moved to gains little. They dance to every second beat, or around
# it, and much that they do belongs to no sound. Music that is made from their motion can follow it closer.
# That is no praise of its beauty: this score hears onsets and nothing else.
#
# The model saw optical flow, and `stop` is made of optical flow, though measured over the whole picture. The
# row *by landmarks* is free of that: there the model saw no pixels.
#
# Repeat this on yourselves: `expotion-lite evaluate` takes a folder of your own videos. The rest of the
# lesson builds such a proof by hand, for synthetic people, whose true beats are known.

# %% [markdown]
# ## 1. Beats that meet
#
# A *hit* is a beat of the music within 70 ms of a true beat. Each beat is used once. *Precision* is the share
# of the music's beats that hit. *Recall* is the share of true beats that are hit. The *F-measure* is their
# harmonic mean: it is high only if both are.


# %%
def beat_f(found, truth, window_s=0.07):
    """Return precision, recall and F-measure of beats in seconds, both in order."""
    i = j = hits = 0
    while i < len(found) and j < len(truth):
        hit = abs(found[i] - truth[j]) <= window_s
        behind = found[i] < truth[j]
        hits, i, j = hits + hit, i + (hit or behind), j + (hit or not behind)
    precision, recall = hits / max(len(found), 1), hits / max(len(truth), 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


# %% [markdown]
# **Predict** the three numbers for each case. Which will surprise somebody who claps along?

# %%
truth = np.arange(0.4, 8, 0.6)  # 100 beats a minute
cases = {
    "40 ms late": truth + 0.04,
    "100 ms late": truth + 0.1,
    "every second beat": truth[::2],
    "twice as fast": np.arange(0.4, 8, 0.3),
    "between the beats": truth + 0.3,
    "no beats": truth[:0],
}
for name, found in cases.items():
    precision, recall, f = beat_f(found, truth)
    print(f"{name:18} precision {precision:.2f}  recall {recall:.2f}  F {f:.2f}")
    assert np.isclose(f, el.metrics.beat_f_measure(found, truth))

# %% [markdown]
# **Look:** for any listener, claps on every second beat or between the beats go with the music. They lose
# much or all of the F.
#
# **Predict:** now clicks that know nothing of these beats come faster and faster, up to 20 a second. Which of
# the three numbers rise?

# %%
rates = np.geomspace(0.6, 20, 40)
phases = np.arange(0.05, 1, 0.1)
scores = []
for rate in rates:
    clicks = [np.arange(phase / rate, 8, 1 / rate) for phase in phases]
    scores.append(np.mean([beat_f(each, truth) for each in clicks], axis=0))

# %%
figure, ax = plt.subplots(figsize=(8, 2.8))
styles = {"precision": ":", "recall": "--", "F-measure": "-"}
for values, (name, style) in zip(np.transpose(scores), styles.items(), strict=True):
    ax.plot(rates, values, style, label=name)
ax.set(xscale="log", xticks=(1, 2, 5, 10, 20), xticklabels=(1, 2, 5, 10, 20))
ax.set(xlabel="clicks a second", ylabel="mean over phases", ylim=(0, 1.03))
ax.minorticks_off()
_ = figure.legend(loc="outside upper center", ncols=3)

# %% [markdown]
# **Explain.** Enough clicks hit every beat of everybody. So recall alone rewards busy music. F rises with
# them, too, until extra beats cost more than they find. Even music that knows nothing scores above 0: each
# score needs a control.

# %% [markdown]
# ## 2. The shuffled control
#
# Ten synthetic people each move to a song that was not used for training. The model gets their controls and a
# prompt without a tempo. It never gets the song, whose beats are the truth.

# %%
pipeline = el.load_pipeline()
musicgen, n_people = pipeline.musicgen, 10
rate = musicgen.sample_rate
pieces, controls, captions = el.evaluation.held_out(n_people, 8.0)

# %%
settings = el.Settings()
music = el.evaluation.make_music(pipeline, captions, controls, settings, progress=False)
print(captions[0])
Audio(music[0], rate=rate)

# %% [markdown]
# Each piece of music is scored against each person. In the table, rows are music and columns are people, so
# everybody's own music is on the diagonal. The mean of a row without its diagonal is the *shuffled control*:
# how well this music fits other people. Two more scores need no true beats: the correlations of the onsets
# with the person's pulse and motion energy, at the best shift of up to 0.3 s.
#
# **Predict:** how does the table look if music follows its person? And if it fits everybody?

# %%
tracked = [el.metrics.track_beats(each, rate) for each in music]
table = np.array([[beat_f(beats, piece.beats)[2] for piece in pieces] for beats in tracked])
tables = el.evaluation.score(music, rate, pieces, controls)
assert np.allclose(table, tables["beat F-measure"])
own = np.diag(table)
others = np.array([np.delete(row, k).mean() for k, row in enumerate(table)])
assert np.allclose([own, others], el.metrics.against_others(table))

# %%
people = np.arange(1, n_people + 1)
extent = (0.5, n_people + 0.5, n_people + 0.5, 0.5)
figure, axes = plt.subplots(1, 2, figsize=(8, 3.7))
for ax, name in zip(axes, ("beat F-measure", "onset-pulse correlation"), strict=True):
    image = ax.imshow(tables[name], vmin=0, cmap="cividis", extent=extent)
    ax.plot(people, people, "s", markersize=15, markerfacecolor="none", color="C3")
    ax.set(xticks=people, yticks=people, xlabel="scored against person", title=name)
    figure.colorbar(image, ax=ax, shrink=0.8)
_ = axes[0].set_ylabel("music made for person")

# %% [markdown]
# **Explain.** Music that fits everybody gives bright rows. Music that *follows* gives a bright diagonal. Is
# there a person with a low F and a high correlation? Then the music may keep time with that person, but a
# little early or late, or with half as many beats. Each score misses something. Listen to two rows:
# `Audio(music[3], rate=rate)` plays the fourth. Do you hear why?

# %% [markdown]
# ## 3. Could it be luck?
#
# For each person, take the *difference*: own score minus the mean of the others. If the music followed
# nobody, each difference could as well have the opposite sign. With ten people there are 1,024 patterns of
# signs, and all can be tried. *p* is the share of them, the measured one included, with a mean at least as
# large as the measured one. By custom, a p of 0.05 or less counts as more than luck.
#
# **Predict:** what is the smallest possible p of ten people? And of four?


# %%
def flip_test(differences, signs):
    """Return p of differences (..., N), with sign patterns (P, N)."""
    flipped = differences @ signs.T / differences.shape[-1]
    return (flipped >= differences.mean(-1, keepdims=True) - 1e-9).mean(-1)


def all_signs(n):
    """Return every pattern of n signs, (2**n, n)."""
    return np.array(list(product((1.0, -1.0), repeat=n)))


# %%
for name, each in tables.items():
    differences = np.subtract(*el.metrics.against_others(each))
    p = flip_test(differences, all_signs(n_people))
    assert np.isclose(p, el.metrics.paired_permutation_test(differences))  # SciPy's; exact here
    print(f"{name:32} p {p:.4f}")
print("the smallest possible:", 1 / 2**n_people)

# %%
difference = own - others
means = (all_signs(n_people) * difference).mean(1)
figure, ax = plt.subplots(figsize=(8, 2.6))
ax.hist(means, 41, color="C5")
ax.axvline(difference.mean(), color="C3", label="as measured")
ax.set(xlabel="mean difference in F after flipping signs", ylabel="patterns")
_ = figure.legend(loc="outside right upper")

# %% [markdown]
# **Explain.** Four people have 16 patterns, so their p is at least 0.06. They cannot prove anything, however
# good the music. And a small p is not a large effect. *How large* is it? Draw ten people out of these ten,
# with replacement, many times. The middle 95 % of the means is a *bootstrap* interval.

# %%
rng = np.random.default_rng(1)
resampled = [rng.choice(difference, n_people).mean() for _ in range(10_000)]
by_hand = np.quantile(resampled, [0.025, 0.975])
low, high = el.metrics.bootstrap_interval(difference)
assert np.allclose(by_hand, (low, high), atol=0.02)
print(f"F gains {difference.mean():.2f} (95% {low:.2f} to {high:.2f}) over {n_people} people")

# %% [markdown]
# ## 4. How to fool yourself
#
# **Ten clips of one person.** Somebody moves at a tempo that the model prefers anyway. By luck, all ten clips
# then score above the others. In this simulation, half of the variance is such a habit, half differs from
# clip to clip.
#
# **Predict:** in 1,000 studies the music follows *nobody*. How many reach a p of 0.05? And if each clip is
# counted as a person?


# %%
def false_alarms(n_people, clips, habit=0.5, studies=1000):
    """Return the share of studies with p <= 0.05 without any effect.

    The first number counts each clip, the second each person.
    """
    rng = np.random.default_rng([n_people, clips])
    person = rng.normal(0, habit**0.5, (studies, n_people, 1))
    differences = person + rng.normal(0, (1 - habit) ** 0.5, (studies, n_people, clips))
    signs = rng.choice([1.0, -1.0], (1000, n_people * clips))
    signs[0] = 1  # the measured pattern
    p_clips = flip_test(differences.reshape(studies, -1), signs)
    p_people = flip_test(differences.mean(2), all_signs(n_people))
    return (p_clips <= 0.05).mean(), (p_people <= 0.05).mean()


# %%
wrong, right = false_alarms(1, 10)
print("one person, ten clips")
print(f"false alarms if each clip counts: {wrong:.0%}, if the person counts once: {right:.0%}")

# %%
clips = (1, 2, 5, 10, 20)
figure, ax = plt.subplots(figsize=(8, 2.8))
alarms = 100 * np.array([false_alarms(8, n) for n in clips])
ax.plot(clips, alarms[:, 0], "o-", color="C3", label="each clip counted as a person")
ax.plot(clips, alarms[:, 1], "s-", color="C0", label="each person's mean counted once")
ax.axhline(5, color="0.6", linestyle=":")
ax.set(ylim=(0, None), xticks=clips)
ax.set(xlabel="clips of each of eight people", ylabel="false alarms (%)")
_ = figure.legend(loc="outside upper center", ncols=2)

# %% [markdown]
# **Explain.** More clips make each person's mean more exact, and nothing else: eight people stay eight. With
# one person, the correct count never finds anything, as it should.
#
# **The garden of forking paths.** You try a second score, the loudness, the smile, another prompt, and report
# what worked.
#
# **Predict:** 20 scores are pure noise. How probable is it that at least one reaches 0.05?

# %%
noise = np.random.default_rng(2).normal(size=(400, 20, n_people))  # studies, scores, people
p = flip_test(noise, all_signs(n_people))
tried = np.arange(1, 21)
figure, ax = plt.subplots(figsize=(8, 2.8))
found = np.minimum.accumulate(p, axis=1) <= 0.05
ax.plot(tried, 100 * found.mean(0), "o", label="simulated")
ax.plot(tried, 100 * (1 - 0.95**tried), color="C0", label="computed")
ax.set(ylim=(0, 100), xticks=tried[::2], xlabel="scores tried", ylabel="something found (%)")
_ = figure.legend(loc="outside right center")

# %% [markdown]
# **Explain.** One test in twenty finds what is not there. Of twenty tests, at least one does with probability
# 1 - 0.95²⁰, about 0.64. The remedy: write score and number of people down *before* you look, or report every
# test and multiply each p by their number (Bonferroni). Section 3 made three.

# %% [markdown]
# ## 5. How well does the bundled adapter do?
#
# Ten people gave a wide interval. `make evaluate` repeats your measurement with 52 people and clips of 10 s,
# with three kinds of music:
#
# - *video and text*: made like yours,
# - *no video*: visual guidance 0,
# - *the band itself*: the song that each person moved to, through nano's codec.
#
# The band is a reference, not a limit: it keeps to the beats, not to the person. So music that follows the
# person can correlate better. F can be higher, too, if the beats are easier to find.
#
# **Predict:** what does *no video* reach? Why does the band itself not reach 1?

# %%
results = json.loads(Path("../figures/alignment.json").read_text())
scores = results["scores"]
print(results["clips"], "people; own minus others, as a share of the band's:")
for score, seen in scores["video and text"].items():
    share = seen["difference"] / scores["the band itself"][score]["difference"]
    print(f"{score:32} {share:.0%}")


# %%
def plot_scores(ax, score):
    """Plot one score of each kind of music, for its own person and for others."""
    kinds = [("own", "own person", "o", -0.1), ("shuffled", "others", "s", 0.1)]
    for who, label, mark, shift in kinds:
        mean = np.array([kind[score][who] for kind in scores.values()])
        bounds = np.array([kind[score][f"{who}_95"] for kind in scores.values()]).T
        y, errors = np.arange(len(scores)) + shift, abs(bounds - mean)
        ax.errorbar(mean, y, xerr=errors, fmt=mark, capsize=3, label=label)
    title = score.replace("_", " ").replace(" corr", "\ncorr")
    ax.set(xlim=(0, 1.2 * ax.get_xlim()[1]), xlabel="score", title=title)


# %%
names = list(scores["video and text"])
figure, axes = plt.subplots(1, len(names), figsize=(8, 2.8), sharey=True)
for ax, score in zip(axes, names, strict=True):
    plot_scores(ax, score)
axes[0].set(yticks=range(len(scores)), yticklabels=scores, ylim=(len(scores) - 0.6, -0.4))
_ = figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)

# %% [markdown]
# **Look** at the squares first: this much is reached without knowing the person. The circle of *no video*
# should lie on its square. Where it lies a little above, the words told something, such as how lively a song
# is.
#
# **Explain.** The band's F is below 1 because a program that looks for beats may miss them; the codec keeps
# them. The band's correlations are lower still: notes also fall between the turns of a movement, and people
# move early, late, or on every second beat.

# %% [markdown]
# ### What does each part of the video do?
#
# Does the music follow the face or the movement? An *ablation* takes one part away and measures what gets
# worse. The model sees only the face's expressions, only the movement of head, shoulders and arms, or another
# person. The prompts tell neither tempo nor mood. *Beats*, *tempo*, *energy* (loudness) and *mode*, major or
# minor, are compared with the song's. *Tags*: does a program hear the same styles, instruments and moods?
#
# **Predict:** which loses more beats, hiding the face or hiding the movement? How should music for *another*
# person's video score?

# %%
ablation = json.loads(Path("../figures/results.json").read_text())
columns = {
    "beats": "beat F-measure",
    "tempo": "tempo within 4%",
    "energy": "energy correlation",
    "mode": "mode agreement",
    "tags": "tag adherence",
}
names = ["text only", "face only", "motion only", "face + motion"]
names += ["another person's video", "the band itself"]
lines = [f"| {ablation['clips']} people | {' | '.join(columns)} |", "|---" * 6 + "|"]
for name in names:
    row = [ablation["rows"][name][column] for column in columns.values()]
    cells = ["{:.2f} ({:.2f}, {:.2f})".format(each["mean"], *each["95"]) for each in row]
    lines.append(f"| {name} | {' | '.join(cells)} |")
display(Markdown("\n".join(lines)))

# %%
n_tests = len(ablation["gains"])
for gain in ablation["gains"]:
    if "interpolation" not in gain["against"] and "noisy" not in gain["row"]:
        print(f"{gain['row']} / {gain['against']}: {gain['column']} {gain['gain']:+.2f}")
        print(f"    p {gain['p']:.4f}, by Bonferroni {min(1.0, n_tests * gain['p']):.3f}")

# %% [markdown]
# **Look:** the second list compares rows. Both rows have the same people, so each difference has its own
# test; overlapping intervals say little about it. Nine tests were made, six are shown. So Bonferroni's p is
# nine times as large.
#
# **Explain.**
#
# - Beats, tempo and loudness come mostly from the movement.
# - The mode comes from the face, because these people show it by smiling. Rows without the face are near one
#   half, which is chance.
# - The face alone tells something about loudness. Whether it adds to the movement is open.
# - Music for another person's video scores like music without a video, as it should. Its tags lose little,
#   because the prompt is the song's. Its tempo is the other person's; words alone at least narrow it down.
# - The band itself shows how much more can be gained.
#
# [All thirteen rows](../figures/results.md) tell more, such as what smoothing is worth.

# %% [markdown]
# ## 6. By ear, and blind
#
# Scores stand in for listeners. Judge three pairs of takes for the bundled clip. Each pair has one prompt and
# one loudness. One take was made for her, the other for a stranger. A coin decides which is A. Write all
# answers down before you go on.
#
# **Predict:** how many of three must be right before you believe yourself?

# %%
video, n_pairs = el.example_clip(), 3
seconds = el.probe(video).duration_s
landmarks = el.extract_landmarks(video, progress=False)
her = el.extract_controls(landmarks, duration_s=seconds)

# %%
_, strangers, _ = el.evaluation.held_out(n_pairs, seconds, first=n_people)
prompts = [
    "happy rock with guitar, bass and drums",
    "techno with synth lead and drums",
    "funk with bass and drums",
]
everybody = [her] * n_pairs + strangers
codes = el.generate_codes(pipeline, prompts * 2, everybody, settings)
takes = [el.fit_to_duration(el.to_audio(musicgen, each), rate, seconds) for each in codes]

# %%
hers_is_a = np.random.default_rng(8).random(n_pairs) < 0.5  # do not print it
for pair in range(n_pairs):
    both = takes[pair], takes[n_pairs + pair]
    both = [gain * take for gain, take in zip(match_loudness(*both), both, strict=True)]
    for letter, sound in zip("AB", both if hers_is_a[pair] else both[::-1], strict=True):
        el.mux_audio(video, sound, rate, f"out/blind_{pair + 1}{letter}.mp4", overwrite=True)


# %%
def listen(pair):
    """Show both takes of a pair with her video."""
    for letter in "AB":
        print(letter)
        display(Video(f"out/blind_{pair}{letter}.mp4", embed=True, width=280))


listen(1)

# %%
listen(2)

# %%
listen(3)

# %% [markdown]
# p is the probability that a guesser gets at least as many right: the upper tail of a *binomial*
# distribution. A simulated listener, right in 70 % of all pairs, answers, too.

# %%
mine = {1: ..., 2: ..., 3: ...}  # pair: the one that fits her, "A" or "B"

# %%
by_hand = sum(comb(12, k) for k in range(10, 13)) / 2**12
assert np.isclose(by_hand, binomtest(10, 12, alternative="greater").pvalue)


def verdict(right):
    """Return what a list of right and wrong answers says."""
    p = binomtest(int(sum(right)), len(right), alternative="greater").pvalue
    return f"{sum(right)} of {len(right)} right, p = {p:.3f}"


print("10 of 12:", round(by_hand, 3))

# %%
answers = [(pair, letter) for pair, letter in mine.items() if letter is not ...]
right = [hers_is_a[pair - 1] == (letter == "A") for pair, letter in answers]
print("simulated:", verdict(np.random.default_rng(0).random(n_pairs) < 0.7))
print("you:      ", verdict(right) if right else "no answer yet")
print("all right:", verdict([True] * n_pairs))

# %% [markdown]
# **Explain.** Three pairs cannot prove anything: one guesser in eight gets all right. How many does it take?
# Simulate the whole test many times. The share that reaches a p of 0.05 is its *power*.


# %%
def power(pairs, skill):
    """Return how often, in 20,000 tests, a listener reaches p <= 0.05.

    `skill` is the probability of a right answer.
    """
    right = np.random.default_rng(pairs).binomial(pairs, skill, 20_000)
    return (binom.sf(right - 1, pairs, 0.5) <= 0.05).mean()


# %%
pairs = np.arange(3, 81)
figure, ax = plt.subplots(figsize=(8, 2.8))
for skill in (0.9, 0.8, 0.7, 0.6):
    ax.plot(pairs, [power(n, skill) for n in pairs], label=f"right in {skill:.0%}")
ax.axhline(0.8, color="0.6", linestyle=":")
ax.set(xlabel="pairs judged", ylabel="power", ylim=(0, 1.02))
_ = figure.legend(loc="outside right center")
enough = next(n for n in pairs if power(n, 0.7) >= 0.8)
print(f"for 70 % it takes {enough} pairs")
assert enough == 37

# %% [markdown]
# **Explain.** With 37 pairs, somebody who is right in 70 % reaches a p of 0.05 in four tests of five. At 60 %
# it takes more than 150 pairs. (The curves are jagged because answers are whole numbers.) And it takes 37
# different *pairs*: thirty listeners to the same three pairs are the ten clips of one person again.

# %% [markdown]
# ## Exercises
#
# **1. Music that cannot see.** Make music for the same people with `visual_guidance=0.0`. Compute own minus
# others for F, with interval and p. *Target: a mean below that of `difference`.*

# %%
blind = ...  # for each person, own minus others

check(blind, lambda: len(blind) == n_people and np.mean(blind) < difference.mean())

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# no_video = el.Settings(visual_guidance=0.0)
# unseeing = el.evaluation.make_music(pipeline, captions, controls, no_video, progress=False)
# blind_table = el.evaluation.score(unseeing, rate, pieces, controls)["beat F-measure"]
# blind = np.subtract(*el.metrics.against_others(blind_table))
# interval = el.metrics.bootstrap_interval(blind)
# print(blind.mean(), interval, flip_test(blind, all_signs(n_people)))
# ```
# </details>

# %% [markdown]
# **2. Swap people, not signs.** Flipping signs is not quite right here: each person is also among the
# *others* of everybody else, and one score cannot change places with a mean of nine. So give the music to the
# people in a random order, and take the mean F. Do this 10,000 times. How often does it reach `own.mean()`?
# *Target: the mean of these means is within 0.01 of `table.mean()`.*

# %%
shuffled = ...  # 10,000 mean scores


def is_near():
    return len(set(shuffled)) > 100 and abs(np.mean(shuffled) - table.mean()) < 0.01


check(shuffled, is_near)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# rng, rows = np.random.default_rng(0), np.arange(n_people)
# shuffled = [table[rows, rng.permutation(n_people)].mean() for _ in range(10_000)]
# reached = np.array(shuffled) >= own.mean() - 1e-9
# print("p =", (1 + reached.sum()) / 10_001)
# ```
#
# A random order gives everybody their own music once in ten times, so the mean is that of the whole table.
# The 1 counts the measured order: p is never 0. This p asks whether it matters at all whose music it is.
# </details>

# %% [markdown]
# ## Quiz
#
# **1. Music for ten people scores 0.6 against its own person and 0.6 against the others. What follows?**  (a)
# It follows its person well. (b) There is no sign that it follows anybody. (c) The score is broken.
#
# <details><summary>Answers</summary>
#
# - (a) Then it would fit that person better than others.
# - (b) **Right**: it fits anybody, perhaps because it is busy.
# - (c) The control showed what 0.6 is worth.
# </details>

# %% [markdown]
# **2. You film yourself ten times, and p is 0.001 over the ten clips. What may you claim?**  (a) Music
# follows people. (b) Nothing at all. (c) Something about clips of you.
#
# <details><summary>Answers</summary>
#
# - (a) You are one person, perhaps one whose tempo the model prefers.
# - (b) That is too modest: there are ten clips.
# - (c) **Right**: a claim covers only what was counted.
# </details>

# %% [markdown]
# ## What we saw
#
# - A score needs a control: the same music against other people.
# - Flipped signs tell how often luck alone does as well. The bootstrap tells how large the effect may be.
#   Both count people, not clips.
# - Who tries enough scores finds something. Write down first what will be tested.
# - A blind test needs dozens of different pairs, unless the difference is very large.
#
# ## Limits
#
# - Apart from the first section, these people are synthetic. For a real person nobody knows the true beats:
#   correlations with the movements and listeners are left. `expotion-lite evaluate` (in Python
#   `evaluate_folder`) tests a class's own videos in this way.
# - A bootstrap interval over ten people is a little too narrow.
#
# ## References
#
# - Davies, Degara and Plumbley 2009, Evaluation methods for musical audio beat tracking algorithms.
#   C4DM-TR-09-06.
# - Raffel et al. 2014, mir_eval. ISMIR: the library's F-measure.
# - Li et al. 2021, [AI Choreographer](https://arxiv.org/abs/2101.08779): the beat alignment score.
# - Fisher 1935, The design of experiments. Efron 1979, Bootstrap methods: another look at the jackknife.
#   Annals of Statistics 7.
# - Hurlbert 1984, Pseudoreplication and the design of ecological field experiments. Ecological Monographs 54.
# - Gelman and Loken 2014, The statistical crisis in science. American Scientist 102: forking paths.
# - `expotion_lite/evaluation/metrics.py` and `following.py`, `expotion_lite/lab/ablations.py`.
#
# ## Next
#
# Everything so far ran on nano. The same code with the published MusicGen:
# [09_the_real_thing](09_the_real_thing.ipynb).
