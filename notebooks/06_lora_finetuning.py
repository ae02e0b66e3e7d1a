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
# # LoRA fine-tuning: a frozen model learns to watch
#
# MusicGen has never seen anybody. To train all of it on people would cost much, and could cost it what it knows of music. So it stays
# frozen, and something small is added: an adapter that reads the person, and thin matrices that let the layers make use of it. Here you
# build both by hand, while an adapter of your own learns in the background.
#
# **Time:** four minutes of computing on two CPU cores, half of it while you read; 45 minutes with reading and listening. A GPU would take
# many more steps in the same time.
#
# **By the end you can**
#
# - *build* a LoRA layer and a visual adapter in a few lines each,
# - *explain* why both begin as no change, and which weights move first,
# - *compute* the loss of a batch by hand, and *say* what training hides, and why,
# - *read* three held-out losses, and *decide* whether a model sees,
# - *save* an adapter, and *compare* music from before and after.
#
# **You need** gradients and optimisers, [04_inside_musicgen](04_inside_musicgen.ipynb), and what examples are, from
# [05_data](05_data.ipynb).

# %%
import json
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Audio, display
from torch import nn
from torch.nn import functional as F

# %%
import expotion_lite as el
from expotion_lite import data, evaluation, generate_codes, load_pipeline, to_audio, training
from expotion_lite.course import check
from expotion_lite.musicgen import (
    IGNORED,
    AdapterConfig,
    attach,
    conditioned,
    embed_controls,
    inputs_and_labels,
    save_adapter,
    to_steps,
)
from expotion_lite.plots import plot_onsets, pulse_times

torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))  # half the cores for the training, half for you

# %% [markdown]
# ## 1. Start first, understand meanwhile
#
# Forty-eight synthetic people, each with a song of their own, teach; eight others with other songs judge. This takes a moment: every song
# must become codes.

# %%
musicgen = el.load("nano")
part_one = data.synthetic_examples(musicgen, 24, first_song=6000, first_performer=6000)

# %%
part_two = data.synthetic_examples(musicgen, 24, first_song=6024, first_performer=6024)

# %%
others = data.synthetic_examples(musicgen, 8, first_song=7000, first_performer=7000)


def quarters(examples):
    """Each performance cut into four."""
    n = examples.codes.shape[2] // 4
    cuts = [slice(k * n, (k + 1) * n) for k in range(4)]
    parts = [replace(examples, codes=examples.codes[..., cut], controls=examples.controls[:, cut]) for cut in cuts]
    return data.Examples.join(parts)


train, held_out = quarters(data.Examples.join([part_one, part_two])), quarters(others)
print(f"{len(train)} to train with, {len(held_out)} held out, of {train.codes.shape[2] / musicgen.frame_rate} s")

# %% [markdown]
# The bundled adapter watched more than a thousand people, dozens of channels of each. Yours has two minutes, so it gets short
# examples, four a step, six channels that often tell the beat, and a larger learning rate for the adapter, which starts from
# nothing, than for LoRA. (`past_dropout` comes in section 4.)
#
# **Predict:** on the held-out people the loss will be measured with their own video, with somebody else's, and with none. How should the
# three differ, if it learns to see?

# %%
channels = ("pulse", "motion_energy", "head_pitch", "head_roll", "shoulders_x", "shoulders_y")
config = training.TrainingConfig(hours=2 / 60, batch=4, lr=5e-4, adapter_lr=4e-3, past_dropout=0.7)


def learn(folder):
    """A fresh nano learns to watch; its log and its best adapter are kept in the folder."""
    return training.train_adapter(
        el.load("nano"), train.select(channels), held_out.select(channels), folder, config, progress=None
    )


# %%
before = globals().get("job")
if before is None or before.done():  # run twice, this cell starts no second training beside the first
    place = tempfile.TemporaryDirectory()
    log = Path(place.name) / "log.jsonl"
    job = ThreadPoolExecutor(1).submit(learn, Path(place.name))
