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
# One take convinces whoever wants to be convinced. Here you build what convinces the others: a score, a control experiment over
# people whom the model never saw, an honest p, and a listening test in which you cannot cheat.
#
# **Time:** about a minute of computing on two CPU cores, 50 minutes with reading and listening. A GPU would hardly help with so
# small a model.
#
# **By the end you can**
#
# - *compute* how well beats meet beats, and *say* why half of that score flatters,
# - *read* a table of all music against all people,
# - *enumerate* an exact permutation test, and *draw* a bootstrap interval by hand,
# - *show* how to find something in pure noise, and *avoid* it,
# - *plan* a blind listening test: how many trials, and of what.
#
# **You need** numpy, correlation, headphones, [00_start_here](00_start_here.ipynb), and what *held out* means, from
# [05_data](05_data.ipynb).

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
from expotion_lite import evaluation, example_clip, fit_to_duration, generate_codes, load_pipeline, metrics, to_audio
from expotion_lite.course import check
from expotion_lite.studio import matched

# %% [markdown]
# ## 1. Beats that meet
#
# A *hit* is a beat of the music within 70 ms of a true one; each beat is used once. *Precision* is the share of the music's beats
# that hit, *recall* the share of true beats that are hit. The *F-measure*, their harmonic mean, is high only if both are.


