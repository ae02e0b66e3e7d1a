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
# MusicGen has never seen a person. To train all of it on videos would be expensive, and it could forget what
# it knows of music. So it stays frozen, and a small *adapter* is added: a network that reads the person, and
# thin matrices (*LoRA*) that let the layers use what it reads. Here you build both by hand, while an adapter
# of your own trains in the background.
#
# **Time:** four minutes of computing on two CPU cores, half of it while you read; 45 minutes with reading and
# listening. A GPU would take many more steps in the same time.
#
# **By the end you can**
#
# - *build* a LoRA layer and a visual adapter in a few lines each,
# - *explain* why both change nothing at first, and which weights move first,
# - *compute* the loss of a batch by hand, and *say* what training hides, and why,
# - *read* three held-out losses, and *decide* whether a model sees,
# - *save* an adapter, and *compare* music from before and after.
#
# **You need** gradients and optimisers, [04_inside_musicgen](04_inside_musicgen.ipynb), and what examples
# are, from [05_data](05_data.ipynb).

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
from expotion_lite.course import check
from expotion_lite.musicgen import (
    IGNORED,
    AdapterConfig,
    attach,
    conditioned,
    embed_controls,
    frames_to_steps,
    inputs_and_labels,
    save_adapter,
)

# half of the cores for the training, the other half for you
torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))

# %% [markdown]
# ## 1. Start the training, understand it meanwhile
#
# Forty-eight synthetic people, each with a song of their own, are for training. Eight others, with other
# songs, are held out. Turning every song into codes takes a moment.

# %%
musicgen = el.load("nano", device="cpu")
synthetic = el.data.synthetic_examples
first_half = synthetic(musicgen, 24, first_song=6000, first_performer=6000)

# %%
second_half = synthetic(musicgen, 24, first_song=6024, first_performer=6024)

# %%
others = synthetic(musicgen, 8, first_song=7000, first_performer=7000)


# %%
def quarters(examples):
    """Cut each performance into four."""
    n = examples.codes.shape[2] // 4
    parts = []
    for k in range(4):
        codes = examples.codes[..., k * n : (k + 1) * n]
        controls = examples.controls[:, k * n : (k + 1) * n]
        parts.append(replace(examples, codes=codes, controls=controls))
    return el.data.Examples.join(parts)


train, held_out = quarters(el.data.Examples.join([first_half, second_half])), quarters(others)
print(f"{len(train)} examples to train with, {len(held_out)} held out")
print(f"each has {train.codes.shape[2] / musicgen.frame_rate} s")

# %% [markdown]
# The bundled adapter learned for much longer, from many more pieces. Yours has two minutes. So it gets short
# examples, four a step, and six channels that often show the beat. The visual adapter starts from nothing, so
# its learning rate is larger than LoRA's. (Section 4 explains `past_dropout`.)
#
# **Predict:** three losses will be measured on the held-out people: with their own video, with another
# person's, and with none. How should they differ, if the model learns to see?

# %%
channels = ("event", "activity", "pulse", "motion_energy", "head_pitch", "shoulders_y")
config = el.TrainingConfig(hours=2 / 60, batch=4, lr=5e-4, adapter_lr=4e-3, past_dropout=0.7)


def learn(folder):
    """Train an adapter for a fresh nano. Its log and its best weights go into the folder."""
    examples = train.select(channels), held_out.select(channels)
    return el.training.train_adapter(el.load("nano", device="cpu"), *examples, folder, config)


# %%
running = globals().get("job")
if running is None or running.done():  # a second run of this cell starts no second training
    folder = tempfile.TemporaryDirectory()
    log = Path(folder.name) / "log.jsonl"
    job = ThreadPoolExecutor(1).submit(learn, Path(folder.name))
while not (log.exists() or job.done()):
    time.sleep(0.1)
print("Done." if job.done() else "The training runs. Go on reading.")

# %% [markdown]
# ## 2. LoRA by hand
#
# A linear layer multiplies its input by a matrix *W*. LoRA (Hu 2021) freezes *W* and adds the product of two
# thin matrices: *B* with *r* columns, and *A* with *r* rows. *r* is the *rank*. The product is scaled by
# alpha / *r*. The library PEFT does this for every matrix of the decoder's layers.