while not (log.exists() or job.done()):  # until it is under way
    time.sleep(0.1)
print("Done." if job.done() else "It learns. Go on reading.")

# %% [markdown]
# ## 2. LoRA by hand
#
# A linear layer multiplies by a matrix *W*. LoRA (Hu 2021) leaves *W* alone and adds the product of two thin matrices: *B*, with *r*
# columns, and *A*, with *r* rows; *r* is the *rank*, alpha / *r* a fixed scale. The library PEFT gives that to every matrix of the decoder's
# layers.


# %%
class LoRA(nn.Module):
    """W x + alpha / r * B A x, of which only A and B are trained."""

    def __init__(self, linear, r, alpha):
        super().__init__()
        self.linear, self.scale = linear, alpha / r
        self.A = nn.Parameter(torch.randn(r, linear.in_features) / linear.in_features**0.5)
        self.B = nn.Parameter(torch.zeros(linear.out_features, r))

    def forward(self, x):
        return self.linear(x) + self.scale * (x @ self.A.T @ self.B.T)


# %% [markdown]
# **Predict:** what does a fresh one change? And at its first training step, with *B* = 0, which gets a gradient: *A*, *B*, both, neither?

# %%
bundled = load_pipeline()  # nano, with the adapter that comes along
theirs = bundled.musicgen.model.decoder.model.decoder.layers[0].fc1  # a layer of PEFT's, already trained
mine = LoRA(theirs.base_layer, bundled.config.rank, bundled.config.alpha)
x = torch.randn(10, theirs.in_features, generator=torch.Generator().manual_seed(0))
assert torch.equal(mine(x), theirs.base_layer(x))  # B = 0 changes nothing
mine(x).square().sum().backward()
print("A has a gradient:", bool(mine.A.grad.any()), "- B has one:", bool(mine.B.grad.any()))
print("W has the shape", tuple(mine.linear.weight.shape))
with torch.no_grad():
    mine.A.copy_(theirs.lora_A["default"].weight)
    mine.B.copy_(theirs.lora_B["default"].weight)
assert torch.allclose(mine(x), theirs(x), atol=1e-4)  # PEFT computes the same

# %% [markdown]
# **Explain.** The gradient of *A* passes through *B*, which is 0. So *B* moves first, and *A* a step later. Were neither 0, training would
# begin with noise in every layer.

# %%
width = musicgen.model.decoder.config.hidden_size
watcher = attach(el.load("nano"), AdapterConfig(channels, width))
trained = {name: p.numel() for name, p in watcher.named_parameters() if p.requires_grad}
lora = sum(size for name, size in trained.items() if "lora_" in name)
everything = sum(p.numel() for p in musicgen.model.parameters())
print(f"all of nano {everything:,}; LoRA {lora:,}; visual adapter {sum(trained.values()) - lora:,}")

# %% [markdown]
# *W* grows with the square of the width, *A* and *B* with the width: the larger a model, the more is saved, and nano is narrow.
# Memory is saved too, since each *trained* parameter also has a gradient and two numbers of the optimiser's.

# %% [markdown]
# ## 3. The visual adapter by hand
#
# LoRA brings nothing in. That is the visual adapter's work: it turns each frame's controls into a vector, which is added where the
# decoder adds up codes and position. Two convolutions look around, a linear layer, the *projection*, reads what they found and the
# controls themselves, and one factor, the *gate*, scales it all. (What the convolutions found is normalised and made small before, so that it
# is one voice among the controls.)


# %%
def by_hand(w, controls):
    """Controls (B, T, C) to what is added to the decoder's input, (B, T, D). w: a VisualAdapter's weights."""
    x, pad = controls.transpose(1, 2), w["inner.weight"].shape[-1] // 2
    for name in ("inner", "outer"):
        x = F.gelu(F.conv1d(x, w[f"{name}.weight"], w[f"{name}.bias"], padding=pad))
    x = F.layer_norm(x.transpose(1, 2), x.shape[1:2], w["norm.weight"], w["norm.bias"]) / x.shape[1] ** 0.5
    return w["gate"] * F.linear(torch.cat([x, controls], -1), w["project.weight"], w["project.bias"])