# %%
def beat_f(found, truth, window_s=0.07):
    """Precision, recall and F-measure of beats in seconds, both in order."""
    i = j = hits = 0
    while i < len(found) and j < len(truth):
        hit = abs(found[i] - truth[j]) <= window_s
        behind = found[i] < truth[j]
        hits, i, j = hits + hit, i + (hit or behind), j + (hit or not behind)
    precision, recall = hits / max(len(found), 1), hits / max(len(truth), 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


# %% [markdown]
# **Predict** the three numbers for each of these. Which of them will surprise somebody who claps along?

# %%
truth = np.arange(0.4, 8, 0.6)  # 100 beats a minute
cases = {"40 ms late": truth + 0.04, "100 ms late": truth + 0.1, "every second beat": truth[::2]}
cases |= {"twice as fast": np.arange(0.4, 8, 0.3), "between the beats": truth + 0.3, "no beats": truth[:0]}
for name, found in cases.items():
    precision, recall, f = beat_f(found, truth)
    print(f"{name:18} precision {precision:.2f}  recall {recall:.2f}  F {f:.2f}")
    assert np.isclose(f, metrics.beat_f_measure(found, truth))

# %% [markdown]
# **Look:** any listener would say that claps on every second beat, or between the beats, go with the music. They lose much or all of
# the F.
#
# **Predict:** clicks know nothing of these beats and come faster and faster, up to 20 a second. Which of the three rises?

# %%
rates = np.geomspace(0.6, 20, 40)
blind_clicks = [[np.arange(phase / rate, 8, 1 / rate) for phase in np.arange(0.05, 1, 0.1)] for rate in rates]
scores = np.array([np.mean([beat_f(clicks, truth) for clicks in row], axis=0) for row in blind_clicks])
figure, ax = plt.subplots(figsize=(8, 2.8))
for values, name, style in zip(scores.T, ("precision", "recall", "F-measure"), (":", "--", "-"), strict=True):
    ax.plot(rates, values, style, label=name)
ax.set(xscale="log", xticks=(1, 2, 5, 10, 20), xticklabels=(1, 2, 5, 10, 20))
ax.set(xlabel="clicks a second", ylabel="mean over phases", ylim=(0, 1.03))
ax.minorticks_off()
_ = figure.legend(loc="outside upper center", ncols=4)

# %% [markdown]
# **Explain.** Enough clicks meet every beat of everybody: recall alone rewards busy music. The F-measure rises with them, too, but
# only until superfluous beats cost more than they find. No score is 0 for music that knows nothing: each needs a control.

# %% [markdown]
# ## 2. The shuffled control
#
# Ten synthetic people, each moving to a song that was used for no training. The model gets their controls and a prompt without a
# tempo, never the song, whose beats are the truth to compare with.

# %%
pipeline = load_pipeline()
musicgen, n_people = pipeline.musicgen, 10
rate = musicgen.sample_rate
pieces, controls, captions = evaluation.held_out(n_people, 8.0)

# %%
music = evaluation.make_music(pipeline, captions, controls, el.Settings(), progress=False)
print(captions[0])
Audio(music[0], rate=rate)

# %% [markdown]
# Every piece of music is scored against everybody: a table, music by person, with everybody's own music on the diagonal. The mean of a
# row without its diagonal is the *shuffled control*: how well this music fits people it was not made for. Beside the F-measure stand
# two scores that need no true beats: the correlations of the onsets with the person's pulse and with their motion energy, each at
# the best shift of up to 0.3 s.
#
# **Predict:** how does the table look if the music follows? And how if it fits everybody?

# %%
tracked = [metrics.track_beats(each, rate) for each in music]
table = np.array([[beat_f(beats, piece.beats)[2] for piece in pieces] for beats in tracked])
tables = evaluation.score(music, rate, pieces, controls)
assert np.allclose(table, tables["beat F-measure"])
own = np.diag(table)
others = np.array([np.delete(row, k).mean() for k, row in enumerate(table)])
assert np.allclose([own, others], metrics.against_others(table))

# %%
people = np.arange(1, n_people + 1)
figure, axes = plt.subplots(1, 2, figsize=(8, 3.7))
for ax, name in zip(axes, ("beat F-measure", "onset-pulse correlation"), strict=True):
    image = ax.imshow(tables[name], vmin=0, cmap="cividis", extent=(0.5, n_people + 0.5, n_people + 0.5, 0.5))
    ax.plot(people, people, "s", markersize=15, markerfacecolor="none", color="C3")
    ax.set(xticks=people, yticks=people, xlabel="scored against person", title=name)
    figure.colorbar(image, ax=ax, shrink=0.8)
_ = axes[0].set_ylabel("music made for person")

# %% [markdown]
# **Explain.** Music that fits everybody gives bright rows, music that *follows* a bright diagonal. Is there a person with a low F
# and a high correlation? Then the music may keep time with that person, but a little early or late, or with half as many beats:
# each score is blind to something. Listen to two rows, `Audio(music[3], rate=rate)` for the fourth: do you hear why?

# %% [markdown]
# ## 3. Could it be luck?
#
# If nobody were followed, each difference, own less others, could as well have the opposite sign. For ten people all 1,024 patterns
# of signs can be tried: *p* is the share of them, the measured one included, whose mean is at least the measured one. By custom, a p
# of 0.05 or less is taken for more than luck.
#
# **Predict:** what is the smallest p that ten people can reach? And four?


# %%
def flip_test(differences, signs):
    """p of differences (..., N): the share of sign patterns (P, N) that reach their mean."""
    flipped = differences @ signs.T / differences.shape[-1]
    return (flipped >= differences.mean(-1, keepdims=True) - 1e-9).mean(-1)


def all_signs(n):
    """Every pattern of n signs, (2**n, n)."""
    return np.array(list(product((1.0, -1.0), repeat=n)))


# %%
for name, each in tables.items():
    gap = np.subtract(*metrics.against_others(each))
    exact, drawn = flip_test(gap, all_signs(n_people)), metrics.paired_permutation_test(gap)
    print(f"{name:32} exact p {exact:.4f}, from 10,000 random patterns {drawn:.4f}")
    assert abs(exact - drawn) < 0.02
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
# **Explain.** Of four people's 16 patterns a single one is already 0.06: four people cannot prove anything, however good the music.
# And a small p is no large effect. *How large* is it? Draw ten people out of these ten, with replacement, many times; where the middle
# 95 % of the means lie is a *bootstrap* interval.

# %%
rng = np.random.default_rng(1)
resampled = [rng.choice(difference, n_people).mean() for _ in range(10_000)]
by_hand = np.quantile(resampled, [0.025, 0.975])
low, high = metrics.bootstrap_interval(difference)
assert np.allclose(by_hand, (low, high), atol=0.02)
print(f"F gains {difference.mean():.2f} (95% {low:.2f} to {high:.2f}) over {n_people} people")

# %% [markdown]
# ## 4. How to fool yourself
#
# **Ten clips of one person.** Somebody moves at a tempo that the model likes anyway. By this luck, all ten clips score above the
# others, although nothing follows anybody. In this simulation half of the variance is such a habit, half differs from clip to clip.
#
# **Predict:** of 1,000 studies in which *nothing* follows, how many reach a p of 0.05? And how many if clips are counted as people?


# %%
def false_alarms(n_people, clips, habit=0.5, studies=1000):
    """Share of studies with p <= 0.05 without any effect: clips counted, and people counted."""
    rng = np.random.default_rng([n_people, clips])
    person = rng.normal(0, habit**0.5, (studies, n_people, 1))
    gaps = person + rng.normal(0, (1 - habit) ** 0.5, (studies, n_people, clips))
    signs = rng.choice([1.0, -1.0], (1000, n_people * clips))
    signs[0] = 1  # as it was
    tests = (gaps.reshape(studies, -1), signs), (gaps.mean(2), all_signs(n_people))
    return [(flip_test(*each) <= 0.05).mean() for each in tests]


print("one person, ten clips: false alarms {:.0%}, or {:.0%} if the person counts once".format(*false_alarms(1, 10)))

# %%
clips = (1, 2, 5, 10, 20)
figure, ax = plt.subplots(figsize=(8, 2.8))
alarms = 100 * np.array([false_alarms(8, n) for n in clips])
ax.plot(clips, alarms[:, 0], "o-", color="C3", label="each clip counted as a person")
ax.plot(clips, alarms[:, 1], "s-", color="C0", label="each person's mean counted once")
ax.axhline(5, color="0.6", linestyle=":")
ax.set(ylim=(0, None), xticks=clips, xlabel="clips of each of eight people", ylabel="false alarms (%)")
_ = figure.legend(loc="outside upper center", ncols=2)

# %% [markdown]
# **Explain.** More clips make each person's mean steadier, and that is all they may do: eight people stay eight. With one person,
# the right count never finds anything, as it should.
#
# **The garden of forking paths.** You try a second score, the loudness, the smile, another prompt, and report what worked.
#
# **Predict:** 20 scores of pure noise. How probable is it that at least one reaches 0.05?

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
# **Explain.** One test in twenty finds what is not there; of twenty tests at least one does with probability 1 - 0.95²⁰, about
# 0.64. The cure is dull: write score and number of people down *before* you look, or report every test and multiply each p by their number (Bonferroni). Section 3 made three.

# %% [markdown]
# ## 5. Many people
#
# The project's own measurement was made like this, with more people and longer clips. *The band itself* is the song that each person
# moved to, through nano's codec. It keeps to the beats and not to the person, so music that follows the person can
# exceed it in the correlations; in F, too, where a program finds its beats more easily.
#
# **Predict:** what will music reach whose maker sees nothing? Why does the band itself not reach 1?

# %%
results = json.loads(Path("../figures/alignment.json").read_text())
scores = results["scores"]
print(results["clips"], "people")
for score, seen in scores["video and text"].items():
    share = seen["difference"] / scores["the band itself"][score]["difference"]
    print(f"{score:32} {share:.0%} of what the band itself has above its control")

# %%
kinds = list(scores)
figure, axes = plt.subplots(1, len(scores[kinds[0]]), figsize=(8, 2.8), sharey=True)
for ax, score in zip(axes, scores[kinds[0]], strict=True):
    for who, label, mark, shift in [("own", "own person", "o", -0.1), ("shuffled", "others", "s", 0.1)]:
        mean = np.array([scores[kind][score][who] for kind in kinds])
        bounds = np.array([scores[kind][score][f"{who}_95"] for kind in kinds]).T
        ax.errorbar(mean, np.arange(len(kinds)) + shift, xerr=abs(bounds - mean), fmt=mark, capsize=3, label=label)
    ax.set(xlim=(0, 1.2 * ax.get_xlim()[1]), xlabel="score", title=score.replace("_", " ").replace(" corr", "\ncorr"))
axes[0].set(yticks=range(len(kinds)), yticklabels=kinds, ylim=(len(kinds) - 0.6, -0.4))
_ = figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)

