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
# # The real thing: MusicGen itself
#
# Nano is a miniature. The same code runs facebook/musicgen-small, which was trained on 20,000 hours of music
# and costs more memory and time. Here you work out on paper how much, check it, and go the whole way once:
# data, training, music. Without a GPU, a stand-in of the same shape with random weights is used: it makes
# noise, but every line works.
#
# **Time:** two to three minutes of computing on two CPU cores, 45 minutes with reading. With a GPU, the real
# model makes music. It is fetched first: about 2.4 GB, without an account or a progress bar. In Colab, choose
# the GPU before the first cell (*Runtime*, *Change runtime type*, *T4*). This starts an empty machine, and
# each session fetches the model again.
#
# **By the end you can**
#
# - *predict* a model's memory from its shape, and *check* it,
# - *bound* the speed of making music by what must be read,
# - *run* the way from recordings to an adapter on a large model,
# - *budget* a training for a small GPU,
# - *say* what the weights' licence asks of you.
#
# **You need** [04](04_inside_musicgen.ipynb), [05](05_data.ipynb) and [06](06_lora_finetuning.ipynb), 7 GB of
# free memory and, while the lesson runs, 2 GB of disk.

# %%
import json
import tempfile
from dataclasses import replace
from itertools import islice
from pathlib import Path

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Audio

# %%
import expotion_lite as el
from expotion_lite.course import check, make_stand_in, measure_memory_gb, measure_seconds
from expotion_lite.synthetic import band, draw_performer, perform, render_frames
from expotion_lite.training import train_adapter

# %% [markdown]
# ## 1. Which model?
#
# The next cell chooses the real model with a GPU, else the stand-in. The stand-in (`expotion_lite/course.py`)
# has the published shapes of the three parts: a T5 that reads words, EnCodec at 32 kHz, and a decoder. Its
# weights, 1.2 GB, are random.

# %%
folder = tempfile.TemporaryDirectory()
device = "cuda" if torch.cuda.is_available() else "cpu"
name = "facebook/musicgen-small"
if device == "cpu":
    name = make_stand_in(Path(folder.name) / "musicgen-small")

# %% [markdown]
# ## 2. Memory, on paper first
#
# Each layer of the decoder has two attentions, to the music so far and to the words. Each has four matrices
# of *D* x *D*. Two more matrices lead to 4 *D* numbers and back. Outside the layers, each codebook has a
# table of vectors and a head.
#
# **Predict:** how many parameters do 24 layers with *D* = 1024 have? How many GB are they in float32, at 4
# bytes each, and in half precision?

# %%
layers, width, codebooks, rows = 24, 1024, 4, 2048
decoder_size = layers * (8 + 8) * width**2  # attentions, and the two larger matrices
decoder_size += codebooks * (rows + 1) * width  # tables; one row is for the pad
decoder_size += codebooks * rows * width  # heads
decoder_size += (3 * layers + 1) * 2 * width  # norms
bridge_size = (768 + 1) * width  # from T5, which is 768 wide
sizes = {"text": 109_628_544, "codec": 56_884_674, "decoder": decoder_size, "bridge": bridge_size}
total = sum(sizes.values())
print(f"decoder {decoder_size:,}, in all {total:,} parameters")
print(f"{4 * total / 1e9:.2f} GB in float32, {2 * total / 1e9:.2f} GB in half precision")


# %%
half = "float16" if device == "cuda" else "bfloat16"  # Colab's T4 has no bfloat16
empty = measure_memory_gb(device)
musicgen = el.load(name, device=device, dtype="float32")
measured = {"float32": measure_memory_gb(device) - empty}
model = musicgen.model
parts = (model.text_encoder, model.audio_encoder, model.decoder, model.enc_to_dec_proj)
for part, size in zip(parts, sizes.values(), strict=True):
    assert sum(p.numel() for p in part.parameters()) == size

# %%
rate = musicgen.sample_rate
second = torch.from_numpy(band.play(band.compose(1, 1.0), rate))[None]
codes = el.musicgen.encode(musicgen, second)  # as with nano
print(f"{second.shape[1]} samples became {codes.shape[2]} frames of {codes.shape[1]} codes")
assert codes.shape == (1, codebooks, 50)