# %%
eyes = bundled.musicgen.model.decoder.model.decoder.visual_adapter.modules_to_save["default"]
seen = torch.from_numpy(held_out.select(bundled.config.channels).controls)
with torch.no_grad():
    assert torch.allclose(by_hand(eyes.state_dict(), seen), eyes(seen), atol=1e-4)

# %% [markdown]
# **Predict:** each convolution sees 25 frames of 20 ms. Somebody's pulse shows a bump in one single frame. For how long before and after
# does the output change?

# %%
frames, middle = np.arange(125), 62
still = torch.zeros(1, len(frames), len(bundled.config.channels))
bump = still.clone()
bump[0, middle, bundled.config.channels.index("pulse")] = 1
with torch.no_grad():
    change = (eyes(bump) - eyes(still))[0].norm(dim=-1).numpy()
reach = 2 * (bundled.config.kernel // 2)
assert change[np.abs(frames - middle) > reach].max() < 1e-3 * change.max()
figure, ax = plt.subplots(figsize=(8, 2.6))
ax.stem((frames - middle) / 50, change, markerfmt="C0.", basefmt="0.7")
ax.axvspan(-reach / 50, reach / 50, color="0.93", zorder=-1)
_ = ax.set(xlabel="time from the bump (s)", ylabel="change of the output")

# %% [markdown]
# **Look:** grey is what it can reach, 0.48 s each way. *Left* of 0 the music hears of a movement that has not happened yet. Into
# the music the decoder may never look ahead, since it would see what it must predict. The video is no secret: it was filmed before.
#
# The row of frame *t* goes to step *t*, see 04.
#
# **Predict:** the projection starts at 0. Does an untrained adapter change the logits? And which of these have a gradient at the first step:
# convolutions (`inner`, `outer`), projection, gate, *A*, *B*?


# %%
def ask(model, batch):
    """Logits of a batch, (B * K, S, V), with its video."""
    inputs, labels = inputs_and_labels(batch.codes, musicgen.pad)
    visual = to_steps(embed_controls(model, batch.controls), labels.shape[2])
    with conditioned(model, visual):
        return model(input_ids=batch.tokens, attention_mask=batch.mask, decoder_input_ids=inputs).logits


shown = np.ones(4)
batch = training.collate(musicgen, held_out.select(channels), np.arange(4), texts=shown, video=shown)

# %%
with torch.no_grad():
    inputs, labels = inputs_and_labels(batch.codes, musicgen.pad)
    blind = musicgen.model(input_ids=batch.tokens, attention_mask=batch.mask, decoder_input_ids=inputs).logits
    assert torch.allclose(ask(watcher, batch), blind, atol=1e-5)

training.loss_of(watcher, batch, musicgen.pad).backward()
for part in ("inner", "outer", "project", "gate", "lora_A", "lora_B"):
    grads = [p.grad for name, p in watcher.named_parameters() if p.requires_grad and part in name]
    print(f"{part:8}", "has a gradient" if any(grad.any() for grad in grads) else "-")

# %% [markdown]
# **Explain.** LoRA's trick again: one of two factors is 0. Projection and *B* move first, because the factor beside each is not 0.
# A step later the convolutions, the gate and *A* can. (The gate starts at 1: with gate *and* projection at 0 nothing would ever
# move. ControlNet, Zhang 2023, starts with zero layers, too.)

# %% [markdown]
# ## 4. The loss by hand
#
# How likely did the model find the code that came? The loss is minus the natural logarithm of that (so its unit is the *nat*),
# averaged over each codebook's codes, then over the codebooks. Where there is no code, because of the delay or because a recording
# is short, nothing is asked.


# %%
def loss_by_hand(logits, labels):
    """logits: (B, K, S, V). labels: (B, S, K), IGNORED where there is no code. A loss for each codebook, (K,)."""
    losses = []
    for k in range(labels.shape[-1]):
        there = labels[:, :, k] != IGNORED
        likely = logits[:, k][there].log_softmax(-1)
        losses.append(-likely[torch.arange(len(likely)), labels[:, :, k][there]].mean())
    return torch.stack(losses)


# %%
batch.codes[0, :, 60:] = -1  # the first example now ends early
with torch.no_grad():
    _, labels = inputs_and_labels(batch.codes, musicgen.pad)
    losses = loss_by_hand(ask(watcher, batch).unflatten(0, (4, -1)), labels)
    assert torch.allclose(losses.mean(), training.loss_of(watcher, batch, musicgen.pad), atol=1e-5)
for k, loss in enumerate(losses):
    print(f"codebook {k}: loss {loss:.2f}, as unsure as among {loss.exp():.0f} codes that are equally likely")

# %% [markdown]
# Training hides things now and then: the words or the person, so that guidance can ask without them; expression or motion, so that it makes
# something of each; and stretches of the music so far, since music tells its own next beat, and a model that hears all of it gains
# little by watching.
#
# **Predict:** at `past_dropout` 0.7, is 70 % of the music hidden?

# %%
many = training.collate(musicgen, train.select(channels), np.arange(24), texts=np.ones(24), video=np.ones(24))
heard = training.hide_past(many, config.past_dropout, np.random.default_rng(0)).past
figure, ax = plt.subplots(figsize=(8, 2.8))
ax.imshow(heard, aspect="auto", cmap="cividis", interpolation="nearest", extent=(0, heard.shape[1] / 50, 24, 0))
ax.set(xlabel="time (s)", ylabel="example", title="dark: hidden", yticks=(0, 8, 16, 24))
print(f"{1 - heard.mean():.0%} of the music hidden")

# %% [markdown]
# **Look:** three in ten examples stay whole, on average; in the others a part is hidden, anything from nothing to all, half on
# average, so that about 35 % of all is. So the model learns how far to trust the past, and how far the person.

# %% [markdown]
# ## 5. How far is it?
#
# The log as it stands. Held-out losses come every hundred steps; without any yet, nothing is drawn.


# %%
def read_log():
    """Say how far the training is. Returns the log's lines, and those of them that have held-out losses."""
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    print("done" if job.done() else "still learning", *(f"- step {r['step']}, gate {r['gate']:.2f}" for r in rows[-1:]))
    return rows, [row for row in rows if "held_out_loss" in row]


def column(rows, key):
    """One number of each line."""
    return np.array([row[key] for row in rows])


# %%
def so_far():
    """Draw the log, if there are held-out losses in it."""
    rows, judged = read_log()
    if judged:
        figure, axes = plt.subplots(1, 4, figsize=(9, 2.8), sharex=True)
        axes[0].plot(column(rows, "step"), column(rows, "loss"), color="0.4")
        for key, style in [("gate", "C3--"), ("added", "C3-")]:
            axes[3].plot(column(rows, "step"), column(rows, key), style, label=key)
        for key, name, style in [("", "own", "o-"), ("_shuffled", "another's", "s--"), ("_none", "none", "^:")]:
            steps, losses = column(judged, "step"), column(judged, "held_out_loss" + key)
            axes[1].plot(steps, losses, style, label=name)
            axes[2].plot(steps, losses - column(judged, "held_out_loss"), style)
        for ax, title in zip(axes, ("training", "held out", "held out,\nminus own", "the way in"), strict=True):
            ax.set(title=title, xlabel="step", ylabel="loss (nats per code)" if ax is axes[0] else "")
        figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=3, title="video")
        axes[3].set_ylim(0)
        axes[3].legend(loc="lower right")