# %% [markdown]
# **Look** at the squares first: what one reaches without knowing the person. The circle of "no video" should lie on its square; where
# it lies a little above, words have told something, such as how lively a song is.
#
# **Explain.** The band's own F is below 1 because a program that looks for beats may miss them; the codec keeps them. Its
# correlations are lower still: notes also fall between the turns of a motion, and people move early, late, or on every second beat.

# %% [markdown]
# ### What is each part worth?
#
# An *ablation* takes one part away and looks at what gets worse. Here the model sees only the face (expressions), or only the movement (of
# head, shoulders and arms), or somebody else. The prompts of this table tell neither tempo nor mood. *Energy*: does loudness go
# with the song's? *Mode*: is the music major or minor, as the song is? *Tags*: does a program hear the same properties as in the song?
#
# **Predict:** which costs more beats when it is hidden, the face or the movement? What should music for *another* person's video score here?

# %%
ablation = json.loads(Path("../figures/results.json").read_text())
columns = {"beats": "beat F-measure", "tempo": "tempo within 4%", "energy": "energy correlation",
           "mode": "mode agreement", "tags": "tag adherence"}  # fmt: skip
lines = [f"| {ablation['clips']} people | " + " | ".join(columns) + " |", "|---" * 6 + "|"]
for name in ("text only", "face only", "motion only", "face + motion", "another person's video", "the band itself"):
    cells = [ablation["rows"][name][column] for column in columns.values()]
    lines.append(
        f"| {name} | " + " | ".join("{:.2f} ({:.2f}, {:.2f})".format(c["mean"], *c["95"]) for c in cells) + " |"
    )