# %%
musicgen.model.to(getattr(torch, half))
measured[half] = measure_memory_gb(device) - empty
figure, ax = plt.subplots(figsize=(7, 2.4))
left = np.zeros(2)
for part, colour in zip(("text", "codec", "decoder"), ("C5", "C1", "C0"), strict=True):
    gb = sizes[part] * np.array([4, 2]) / 1e9
    ax.barh([0, 1], gb, left=left, color=colour, height=0.5, label=part)
    left += gb
marks = [measured["float32"], measured[half]]
ax.plot(marks, [0, 1], "D", color="black", markersize=8, label="measured")
ax.set(yticks=[0, 1], yticklabels=["float32", half], xlabel="memory (GB)", ylim=(-0.5, 1.5))
_ = figure.legend(loc="outside upper center", ncols=4)

# %% [markdown]
# **Look:** the diamonds are near the bars' ends. A loaded model is little more than its weights.

# %% [markdown]
# ## 3. Speed: what must be read
#
# Each step reads the decoder's layers and heads, and does two operations with each weight. So the speed of
# the memory bounds the steps a second. The next cell measures it with a large matrix times a vector. (The
# four matrices of the attention to the words are not read: at the start they are multiplied into the few
# words. This leaves 12 *D*² a layer.)
#
# **Predict:** at 20 GB a second, how many steps a second are possible in float32? How long do 10 s of music
# take?


# %%
matrix = torch.ones(8192, 8192, device=device)  # 268 MB: too large for any cache
vector = torch.ones(8192, device=device)
bandwidth = matrix.nbytes / measure_seconds(lambda: matrix @ vector, device)
read = layers * 12 * width**2 + codebooks * rows * width
bound = {dtype: bandwidth / (size * read) for dtype, size in {half: 2, "float32": 4}.items()}
print(f"memory delivers {bandwidth / 1e9:.0f} GB a second")
for dtype, steps in bound.items():
    print(f"{dtype}: at most {steps:.0f} steps a second")
    print(f"    10 s of music (503 steps) take {503 / steps:.0f} s or more")


# %%
def steps_a_second(musicgen, n):
    """Return the speed of the library's decoder for n rows at once."""
    text, mask = el.musicgen.encode_prompts(musicgen, ["slow rock"])
    decoder = el.musicgen.StepDecoder(musicgen.model.decoder)
    decoder.start(text.expand(n, -1, -1), mask.expand(n, -1), 100)
    cache = sum(each.nbytes for each in decoder.keys + decoder.values)
    assert cache == n * 100 * 2 * layers * width * text.itemsize
    pads = torch.full((n, codebooks, 1), musicgen.pad, device=device)
    return 1 / measure_seconds(lambda: decoder.step(pads), device)


# %% [markdown]
# The assertion checks what the decoder keeps of earlier steps, keys and values: 2 · layers · *D* numbers for
# each step and row. Guidance needs three rows (04). For half a minute of music they are 0.44 GB in half
# precision.
#
# **Predict:** which number format will be faster here? Do three rows take three times as long as one?

# %%
speeds = {}
for dtype in (half, "float32"):
    musicgen.model.to(getattr(torch, dtype))
    speeds[dtype] = [bound[dtype], steps_a_second(musicgen, 1), steps_a_second(musicgen, 3)]
figure, ax = plt.subplots(figsize=(7, 2.8))
labels = {"bound": "0.75", "measured, 1 row": "C0", "measured, 3 rows": "C1"}
for k, (label, colour) in enumerate(labels.items()):
    heights = [each[k] for each in speeds.values()]
    bars = ax.bar(np.arange(2) + 0.27 * k, heights, 0.25, color=colour, label=label)
    ax.bar_label(bars, fmt="%.1f", fontsize=9)
ax.axhline(50, color="C6", linestyle="--", label="real time")
ax.set(xticks=np.arange(2) + 0.27, xticklabels=speeds, ylabel="steps a second")
_ = figure.legend(loc="outside right center")