# %%
so_far()

# %% [markdown]
# Four cells that wait until it is done, each 45 s at most. If you took your time, they end at once.

# %%
_ = wait([job], timeout=45)

# %%
_ = wait([job], timeout=45)

# %%
_ = wait([job], timeout=45)

# %%
_ = wait([job], timeout=45)
so_far()

# %% [markdown]
# **Look** at the third panel. *Another's* above 0 speaks for seeing: the model finds the music likelier with the person who moved to it. Does
# the line rise? (These are few people; 08 tells luck from more.)
#
# **Explain.** The other panels cannot say that. Their losses would also fall if LoRA only got to know the band; the held-out ones
# would rise if it learned the 48 songs by heart. Own and another's have all that in common, and *somebody* to look at. *None* is
# another comparison, and harder to win, since nano was born blind and plays well that way.
#
# Held out, all of the past is heard: so these losses are lower than those of training, and the differences small.
#
# The last panel is the way in: the gate, which starts at 1 and may well fall, and the length of the vectors that a video adds
# (*added*), which starts at 0. Only the latter counts: gate and projection are multiplied, and the projection grows.

# %% [markdown]
# ## 6. Keep it
#
# What was trained goes into one folder, in PEFT's format, with a note of the channels that it reads.

# %%
assert job.done(), "It is still learning. Wait half a minute, then run this cell and those after it."
model, description = job.result()
save_adapter(model, description, "out/my_adapter")
print({file.name: f"{file.stat().st_size / 1e3:,.1f} kB" for file in Path("out/my_adapter").iterdir()})
yours = load_pipeline("nano", "out/my_adapter")  # a fresh nano, and what was saved
with torch.no_grad():
    assert torch.allclose(ask(yours.peft_model, batch), ask(model, batch), atol=1e-5)