display(Markdown("\n".join(lines)))

# %%
shown = [gain for gain in ablation["gains"] if "interpolation" not in gain["against"] and "noisy" not in gain["row"]]
for gain in shown:
    p = f"p {gain['p']:.4f}, by Bonferroni {min(1.0, len(ablation['gains']) * gain['p']):.3f}"
    print(f"{gain['row']} / {gain['against']}: {gain['column']} {gain['gain']:+.2f}, {p}")

# %% [markdown]
# **Look** at the second list for whether two rows differ: the same people are in both, so each difference has a test of its own. Two
# intervals that overlap say little about that. Nine pairs were tested, of which six are shown: so Bonferroni's p is nine times as large.
#
# **Explain.** Beats, tempo and loudness come mostly by way of the movement, and the mode, which these people show by smiling, by way of
# the face: the rows without it are near one half, which is chance. Of loudness the face alone tells something, too; whether it adds any
# to what the movement tells, the list leaves open. The band itself shows how much more there is to gain. Music
# for somebody else's video scores like music for nobody's, as it should; its tags suffer little, because the prompt is still the song's.
# (But for the tempo: a style alone narrows it down, while with somebody else's video music goes at that person's.)
# [All thirteen rows](../figures/results.md) tell more, such as what smoothing is worth.

# %% [markdown]
# ## 6. By ear, and blind
#
# Scores stand in for people who listen. Three pairs of takes for the bundled clip, each pair with one prompt and equally loud: one take
# was made for her, the other for a stranger. A coin decides which is A, and nobody tells you. Write all answers down before you go on.
#
# **Predict:** how many of three must be right before you believe yourself?

# %%
video, n_pairs = example_clip(), 3
seconds = el.probe(video).duration_s
her = el.extract_controls(el.extract_landmarks(video, progress=False), duration_s=seconds)

# %%
_, strangers, _ = evaluation.held_out(n_pairs, seconds, first=n_people)
prompts = ["happy rock with guitar, bass and drums", "techno with synth lead and drums", "funk with bass and drums"]
codes = generate_codes(pipeline, prompts * 2, [her] * n_pairs + strangers, el.Settings())
takes = [fit_to_duration(to_audio(musicgen, each), rate, seconds) for each in codes]

# %%
hers_is_a = np.random.default_rng(8).random(n_pairs) < 0.5  # do not print it
for pair in range(n_pairs):
    both = takes[pair], takes[n_pairs + pair]
    both = [gain * take for gain, take in zip(matched(*both), both, strict=True)]
    for letter, sound in zip("AB", both if hers_is_a[pair] else both[::-1], strict=True):
        el.mux_audio(video, sound, rate, f"out/blind_{pair + 1}{letter}.mp4", overwrite=True)


# %%
def listen(pair):
    """Both takes of a pair with her video."""
    for letter in "AB":
        print(letter)
        display(Video(f"out/blind_{pair}{letter}.mp4", embed=True, width=280))


listen(1)

# %%
listen(2)

# %%
listen(3)

# %% [markdown]
# p is how often somebody who guesses gets at least as many right: the upper tail of a *binomial* distribution. A simulated listener, right
# in 70 % of all pairs, answers as well.

# %%
mine = {1: ..., 2: ..., 3: ...}  # pair: the one that fits her, "A" or "B"

# %%
by_hand = sum(comb(12, k) for k in range(10, 13)) / 2**12
assert np.isclose(by_hand, binomtest(10, 12, alternative="greater").pvalue)


def verdict(right):
    """What a list of answers, right or wrong, says."""
    p = binomtest(int(sum(right)), len(right), alternative="greater").pvalue
    return f"{sum(right)} of {len(right)} right, p = {p:.3f}"


print("10 of 12:", round(by_hand, 3))

# %%
told = [hers_is_a[pair - 1] == (letter == "A") for pair, letter in mine.items() if letter is not ...]
print("simulated:", verdict(np.random.default_rng(0).random(n_pairs) < 0.7))
print("you:      ", verdict(told) if told else "no answer yet")
print("all right:", verdict([True] * n_pairs))

# %% [markdown]
# **Explain.** Three pairs cannot prove anything: one guesser in eight gets all right. How many does it take? Simulate the whole test
# many times; the share that reaches a p of 0.05 is its *power*.