# %%
class LoRA(nn.Module):
    """A layer W x + alpha / r * B A x, of which only A and B are trained."""

    def __init__(self, linear, r, alpha):
        super().__init__()
        self.linear, self.scale = linear, alpha / r
        self.A = nn.Parameter(torch.randn(r, linear.in_features) / linear.in_features**0.5)
        self.B = nn.Parameter(torch.zeros(linear.out_features, r))

    def forward(self, x):
        return self.linear(x) + self.scale * (x @ self.A.T @ self.B.T)


# %% [markdown]
# **Predict:** what does a new LoRA layer change? *B* is 0. At the first training step, which gets a gradient:
# *A*, *B*, both, or neither?

# %%
bundled = el.load_pipeline(device="cpu")  # nano with the bundled adapter
peft_layer = bundled.musicgen.model.decoder.model.decoder.layers[0].fc1  # trained, by PEFT
layer = LoRA(peft_layer.base_layer, bundled.config.rank, bundled.config.alpha)
x = torch.randn(10, peft_layer.in_features, generator=torch.Generator().manual_seed(0))
assert torch.equal(layer(x), peft_layer.base_layer(x))  # with B = 0 nothing changes
layer(x).square().sum().backward()
print("A has a gradient:", bool(layer.A.grad.any()))
print("B has a gradient:", bool(layer.B.grad.any()))
print("W has the shape", tuple(layer.linear.weight.shape))
with torch.no_grad():
    layer.A.copy_(peft_layer.lora_A["default"].weight)
    layer.B.copy_(peft_layer.lora_B["default"].weight)
assert torch.allclose(layer(x), peft_layer(x), atol=1e-4)  # PEFT computes the same

# %% [markdown]
# **Explain.** The gradient of *A* is multiplied by *B*, which is 0. So *B* moves first, and *A* one step
# later. If neither were 0, training would begin with noise in every layer.

# %%
width = musicgen.model.decoder.config.hidden_size
untrained = attach(el.load("nano", device="cpu"), AdapterConfig(channels, width))
sizes = {name: p.numel() for name, p in untrained.named_parameters() if p.requires_grad}
peft_size = sum(size for name, size in sizes.items() if "lora_" in name)
all_of_nano = sum(p.numel() for p in musicgen.model.parameters())
adapter_size = sum(sizes.values()) - peft_size
print(f"all of nano {all_of_nano:,}; LoRA {peft_size:,}; visual adapter {adapter_size:,}")

# %% [markdown]
# *W* grows with the square of the width, *A* and *B* only with the width. So LoRA saves more in a larger
# model; nano is narrow. It also saves memory: each *trained* parameter needs a gradient and two numbers of
# the optimiser.

# %% [markdown]
# ## 3. The visual adapter by hand
#
# LoRA adds no input. The visual adapter does: it turns each frame's controls into a vector, which is added to
# the decoder's input, beside codes and position. Two convolutions compute features of the movement around the
# frame. The features are normalised, and scaled down so that they cannot drown the controls. A linear layer,
# the *projection*, reads features and controls. One factor, the *gate*, scales its result.


# %%
def by_hand(w, controls):
    """Compute what is added to the decoder's input, (B, T, D).

    w: weights of a VisualAdapter. controls: (B, T, C).
    """
    x, pad = controls.transpose(1, 2), w["inner.weight"].shape[-1] // 2
    for name in ("inner", "outer"):
        x = F.gelu(F.conv1d(x, w[f"{name}.weight"], w[f"{name}.bias"], padding=pad))
    n_features = x.shape[1]
    x = F.layer_norm(x.transpose(1, 2), (n_features,), w["norm.weight"], w["norm.bias"])
    x = torch.cat([x / n_features**0.5, controls], -1)
    return w["gate"] * F.linear(x, w["project.weight"], w["project.bias"])


# %%
decoder = bundled.musicgen.model.decoder.model.decoder
visual_adapter = decoder.visual_adapter.modules_to_save["default"]
controls = torch.from_numpy(held_out.select(bundled.config.channels).controls)
with torch.no_grad():
    same = by_hand(visual_adapter.state_dict(), controls)
    assert torch.allclose(same, visual_adapter(controls), atol=1e-4)