# %% [markdown]
# ## 7. Before and after
#
# First the number that can be trusted more than your ears: what another's video costs, on the held-out people. (It flatters yours a
# little: of all validations the one was kept whose loss on these people is lowest.)
#
# **Predict:** what is it for the untrained adapter? And for the bundled one, as a multiple of yours?

# %%
models, gaps = {"untrained": watcher, "yours": yours.peft_model, "bundled": bundled.peft_model}, {}
for name, each in models.items():
    seen = held_out.select(bundled.config.channels if name == "bundled" else channels)
    with torch.no_grad():
        added = embed_controls(each, torch.from_numpy(seen.controls)).norm(dim=-1).mean()
        losses = training.held_out_losses(each, musicgen, seen)
    gaps[name] = losses["loss_shuffled"] - losses["loss"]
    print(f"{name:10} another's video costs {gaps[name]:+.4f}; vectors added are {added:.2f} long")
assert abs(gaps["untrained"]) < 1e-5

# %% [markdown]
# Now music, for somebody whom no model has seen, by a prompt that does not tell the tempo. A young adapter whispers; visual
# guidance of 8 makes it louder.

# %%
rate = musicgen.sample_rate
_, people, prompts = evaluation.held_out(1, 5.0)
loud = el.Settings(visual_guidance=8.0)
figure, axes = plt.subplots(3, 1, figsize=(8, 5), sharex=True)
for ax, (name, pipeline) in zip(
    axes, {"untrained": load_pipeline("nano", None), "yours": yours, "bundled": bundled}.items(), strict=True
):
    made = to_audio(musicgen, generate_codes(pipeline, prompts, people, loud)[0])
    plot_onsets(made, rate, marks=pulse_times(people[0]), ax=ax).set_title(name)
    ax.label_outer()
    display(Audio(made, rate=rate))

# %% [markdown]
# **Look:** dotted lines mark the person's pulse. Whose notes begin there?
#
# **Explain.** One piece can be luck. How many it takes, and how to tell luck from seeing, is the subject of
# [08_does_it_work](08_does_it_work.ipynb).

# %% [markdown]
# ## Exercises
#
# **1. How large?** Write the number of LoRA's parameters as a function of its rank, from the shapes of nano's layers;
# `el.musicgen.LORA_TARGETS` names those in `musicgen.model.decoder` that get one. *Target: at rank 16 the number that PEFT has, `lora`;
# at rank 4 a quarter of it.*

# %%
lora_size = ...  # a function of the rank