# %%
def power(pairs, skill):
    """How often, in 20,000 tests, a listener who is right with probability `skill` reaches p <= 0.05."""
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
# **Explain.** With thirty-seven pairs, somebody who is right in 70 % has four chances in five of being told from a guesser; at 60 % it takes more
# than 150.
# (The curves have teeth because answers are whole numbers.) And they must be 37 *pairs*: thirty listeners to the same three pairs
# are the ten clips of one person again.

# %% [markdown]
# ## Exercises
#
# **1. Music that cannot see.** Make music for the same people with `visual_guidance=0.0` and compute own less others for the
# F-measure, with interval and p. *Target: a mean below that of `difference`.*

# %%
blind = ...  # for each person, own less others

check(blind, lambda: len(blind) == n_people and np.mean(blind) < difference.mean())

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# cannot_see = el.Settings(visual_guidance=0.0)
# unseeing = evaluation.make_music(pipeline, captions, controls, cannot_see, progress=False)
# blind_table = evaluation.score(unseeing, rate, pieces, controls)["beat F-measure"]
# blind = np.subtract(*metrics.against_others(blind_table))
# print(blind.mean(), metrics.bootstrap_interval(blind), flip_test(blind, all_signs(n_people)))
# ```
# </details>

# %% [markdown]
# **2. Swap people, not signs.** Flipping signs is not quite right here: everybody is also among the others of the others, and one
# score cannot simply change places with a mean of nine. So hand the music out anew: take the mean F of each of 10,000 random orders
# of the people. How often does it reach `own.mean()`? *Target: the mean of these means is within 0.01 of `table.mean()`.*

# %%
handed_out = ...  # 10,000 mean scores

check(handed_out, lambda: len(set(handed_out)) > 100 and abs(np.mean(handed_out) - table.mean()) < 0.01)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# rng = np.random.default_rng(0)
# handed_out = np.array([table[np.arange(n_people), rng.permutation(n_people)].mean() for _ in range(10_000)])
# print("p =", (1 + (handed_out >= own.mean() - 1e-9).sum()) / 10_001)
# ```
#
# A random order gives everybody their own music once in ten times, hence the whole table's mean. The order as it was counts as
# one more, hence the 1: p is never 0. This p asks whether it matters at all whose music it is.
# </details>

# %% [markdown]
# ## Quiz
#
# **1. Music for ten people scores 0.6 against its own person and 0.6 against the others. What follows?**  (a) It follows its person
# well. (b) Nothing speaks for its following anybody. (c) The score is broken.
#
# <details><summary>Answers</summary>
#
# - (a) Then it would fit that person better than others.
# - (b) **Right**: it fits anybody, perhaps because it is busy.
# - (c) The control told what 0.6 is worth; nothing is broken.
# </details>

# %% [markdown]
# **2. You film yourself ten times, and p is 0.001 over the ten clips. What may you claim?**  (a) That music follows people. (b)
# Nothing at all. (c) Something about clips of you.
#
# <details><summary>Answers</summary>
#
# - (a) You are one person, perhaps one whose tempo the model likes.
# - (b) That is too modest: there are ten clips.
# - (c) **Right**: one may speak about what was counted.
# </details>

# %% [markdown]
# ## What we saw
#
# - A score needs a control: the same music against people it was not made for.
# - Flipped signs tell how often luck alone does as well, the bootstrap how large the effect may be. Both count people, not clips.
# - Who tries enough scores finds something. What is to be tested is written down first.
# - A blind test needs dozens of different pairs, unless the difference is overwhelming.
#
# ## Limits
#
# - These people are synthetic. Of a real person nobody knows the beats; the correlation with the pulse and listeners are left.
# - A bootstrap interval over ten people is a little too narrow.
#
# ## References
#
# - Davies, Degara and Plumbley 2009, Evaluation methods for musical audio beat tracking algorithms. C4DM-TR-09-06.
# - Raffel et al. 2014, mir_eval. ISMIR: the library's F-measure.
# - Li et al. 2021, [AI Choreographer](https://arxiv.org/abs/2101.08779): the beat alignment score.
# - Fisher 1935, The design of experiments. Efron 1979, Bootstrap methods: another look at the jackknife. Annals of Statistics 7.
# - Hurlbert 1984, Pseudoreplication and the design of ecological field experiments. Ecological Monographs 54.
# - Gelman and Loken 2014, The statistical crisis in science. American Scientist 102: forking paths.
# - `expotion_lite/evaluation/metrics.py`, `evaluation.py` and `experiments.py`.
#
# ## Next
#
# Everything so far ran on nano. The same code with MusicGen as it was published: [09_the_real_thing](09_the_real_thing.ipynb).