# %% [markdown]
# **Predict:** each convolution reads 25 frames of 20 ms. The channel `event` is 1 in a single frame. How long
# before and after it does the output change?

# %%
frames, middle = np.arange(125), 62
still = torch.zeros(1, len(frames), len(bundled.config.channels))
bump = still.clone()
bump[0, middle, bundled.config.channels.index("event")] = 1
with torch.no_grad():
    difference = visual_adapter(bump) - visual_adapter(still)
change = difference[0].norm(dim=-1).numpy()
reach = 2 * (bundled.config.kernel // 2)
assert change[np.abs(frames - middle) > reach].max() < 1e-3 * change.max()
figure, ax = plt.subplots(figsize=(8, 2.6))
ax.stem((frames - middle) / 50, change, markerfmt="C0.", basefmt="0.7")
ax.axvspan(-reach / 50, reach / 50, color="0.93", zorder=-1)
_ = ax.set(xlabel="time from the bump (s)", ylabel="change of the output")

# %% [markdown]
# **Look:** grey marks what the bump can reach, 0.48 s each way. *Left* of 0 the output changes before the
# movement happens. In the music the decoder must never look ahead, because it would see what it has to
# predict. In the video it may: all of it is there before the music is made.
#
# The output for frame *t* is added at step *t* (04).
#
# **Predict:** the projection starts at 0. Does an untrained adapter change the logits? At the first step,
# which of these have a gradient: convolutions (`inner`, `outer`), projection, gate, *A*, *B*?


# %%
def logits_of(model, batch):
    """Return the logits of a batch with its video, (B * K, S, V)."""
    inputs, labels = inputs_and_labels(batch.codes, musicgen.pad)
    visual = frames_to_steps(embed_controls(model, batch.controls), labels.shape[2])
    words = {"input_ids": batch.tokens, "attention_mask": batch.mask}
    with conditioned(model, visual):
        return model(**words, decoder_input_ids=inputs).logits


batch = el.training.collate(musicgen, held_out.select(channels), np.arange(4))

# %%
inputs, _ = inputs_and_labels(batch.codes, musicgen.pad)
words = {"input_ids": batch.tokens, "attention_mask": batch.mask}
with torch.no_grad():
    without_adapter = musicgen.model(**words, decoder_input_ids=inputs).logits
    assert torch.allclose(logits_of(untrained, batch), without_adapter, atol=1e-5)

# %%
el.training.loss_of(untrained, batch, musicgen.pad).backward()
trained = [(name, p) for name, p in untrained.named_parameters() if p.requires_grad]
for part in ("inner", "outer", "project", "gate", "lora_A", "lora_B"):
    moves = any(p.grad.any() for name, p in trained if part in name)
    print(f"{part:8}", "has a gradient" if moves else "-")

# %% [markdown]
# **Explain.** As in LoRA, one of two factors is 0. Projection and *B* move first, because the factors beside
# them are not 0. One step later the convolutions, the gate and *A* can move. (The gate starts at 1. With gate
# *and* projection at 0 nothing would ever move. ControlNet, Zhang 2023, also starts with layers of zeros.)

# %% [markdown]
# ## 4. The loss by hand
#
# How probable was the right code for the model? The loss is minus the natural logarithm of this probability,
# so its unit is the *nat*. It is averaged over each codebook's codes, then over the codebooks. Positions
# without a code do not count. The delay pattern leaves some empty, and so does a short recording.


# %%
def loss_by_hand(logits, labels):
    """Return the loss of each codebook, (K,).

    logits: (B, K, S, V). labels: (B, S, K), IGNORED where there is no code.
    """
    losses = []
    for k in range(labels.shape[-1]):
        has_code = labels[:, :, k] != IGNORED
        log_probs = logits[:, k][has_code].log_softmax(-1)
        right = labels[:, :, k][has_code]
        losses.append(-log_probs[torch.arange(len(right)), right].mean())
    return torch.stack(losses)


# %%
batch.codes[0, :, 60:] = -1  # the first example now ends early
_, labels = inputs_and_labels(batch.codes, musicgen.pad)
with torch.no_grad():
    losses = loss_by_hand(logits_of(untrained, batch).unflatten(0, (4, -1)), labels)
    library = el.training.loss_of(untrained, batch, musicgen.pad)
assert torch.allclose(losses.mean(), library, atol=1e-5)
for k, loss in enumerate(losses):
    print(f"codebook {k}: loss {loss:.2f}, as for {loss.exp():.0f} equally probable codes")

# %% [markdown]
# Training hides things from the model in some of the examples:
#
# - The words or the video: guidance needs predictions without them.
# - Expression or motion: so that the model uses each of them.
# - Stretches of the music so far: music tells its own next beat, so a model that hears all of it gains little
#   from watching.
#
# **Predict:** at `past_dropout` 0.7, is 70 % of the music hidden?

# %%
many = el.training.collate(musicgen, train.select(channels), np.arange(24))
rng = np.random.default_rng(0)
past = el.training.hide_past(many, config.past_dropout, rng).past  # 0 where it is hidden
figure, ax = plt.subplots(figsize=(8, 2.8))
extent = (0, past.shape[1] / 50, 24, 0)
ax.imshow(past, aspect="auto", cmap="cividis", interpolation="nearest", extent=extent)
ax.set(xlabel="time (s)", ylabel="example", title="dark: hidden", yticks=(0, 8, 16, 24))
print(f"{1 - past.mean():.0%} of the music hidden")

# %% [markdown]
# **Look:** three in ten examples stay whole, on average. In the others the hidden part is anything from
# nothing to all, on average half. So about 35 % of all music is hidden. The model learns how far to trust the
# past, and how far the person.
#
# The bundled adapter learned mostly from music to which *nobody* moves. The music's own onsets stood in for
# the events of a person, made as imperfect as those of people. So any music can teach it to follow.

# %%
music = el.to_audio(musicgen, held_out.codes[0].astype(int))
n_frames = held_out.codes.shape[2]
onsets = el.training.onset_curves(music, musicgen.sample_rate, n_frames)
figure, ax = plt.subplots(figsize=(8, 2.6))
el.plots.plot_onsets(music, musicgen.sample_rate, ax=ax)
for seed, style in enumerate(("C3", "C1--", "C2:")):
    event, activity = el.training.draw_event_curves(onsets, np.random.default_rng(seed)).T
    ax.plot((np.arange(n_frames) + 0.5) / 50, event, style, label=f"draw {seed + 1}")
_ = figure.legend(loc="outside right center")

# %% [markdown]
# ## 5. How far is the training?
#
# Here is the log. Held-out losses come every hundred steps; before that, nothing is drawn.


# %%
def read_log():
    """Print the state of the training. Return the log's rows, and those with held-out losses."""
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    print("done" if job.done() else "still training")
    if rows:
        print(f"step {rows[-1]['step']}, gate {rows[-1]['gate']:.2f}")
    return rows, [row for row in rows if "held_out_loss" in row]


def column(rows, key):
    """Return one number of each row, as an array."""
    return np.array([row[key] for row in rows])


# %%
def plot_held_out(rows, axes):
    """Plot the three held-out losses, and their differences from the loss with the own video."""
    own, steps = column(rows, "held_out_loss"), column(rows, "step")
    lines = {"own": ("", "o-"), "another's": ("_shuffled", "s--"), "none": ("_none", "^:")}
    for name, (key, style) in lines.items():
        losses = column(rows, "held_out_loss" + key)
        axes[0].plot(steps, losses, style, label=name)
        axes[1].plot(steps, losses - own, style)


# %%
def plot_log():
    """Plot the log, if it has held-out losses."""
    rows, validations = read_log()
    if validations:
        figure, axes = plt.subplots(1, 4, figsize=(9, 2.8), sharex=True)
        axes[0].plot(column(rows, "step"), column(rows, "loss"), color="0.4")
        plot_held_out(validations, axes[1:3])
        for key, style in [("gate", "C3--"), ("added", "C3-")]:
            axes[3].plot(column(rows, "step"), column(rows, key), style, label=key)
        titles = ("training", "held out", "held out,\nminus own", "visual adapter")
        for ax, title in zip(axes, titles, strict=True):
            ax.set(title=title, xlabel="step")
        axes[0].set_ylabel("loss (nats per code)")
        axes[3].set_ylim(0)
        axes[3].legend(loc="lower right")
        handles = axes[1].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=3, title="video")