# %% [markdown]
# **Look:** how near is each to its bound?
#
# **Explain.** Memory sets the bound. Arithmetic decides how near one comes. Half precision is faster where
# the processor has instructions for it. Elsewhere it is imitated, many times slower, and only saves memory.
# Three rows read the weights once. If they cost little more than one row, reading takes the time. If they
# cost nearly three times as much, arithmetic does. On a GPU, starting hundreds of operations a step takes
# time, too.
#
# From here on the default: float32 on a CPU, float16 on a T4, bfloat16 on newer GPUs.

# %%
matrix = model = parts = musicgen = None  # one large model at a time
print(f"without a model: {measure_memory_gb(device):.1f} GB")
musicgen = el.load(name, device=device)

# %% [markdown]
# ## 4. Recordings
#
# Expotion's authors published theirs as human-music-moves. A clip's name, such as
# `4.mp4_ProudPeacock_2025-02-28T12-21-34_clip2.mp4`, tells song, alias, time and clip. Ask for access on the
# page of `mbzmusic/human-music-moves` on the Hugging Face hub. Then log in with `hf auth login` (in Colab
# with a leading `!`), which asks for a token from your settings there. `HumanMusicMoves()` fetches one clip
# at a time, keeps controls and codes, and deletes the video. Here a tiny replica with synthetic people is
# used.

# %%
films = Path(folder.name) / "films"