check(lora_size, lambda: lora_size(16) == lora == 4 * lora_size(4))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def lora_size(r):
#     named = musicgen.model.decoder.named_modules()
#     layers = [layer for name, layer in named if name.split(".")[-1] in el.musicgen.LORA_TARGETS]
#     return sum(r * (layer.in_features + layer.out_features) for layer in layers)
#
#
# print(lora_size(16), lora_size(4))
# ```
# </details>

# %% [markdown]
# **2. Four ways to be asked.** `text_dropout` and `video_dropout` are 0.2, and independent. Draw 100,000 examples. Which share has
# both words and person, which one of them, which neither? Guidance asks in three ways (see 04): in which of these? *Target: within
# half a percent of what the product of the chances says.*

# %%
shares = ...  # a dictionary: (words there?, person there?) -> share, for all four

chance = {True: 0.8, False: 0.2}
check(shares, lambda: all(abs(shares[w, p] - chance[w] * chance[p]) < 0.005 for w in chance for p in chance))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# words, person = np.random.default_rng(0).random((2, 100_000)) >= 0.2
# shares = {(w, p): np.mean((words == w) & (person == p)) for w in (True, False) for p in (True, False)}
# for (w, p), share in shares.items():
#     print(f"words {w!s:5}  person {p!s:5}  {share:.1%}")
# ```
#
# It asks with neither, with words, and with both; the person alone is asked for when `guidance` is 0. None is new to the model.
# </details>

# %% [markdown]
# ## Quiz
#
# **1. All three held-out losses fell from 2.60 to 2.50. What has been learned?**  (a) To see. (b) Something about the music. (c) Nothing.
#
# <details><summary>Answers</summary>
#
# - (a) Then another's video would mislead it, and cost something.
# - (b) **Right**: LoRA came to know the band better, and no look at the person was needed.
# - (c) A tenth of a nat on songs that it never trained on is something.
# </details>

# %% [markdown]
# **2. To be quite safe, somebody starts with *A* and *B* at 0. What happens?**  (a) It trains as usual. (b) It begins with noise.
# (c) It never trains.
#
# <details><summary>Answers</summary>
#
# - (a) The gradient of each is multiplied by the other.
# - (b) The product is 0, so it begins as no change.
# - (c) **Right**: both gradients are 0, and stay so.
# </details>

# %% [markdown]
# ## What we saw
#
# - LoRA adds a product of thin matrices, the visual adapter a vector at each step; each starts with one factor at 0, and so as no change.
# - The loss asks only where there is a code. What training hides, a model learns to do without.
# - Own against another's: this difference says whether a model sees. A falling loss does not.
# - One folder of a few megabytes makes a frozen model watch.
#
# ## Limits
#
# - Two minutes, 48 people, six channels: your adapter follows the beat at best, and only when guidance exaggerates it.
# - The best adapter is kept by the held-out loss, so these eight people have had a say, and flatter it a little.
# - Everybody here is synthetic. Real people move less regularly.
#
# ## References
#
# - Hu et al. 2021, [LoRA](https://arxiv.org/abs/2106.09685).
# - Zhang et al. 2023, [ControlNet](https://arxiv.org/abs/2302.05543): control that starts at zero.
# - Ho and Salimans 2022, [Classifier-free guidance](https://arxiv.org/abs/2207.12598): why conditions are dropped.
# - Bowman et al. 2016, [Generating sentences from a continuous space](https://arxiv.org/abs/1511.06349): word dropout, which hides the past.
# - Izzati, Li and Xia 2025, [Expotion](https://arxiv.org/abs/2507.04955): fine-tuning MusicGen to follow a video.
# - `expotion_lite/musicgen/adapter.py` and `training.py`; [PEFT](https://github.com/huggingface/peft).
#
# ## Next
#
# The model as an instrument: [07_play_it](07_play_it.ipynb).
#
# Your adapter plays for any video: `el.generate("me.mp4", "happy rock", adapter="out/my_adapter", visual_guidance=8)`. To go on
# from the bundled one instead, for as long as you like: `expotion-lite finetune synthetic --start bundled -o longer --minutes 20`.