# %%
plot_log()

# %% [markdown]
# The next four cells wait for the end of the training, each for at most 45 s.

# %%
_ = wait([job], timeout=45)

# %%
_ = wait([job], timeout=45)

# %%
_ = wait([job], timeout=45)

# %%
_ = wait([job], timeout=45)
plot_log()

# %% [markdown]
# **Look** at *another's* in the third panel. Above 0, the music is more probable with its own person's video:
# the model sees. Does the line rise? (With so few people it may be luck, see 08.)
#
# **Explain.** The other panels cannot show this. Their losses also fall if LoRA only gets to know the band.
# The held-out losses rise if it learns the 48 songs by heart. *Own* and *another's* share both effects, and
# in both the model sees *somebody*. *None* is a harder comparison: nano was trained without video and plays
# well without it.
#
# Held-out losses are measured with all of the past. So they are lower than the training loss, and the
# differences are small.
#
# The last panel shows the gate, and *added*: the length of the vectors that a video adds. The gate starts at
# 1 and may fall. *Added* starts at 0. Judge by *added*, not by the gate: the projection can grow while the
# gate falls.

# %% [markdown]
# ## 6. Keep it
#
# What was trained goes into one folder, in PEFT's format, with the names of its channels.

# %%
assert job.done(), "The training still runs. Wait half a minute, then run this cell again."
model, description = job.result()
save_adapter(model, description, "out/my_adapter")
for file in Path("out/my_adapter").iterdir():
    print(f"{file.name}: {file.stat().st_size / 1e3:,.1f} kB")