def film(clip, song, performer):
    """Film two seconds of a person who moves to a song; return a line for the captions."""
    piece = band.compose(song, 2.1)
    person = replace(draw_performer(performer), frame_rate=15.0)
    silent, path = films.with_name("silent.mp4"), films / clip.split("_")[1] / f"{clip}.mp4"
    el.write_video(silent, render_frames(perform(piece, person)), overwrite=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    el.mux_audio(silent, band.play(piece, rate), rate, path)
    caption = band.describe(piece, np.random.default_rng(song))
    return f'{path.relative_to(films).as_posix()},"{caption}"'


# %%
people = [(1, "CalmOtter", 3), (2, "CalmOtter", 3), (3, "BraveHeron", 12), (4, "BraveHeron", 12)]
lines = ["file,caption"]
for song, alias, seed in people:
    lines.append(film(f"{song}.mp4_{alias}_2025-01-0{song}T10-00-00_clip1", song, seed))
table = "\n".join(lines)
_ = (films / "captions.csv").write_text(table)
print(table)

# %%
short = replace(musicgen, window=100)  # frames; MusicGen's own window is 30 s
recordings = el.data.HumanMusicMoves(films, cache=films / ".expotion-lite")
moves = recordings.examples(short)
assert len(set(moves.songs)) == 4 and len(set(moves.performers)) == 2
train, held_out = el.data.split(moves, 0.5)
el.data.check_split(train, held_out)
print("codes", moves.codes.shape, "controls", moves.controls.shape, "held out", len(held_out))

# %% [markdown]
# The published split tests on songs that were trained on. `split` does not.

# %% [markdown]
# ## 5. Adapter and LoRA
#
# Nano's adapter fits only nano. So train a new one as in [06](06_lora_finetuning.ipynb), for two steps of one
# second each.
#
# **Predict:** LoRA of rank 16 adds two thin matrices to each of a layer's ten. How many parameters is
# that? And what is the loss of a model that knows nothing, with 2,048 codes to choose from?


# %%
def first_second(examples):
    """Return the first 50 frames of each example."""
    return replace(examples, codes=examples.codes[..., :50], controls=examples.controls[:, :50])


train, held_out = first_second(train), first_second(held_out)
config = el.TrainingConfig(max_steps=2, batch=1, gradient_checkpointing=True)
run = Path(folder.name) / "training"
peft_model, description = train_adapter(musicgen, train, held_out, run, config, progress=True)

# %%
rank = description.rank
lora_size = layers * (8 * 2 + 2 * 5) * rank * width  # eight of D x D, two of D x 4 D
trained = {name: p.numel() for name, p in peft_model.named_parameters() if p.requires_grad}
assert lora_size == sum(size for name, size in trained.items() if "lora_" in name)
trained_size = sum(trained.values())
print(f"LoRA {lora_size:,}, visual adapter {trained_size - lora_size:,} parameters")
print(f"together {trained_size / total:.1%} of the model")

# %%
(row,) = map(json.loads, (run / "log.jsonl").read_text().splitlines())
print(f"loss {row['loss']:.2f}; a model that knows nothing: log({rows}) = {np.log(rows):.2f}")
assert row["loss"] < np.log(rows) + 1

# %% [markdown]
# **Explain.** The stand-in starts near the logarithm. The real MusicGen should start well below it. If it
# does not, look for a mistake in codes or labels: the first loss is the cheapest test of a training.

# %% [markdown]
# ## 6. Why training needs more memory
#
# Making music needs little more than the weights. Why does training run out of memory? The backward pass
# needs the inputs and outputs of nearly every operation of the forward pass. So all of them are kept, for
# every frame of music. *Gradient checkpointing* keeps only each layer's input, and computes the rest again
# when needed. A frame then keeps one vector for each layer, and the logits.
#
# **Predict:** is that three, ten or a hundred times less?

# %%
batch = el.training.collate(musicgen, train, np.array([0])).to(musicgen.model.device)
weights = {tensor.untyped_storage().data_ptr() for tensor in peft_model.state_dict().values()}


# %%
def kept_bytes(n):
    """Return what a forward pass over n frames keeps for the backward pass, without weights."""
    kept = []

    def pack(tensor):  # PyTorch calls it with each tensor that it keeps
        kept.append(tensor.detach())
        return kept[-1]

    codes, controls, past = batch.codes[..., :n], batch.controls[:, :n], batch.past[:, :n]
    part = replace(batch, codes=codes, controls=controls, past=past)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        el.training.loss_of(peft_model, part, musicgen.pad)
    storages = [tensor.untyped_storage() for tensor in kept]
    sizes = {storage.data_ptr(): storage.nbytes() for storage in storages}
    return sum(size for pointer, size in sizes.items() if pointer not in weights)


# %%
a_frame = {}
for checkpointing in (False, True):
    peft_model.train(checkpointing)  # checkpointing works in training mode only
    a_frame[checkpointing] = (kept_bytes(20) - kept_bytes(10)) / 10
number = musicgen.model.decoder.lm_heads[0].weight.itemsize  # bytes
formula = layers * width * number + codebooks * rows * 4  # the loss is computed in float32
print(f"a frame keeps {a_frame[False] / 1e3:.0f} kB")
print(f"with checkpointing {a_frame[True] / 1e3:.0f} kB, by the formula {formula / 1e3:.0f} kB")
assert abs(a_frame[True] / formula - 1) < 0.4  # the adapter and some small things are added

# %% [markdown]
# **Explain.** (The difference between 20 and 10 frames leaves out what does not grow with the music.) The
# price is one more forward pass. Frozen weights need no gradients of their own, so the backward pass costs
# about as much as the forward pass. The third pass adds half as much computing again.

# %% [markdown]
# ## 7. Music for a second
#
# The adapter's folder is enough to make music for the bundled clip's first second.

# %%
musicgen = short = peft_model = batch = None
print(f"without a model: {measure_memory_gb(device):.1f} GB")
adapter = str(run / "adapter")
frames = islice(el.read_frames(el.example_clip()), 25)
first = el.write_video(Path(folder.name) / "first.mp4", frames)

# %%
take = el.generate(first, "happy rock", model=name, adapter=adapter, device=device)
assert take.codes.shape == (codebooks, 50) and np.isfinite(take.audio).all()
ax = el.plots.plot_spectrogram(take.audio, take.sample_rate)
ax.set_title("a second of music, or of noise")
folder.cleanup()  # deletes the stand-in
Audio(take.audio, rate=take.sample_rate)

# %% [markdown]
# ## 8. A budget
#
# The stand-in has done every step. What memory would training the real model take, and how many steps does an
# hour give? A T4 has about 15 GB, reads 320 GB a second, and calculates at best 65 TFLOPS, million million
# operations a second. All that follows is **estimated**. It assumes a third of that peak, half precision, and
# six operations for each weight and frame: two forward, two back, two for computing again.


# %%
def training_gb(batch, seconds, checkpointing=True):
    """Estimate a training's memory in half precision, in GB: weights, trained, kept, logits."""
    frames = batch * (50 * seconds + codebooks - 1)
    kept = 1.2 * a_frame[False] * 2 / number  # a fifth more, since autocast keeps some in float32
    if checkpointing:
        kept = kept / layers + layers * width * 2  # one layer in full, while it is computed again
    logits = codebooks * rows * (2 + 4 + 4 + 4)  # half, float32, its softmax, its gradient
    # trained: 4 bytes each for weight, gradient and the optimiser's two moments
    return np.array([2 * total, 16 * trained_size, frames * kept, frames * logits]) / 1e9


def step_s(batch, seconds, checkpointing=True, flops=65e12 / 3):
    """Estimate the duration of a training step, in seconds."""
    passes = 3 if checkpointing else 2
    return batch * (50 * seconds + codebooks - 1) * 2 * decoder_size * passes / flops


# %%
def budget(batch=8, seconds=30):
    """Plot what a T4 would have to hold, without and with checkpointing."""
    figure, ax = plt.subplots(figsize=(8, 2.6))
    left = np.zeros(2)
    labels = ("weights", "trained, with moments", "kept for the backward pass", "logits")
    parts = np.array([training_gb(batch, seconds, each) for each in (False, True)]).T
    for part, label in zip(parts, labels, strict=True):
        ax.barh([0, 1], part, left=left, height=0.5, label=label)
        left += part
    ax.axvline(15, color="C6", linestyle="--")
    ax.set(yticks=[0, 1], yticklabels=["plain", "checkpointing"])
    ax.set(xlim=(0, max(20, 1.05 * left.max())), xlabel="memory (GB), estimated; dashed: a T4")
    step = step_s(batch, seconds)
    speed = f"{step:.1f} s a step, {3600 / step:,.0f} steps an hour"
    ax.set_title(f"{batch} x {seconds} s, checkpointing: {speed}")
    figure.legend(loc="outside upper center", ncols=2)
    plt.show()


# %%
budget()

# %%
_ = widgets.interact(budget, batch=(1, 32), seconds=(2, 30))

# %% [markdown]
# **Look:** which parts grow with the batch? Is the command's default, 8 x 30 s, possible without
# checkpointing?
#
# The command, not run for this lesson (in Colab with a leading `!`):
#
# ```
# expotion-lite finetune human-music-moves --model facebook/musicgen-small --minutes 60 --gradient-checkpointing -o moves_adapter
# ```

# %% [markdown]
# **Explain.** The command's windows are MusicGen's own, 30 s. But a batch is cut to its longest clip, so
# clips of 10 s cost what 10 s cost. In Python, `replace(musicgen, window=500)` cuts longer recordings to 10
# s, as in section 4. Each validation runs every held-out example three times: own video, another's, none.
# `--minutes` does not count this. So hold out less, such as `--held-out 0.05`.

# %% [markdown]
# ## 9. What is allowed, and what the authors did
#
# | what | terms | which means |
# |---|---|---|
# | MusicGen's weights | [CC-BY-NC 4.0](https://huggingface.co/facebook/musicgen-small) | study, change and share, with attribution; not commercially |
# | an adapter for them | treat it alike: it is of no use without them | not commercially; name MusicGen where you share it |
# | human-music-moves | what its page says when you ask | people are in it: share no clips |
# | your recordings | what the people agreed to | the same for adapters trained on them |
# | this code, nano | Apache 2.0 | also commercially |
#
# What the licence means for *music* made with the weights is not settled. This is no legal advice: ask before
# you sell anything.
#
# The published Expotion uses MusicGen large. Five vectors a second steer it in every layer's attention. A
# larger model should make better *music*. Whether it follows better, only a control experiment tells
# ([08](08_does_it_work.ipynb)).

# %% [markdown]
# ## Exercises
#
# **1. The largest batch.** By `training_gb`, how many windows of 10 s fit into 15 GB, plain and with
# checkpointing? *Target: at least three times as many with checkpointing.*

# %%
fits = ...  # checkpointing (False, True) -> windows


def are_largest():
    now = [training_gb(fits[kind], 10, kind).sum() for kind in (False, True)]
    one_more = [training_gb(fits[kind] + 1, 10, kind).sum() for kind in (False, True)]
    return max(now) < 15 <= min(one_more) and fits[True] >= 3 * fits[False]


check(fits, are_largest)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# fits = {}
# for checkpointing in (False, True):
#     gb = [training_gb(n, 10, checkpointing).sum() for n in range(300)]
#     fits[checkpointing] = max(n for n in range(300) if gb[n] < 15)
# print(fits)
# ```
# </details>

# %% [markdown]
# **2. The large one.** MusicGen large has 48 layers of 2048. How many GB are its decoder's weights in half
# precision? How many steps a second could a T4 make at most? *Target: 6 to 7 GB; 60 to 70.*

# %%
large_gb, fastest = ..., ...  # GB, steps a second

check((large_gb, fastest), lambda: 6 < large_gb < 7 and 60 < fastest < 70)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# large_gb = 2 * (48 * 16 * 2048**2 + 2 * codebooks * rows * 2048) / 1e9
# fastest = 320e9 / (2 * (48 * 12 * 2048**2 + codebooks * rows * 2048))
# print(f"{large_gb:.1f} GB, at most {fastest:.0f} steps a second")
# ```
# </details>

# %% [markdown]
# ## Quiz
#
# **1. Weights of half the size take half the memory. When do they also make music faster?**  (a) Always. (b)
# Where reading them takes most of the time, and the processor can calculate with them. (c) Never.
#
# <details><summary>Answers</summary>
#
# - (a) Where the format is imitated, they make it slower.
# - (b) **Right**: then the bound counts, and it is twice as high.
# - (c) On GPUs, and on processors with the instructions, they do.
# </details>

# %% [markdown]
# **2. The stand-in went through the whole lesson. What does that show?**  (a) Training works. (b) Every step
# runs, and what it costs. (c) An adapter for the real model would follow people.
#
# <details><summary>Answers</summary>
#
# - (a) Two steps from random weights show nothing about learning.
# - (b) **Right**: memory and time depend on the shape, not on the weights.
# - (c) That takes real weights, real people, and a control experiment.
# </details>

# %% [markdown]
# ## What we saw
#
# - Memory is parameters times bytes, and in training what each frame keeps. Checkpointing saves memory and
#   costs time.
# - A step reads nearly the whole decoder. Memory bounds the speed; arithmetic decides how near one comes.
# - The same code runs nano and MusicGen, published recordings and your own.
# - A budget on paper finds waste before you pay for it.
#
# ## Limits
#
# - The T4's numbers come from formulas and its data sheet. We have run nothing on one.
# - The formulas leave out attention's own operations, which grow with the square of the window, and what a
#   GPU's software needs.
# - No adapter for musicgen-small exists yet. How well one would follow people is unmeasured.
#
# ## References
#
# - Copet et al. 2023, [MusicGen](https://arxiv.org/abs/2306.05284), and its [model
#   card](https://huggingface.co/facebook/musicgen-small).
# - Hu et al. 2021, [LoRA](https://arxiv.org/abs/2106.09685).
# - Chen et al. 2016, [Training deep nets with sublinear memory cost](https://arxiv.org/abs/1604.06174):
#   gradient checkpointing.
# - Pope et al. 2022, [Efficiently scaling transformer inference](https://arxiv.org/abs/2211.05102): reading
#   weights as the bound.
# - Izzati, Li and Xia 2025, [Expotion](https://arxiv.org/abs/2507.04955).
# - `expotion_lite/musicgen/step_decoder.py`, `expotion_lite/training/loop.py`,
#   `expotion_lite/data/human_music_moves.py`; `benchmarks/real_musicgen.py`.
#
# ## Next
#
# Look again at the first lesson, [00_start_here](00_start_here.ipynb): what would you now say about its
# single take? Then choose a project from [the teacher's guide](teachers_guide.md#three-projects).