yours = el.load_pipeline("nano", "out/my_adapter", device="cpu")  # a fresh nano, and what was saved
with torch.no_grad():
    reloaded = logits_of(yours.peft_model, batch)
    assert torch.allclose(reloaded, logits_of(model, batch), atol=1e-5)

# %% [markdown]
# ## 7. Before and after
#
# First a number, which is more reliable than your ears: the held-out loss with another person's video minus
# that with the own. (It is a little too good for your adapter: of all its versions, the one with the lowest
# loss on these people was kept.)
#
# **Predict:** what is it for the untrained adapter? For the bundled one, how many times yours?

# %%
models = {"untrained": untrained, "yours": yours.peft_model, "bundled": bundled.peft_model}
differences = {}
for name, each in models.items():
    seen = held_out.select(bundled.config.channels if name == "bundled" else channels)
    with torch.no_grad():
        added = embed_controls(each, torch.from_numpy(seen.controls)).norm(dim=-1).mean()
        losses = el.training.held_out_losses(each, musicgen, seen)
    differences[name] = losses["loss_shuffled"] - losses["loss"]
    print(f"{name:10} another's minus own {differences[name]:+.4f}; added {added:.2f}")
assert abs(differences["untrained"]) < 1e-5

# %% [markdown]
# Now music, for a person whom no model has seen, and with a prompt that does not tell the tempo. A young
# adapter has little effect. A visual guidance of 8 amplifies it.

# %%
_, people, prompts = el.evaluation.held_out(1, 5.0)
strong = el.Settings(visual_guidance=8.0)
pipelines = {"untrained": el.load_pipeline("nano", None, device="cpu"), "yours": yours, "bundled": bundled}
marks = el.plots.event_times(people[0])
figure, axes = plt.subplots(3, 1, figsize=(8, 5), sharex=True)
for ax, (name, pipeline) in zip(axes, pipelines.items(), strict=True):
    codes = el.generate_codes(pipeline, prompts, people, strong)[0]
    music = el.to_audio(musicgen, codes)
    el.plots.plot_onsets(music, musicgen.sample_rate, marks=marks, ax=ax).set_title(name)
    ax.label_outer()
    display(Audio(music, rate=musicgen.sample_rate))

# %% [markdown]
# **Look:** dotted lines mark the person's events. In which music do notes begin there?
#
# **Explain.** One piece can be luck. [08_does_it_work](08_does_it_work.ipynb) shows how many it takes, and
# how to tell luck from seeing.

# %% [markdown]
# ## Exercises
#
# **1. How large?** Write a function that returns the number of LoRA's parameters for a rank, from the shapes
# of nano's layers. `el.musicgen.LORA_TARGETS` names the layers of `musicgen.model.decoder` that get a pair of
# matrices. *Target: at rank 16 PEFT's number, `peft_size`; at rank 4 a quarter of it.*

# %%
lora_size = ...  # a function of the rank

check(lora_size, lambda: lora_size(16) == peft_size == 4 * lora_size(4))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def lora_size(r):
#     modules = musicgen.model.decoder.named_modules()
#     targets = el.musicgen.LORA_TARGETS
#     layers = [layer for name, layer in modules if name.split(".")[-1] in targets]
#     return sum(r * (layer.in_features + layer.out_features) for layer in layers)
#
#
# print(lora_size(16), lora_size(4))
# ```
# </details>

# %% [markdown]
# **2. Shown or hidden.** `text_dropout` and `video_dropout` are 0.2, and independent. Draw 100,000 examples.
# What share shows both words and person, only one of them, or neither? Which of these four cases does
# guidance need (04)? *Target: within half a percent of the product of the probabilities.*

# %%
shares = ...  # a dictionary: (words shown?, person shown?) -> share, for all four cases

chance = {True: 0.8, False: 0.2}


def all_close():
    errors = [shares[w, p] - chance[w] * chance[p] for w in chance for p in chance]
    return max(map(abs, errors)) < 0.005


check(shares, all_close)

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
# Guidance uses three cases: neither, words only, and both. With `guidance=0` it uses neither and person only.
# The model has seen all four.
# </details>

# %% [markdown]
# ## Quiz
#
# **1. All three held-out losses fell from 2.60 to 2.50. What has been learned?**  (a) To see. (b) Something
# about the music. (c) Nothing.
#
# <details><summary>Answers</summary>
#
# - (a) Then another person's video would raise the loss.
# - (b) **Right**: LoRA got to know the band better. It did not need the person.
# - (c) A tenth of a nat on songs that it never trained on is something.
# </details>

# %% [markdown]
# **2. To be quite safe, somebody starts with both *A* and *B* at 0. What happens?**  (a) It trains as usual.
# (b) It begins with noise. (c) It never trains.
#
# <details><summary>Answers</summary>
#
# - (a) The gradient of each is multiplied by the other.
# - (b) The product is 0, so at first nothing changes.
# - (c) **Right**: both gradients are 0, and stay 0.
# </details>

# %% [markdown]
# ## What we saw
#
# - LoRA adds a product of thin matrices, and the visual adapter a vector at each step. In both, one factor
#   starts at 0, so that at first nothing changes.
# - The loss counts only where there is a code. A model learns to do without what training hides.
# - The difference between own and another's video shows whether a model sees. A falling loss does not.
# - One folder of a few megabytes makes a frozen model watch.
#
# ## Limits
#
# - Your adapter had two minutes, 48 people and six channels. At best it follows the beat, when guidance
#   amplifies it.
# - The best version is chosen by the loss on the held-out people. This makes their result a little too good.
# - Real people move less regularly than these synthetic ones.
#
# ## References
#
# - Hu et al. 2021, [LoRA](https://arxiv.org/abs/2106.09685).
# - Zhang et al. 2023, [ControlNet](https://arxiv.org/abs/2302.05543): control that starts at zero.
# - Ho and Salimans 2022, [Classifier-free guidance](https://arxiv.org/abs/2207.12598): why conditions are
#   dropped.
# - Bowman et al. 2016, [Generating sentences from a continuous space](https://arxiv.org/abs/1511.06349): word
#   dropout, which hides the past.
# - Izzati, Li and Xia 2025, [Expotion](https://arxiv.org/abs/2507.04955): fine-tuning MusicGen to follow a
#   video.
# - Event curves in place of a video: V2M-Zero, [arXiv 2603.11042](https://arxiv.org/abs/2603.11042).
# - `expotion_lite/musicgen/adapter.py`, `expotion_lite/training/loop.py`, `hiding.py` and `event_curves.py`;
#   [PEFT](https://github.com/huggingface/peft).
#
# ## Next
#
# The model as an instrument: [07_play_it](07_play_it.ipynb).
#
# Your adapter works with any video: `el.generate("me.mp4", "happy rock", adapter="out/my_adapter",
# visual_guidance=8)`. To continue the training of the bundled one instead: `expotion-lite finetune synthetic
# --start bundled -o longer --minutes 20`.
