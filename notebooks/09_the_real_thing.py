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
# Nano is a miniature. The same lines run facebook/musicgen-small, which has heard 20,000 hours of music, at a price in memory and
# time. Here you work out that price on paper, check it, and go the whole way once: data, training, music. Without a GPU a stand-in
# goes it, of the very same shape and with random weights: it makes noise, but every line does its work.
#
# **Time:** two to three minutes of computing on two CPU cores, 45 minutes with reading. With a GPU (in Colab, before the first
# cell: *Runtime*, *Change runtime type*, *T4*, which begins with an empty machine) the real model is fetched, about 2.4 GB, without
# an account or a progress bar, in Colab once a session, and makes music.
#
# **By the end you can**
#
# - *predict* a model's memory from its shape, and *check* it,
# - *bound* the speed of making music by what must be read,
# - *run* the way from recordings to an adapter on a large model,
# - *budget* a training for a small GPU,
# - *say* what the weights' licence asks of you.
#
# **You need** [04](04_inside_musicgen.ipynb), [05](05_data.ipynb) and [06](06_lora_finetuning.ipynb), 7 GB of free memory and, while
# the lesson runs, 2 GB of disk.

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
from expotion_lite import data, load_pipeline, plots, training
from expotion_lite.course import check, held_gb, shortest_s, stand_in
from expotion_lite.musicgen import encode
from expotion_lite.synthetic import band

# %% [markdown]
# ## 1. Which model?
#
# The last line of this section chooses: with a GPU the real one. The stand-in follows the published descriptions of its three parts: a
# T5 that reads words, EnCodec at 32 kHz, and a decoder (`expotion_lite/musicgen/stand_in.py`). Its weights, 1.2 GB, are random.

# %%
place = tempfile.TemporaryDirectory()
device = "cuda" if torch.cuda.is_available() else "cpu"
name = "facebook/musicgen-small" if device == "cuda" else stand_in(Path(place.name) / "musicgen-small")

# %% [markdown]
# ## 2. Memory, on paper first
#
# A layer of the decoder attends twice, to the music so far and to the words, each with four matrices of *D* x *D*; then two more
# lead to 4 *D* numbers and back. Around the layers are a table of vectors and a head for each codebook.
#
# **Predict:** how many parameters are 24 layers with *D* = 1024? How many GB in float32, at 4 bytes each, and in half precision?

# %%
layers, width, codebooks, rows = 24, 1024, 4, 2048
decoder_size = layers * (8 + 8) * width**2  # attentions, and the two large matrices
decoder_size += codebooks * (rows + 1) * width + codebooks * rows * width  # tables (one row is the pad), heads
decoder_size += (3 * layers + 1) * 2 * width  # norms; the bridge comes from T5, which is 768 wide
sizes = {"text": 109_628_544, "codec": 56_884_674, "decoder": decoder_size, "bridge": (768 + 1) * width}
total = sum(sizes.values())
print(f"decoder {decoder_size:,}, in all {total:,}: {4 * total / 1e9:.2f} GB or {2 * total / 1e9:.2f} GB")


# %%
half = "float16" if device == "cuda" else "bfloat16"  # which Colab's T4 has to imitate
empty = held_gb(device)
musicgen = el.load(name, device=device, dtype="float32")
measured = {"float32": held_gb(device) - empty}
model = musicgen.model
parts = (model.text_encoder, model.audio_encoder, model.decoder, model.enc_to_dec_proj)
assert [sum(p.numel() for p in part.parameters()) for part in parts] == list(sizes.values())

# %%
rate = musicgen.sample_rate
second = torch.from_numpy(band.play(band.compose(1, 1.0), rate))[None]
codes = encode(musicgen, second)  # as with nano
print(f"{second.shape[1]} samples became {codes.shape[2]} frames of {codes.shape[1]} codes")
assert codes.shape == (1, codebooks, 50)

# %%
musicgen.model.to(getattr(torch, half))
measured[half] = held_gb(device) - empty
figure, ax = plt.subplots(figsize=(7, 2.4))
left = np.zeros(2)
for part, colour in zip(("text", "codec", "decoder"), ("C5", "C1", "C0"), strict=True):
    gb = sizes[part] * np.array([4, 2]) / 1e9
    ax.barh([0, 1], gb, left=left, color=colour, height=0.5, label=part)
    left += gb
ax.plot([measured["float32"], measured[half]], [0, 1], "D", color="black", markersize=8, label="measured")
ax.set(yticks=[0, 1], yticklabels=["float32", half], xlabel="memory (GB)", ylim=(-0.5, 1.5))
_ = figure.legend(loc="outside upper center", ncols=4)

# %% [markdown]
# **Look:** diamonds near the ends of the bars: a loaded model is its weights and little else.

# %% [markdown]
# ## 3. Speed: what must be read
#
# Each step reads the decoder's layers and its heads, and does two operations with each weight. So memory sets a bound. How much it
# delivers is measured with a large matrix times a vector. (The four matrices of the attention to the words are not read again: they are
# multiplied into the few words once, at the start. That leaves 12 *D*² a layer.)
#
# **Predict:** at 20 GB a second, how many steps a second are possible in float32? How long do 10 s of music take?


# %%
matrix, vector = torch.ones(8192, 8192, device=device), torch.ones(8192, device=device)  # 268 MB: no cache holds it
bandwidth = matrix.nbytes / shortest_s(lambda: matrix @ vector, device)
read = layers * 12 * width**2 + codebooks * rows * width
bound = {dtype: bandwidth / (size * read) for dtype, size in {half: 2, "float32": 4}.items()}
print(f"memory delivers {bandwidth / 1e9:.0f} GB a second")
for dtype, steps in bound.items():
    print(f"{dtype}: at most {steps:.0f} steps a second, 10 s of music (503 steps) in {503 / steps:.0f} s or more")

# %%
from expotion_lite.musicgen import StepDecoder, encode_prompts


def steps_a_second(musicgen, n):
    """Speed of the library's decoder for n rows at once."""
    text, mask = encode_prompts(musicgen, ["slow rock"])
    decoder = StepDecoder(musicgen.model.decoder)
    decoder.start(text.expand(n, -1, -1), mask.expand(n, -1), 100)
    cache = sum(each.nbytes for each in decoder.keys + decoder.values)
    assert cache == n * 100 * 2 * layers * width * text.itemsize
    pads = torch.full((n, codebooks, 1), musicgen.pad, device=device)
    return 1 / shortest_s(lambda: decoder.step(pads), device)


# %% [markdown]
# The assertion is another formula: keys and values of earlier steps are kept, 2 · layers · *D* numbers for each step and row. Guidance
# needs three rows (04): for half a minute of music 0.44 GB in half precision.
#
# **Predict:** which number format will be faster here? Do three rows take three times as long as one?

# %%
speeds = {}
for dtype in (half, "float32"):
    musicgen.model.to(getattr(torch, dtype))
    speeds[dtype] = [bound[dtype], steps_a_second(musicgen, 1), steps_a_second(musicgen, 3)]
figure, ax = plt.subplots(figsize=(7, 2.8))
for k, label in enumerate(("bound", "measured, 1 row", "measured, 3 rows")):
    bars = ax.bar(np.arange(2) + 0.27 * k, [each[k] for each in speeds.values()], 0.25, color=("0.75", "C0", "C1")[k])
    bars.set_label(label)
    ax.bar_label(bars, fmt="%.1f", fontsize=9)
ax.axhline(50, color="C6", linestyle="--", label="as fast as it sounds")
ax.set(xticks=np.arange(2) + 0.27, xticklabels=speeds, ylabel="steps a second")
_ = figure.legend(loc="outside right center")

# %% [markdown]
# **Look:** how near to its bound does each come?
#
# **Explain.** Memory sets the bound; how near one comes is up to the arithmetic. Half precision is faster where the processor has
# instructions for it. Elsewhere it is imitated, many times slower, and saves memory only. Three rows read the weights once: where
# reading takes the time, they cost little more than one; where they cost nearly three times as much, arithmetic does. On a GPU,
# starting hundreds of small operations a step takes time, too.
#
# From here on the default: float32 on a CPU; on a GPU what it is made for (a T4: float16, newer ones: bfloat16).

# %%
matrix = model = parts = musicgen = None  # one large model at a time
print(f"without a model: {held_gb(device):.1f} GB")
musicgen = el.load(name, device=device)

# %% [markdown]
# ## 4. Recordings
#
# Expotion's authors published theirs, human-music-moves. Clips have names like `4.mp4_ProudPeacock_2025-02-28T12-21-34_clip2.mp4`:
# song, alias, time, clip. Ask for access on the page of `mbzmusic/human-music-moves` on the Hugging Face hub and log in (`hf auth
# login`, in Colab with a leading `!`; it asks for a token from your settings there); then `HumanMusicMoves()` fetches one clip at a
# time, keeps controls and codes, and deletes the video. Here a tiny replica with synthetic people has to do.

# %%
from expotion_lite.synthetic import draw_performer, perform, render_frames

films = Path(place.name) / "films"


def film(clip, song, performer):
    """Two seconds of somebody who moves to a song, with the song as its sound. Returns a line for the captions."""
    piece, person = band.compose(song, 2.1), replace(draw_performer(performer), frame_rate=15.0)
    silent = el.write_video(films.with_name("silent.mp4"), render_frames(perform(piece, person)), overwrite=True)
    path = films / clip.split("_")[1] / f"{clip}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    el.mux_audio(silent, band.play(piece, rate), rate, path)
    return f'{path.relative_to(films).as_posix()},"{band.describe(piece, np.random.default_rng(song))}"'


# %%
cast = [(1, "CalmOtter", 3), (2, "CalmOtter", 3), (3, "BraveHeron", 12), (4, "BraveHeron", 12)]
lines = [film(f"{song}.mp4_{who}_2025-01-0{song}T10-00-00_clip1", song, seed) for song, who, seed in cast]
table = "\n".join(["file,caption", *lines])
_ = (films / "captions.csv").write_text(table)
print(table)

# %%
from expotion_lite.data import HumanMusicMoves

short = replace(musicgen, window=100)  # frames; MusicGen's own window is 30 s
moves = HumanMusicMoves(films, kept=films / ".expotion-lite").examples(short)
assert len(set(moves.songs)) == 4 and len(set(moves.performers)) == 2
train, held_out = data.split(moves, 0.5)
data.check_split(train, held_out)
print("codes", moves.codes.shape, "controls", moves.controls.shape, "held out", len(held_out))

# %% [markdown]
# The published split tests on songs that were trained on; `split` does not.

# %% [markdown]
# ## 5. Adapter and LoRA
#
# Nano's adapter belongs to nano. So a new one is trained, as in [06](06_lora_finetuning.ipynb), for two steps of one second of music each.
#
# **Predict:** LoRA of rank 16 gives each of a layer's ten matrices two thin ones. How many parameters is that? And what is the loss
# of a model that knows nothing, with 2,048 codes to choose from?

# %%
train, held_out = (replace(e, codes=e.codes[..., :50], controls=e.controls[:, :50]) for e in (train, held_out))
config = training.TrainingConfig(max_steps=2, batch=1, gradient_checkpointing=True)
adapter = Path(place.name) / "training"
peft_model, description = training.train_adapter(musicgen, train, held_out, adapter, config, progress=True)

# %%
rank = description.rank
lora_size = layers * (8 * 2 + 2 * 5) * rank * width  # eight of D x D, two of D x 4 D
trained = {name: p.numel() for name, p in peft_model.named_parameters() if p.requires_grad}
assert lora_size == sum(size for name, size in trained.items() if "lora_" in name)
trained_size = sum(trained.values())
print(f"LoRA {lora_size:,}, adapter {trained_size - lora_size:,}: {trained_size / total:.1%} of the model")
(row,) = map(json.loads, (adapter / "log.jsonl").read_text().splitlines())
print(f"loss {row['loss']:.2f}; who knows nothing has log({rows}) = {np.log(rows):.2f}")
assert row["loss"] < np.log(rows) + 1

# %% [markdown]
# **Explain.** The stand-in starts near the logarithm, the real MusicGen should start well below. If it does not, look for a mistake
# in codes or labels: the first loss is the cheapest test of a training.

# %% [markdown]
# ## 6. What training keeps
#
# The forward pass keeps what the backward pass will need: the inputs and outputs of nearly every operation. *Gradient checkpointing*
# keeps each layer's input only, and computes the rest anew. For a frame there remain a vector for each layer, and the logits.
#
# **Predict:** is that three, ten or a hundred times less?

# %%
batch = training.collate(musicgen, train, np.array([0]), np.ones(1), np.ones(1)).to(musicgen.model.device)
weights = {tensor.untyped_storage().data_ptr() for tensor in peft_model.state_dict().values()}


def kept_bytes(n):
    """What a forward pass over n frames keeps for the backward pass, weights aside."""
    kept, past = [], batch.past[:, :n]
    part = replace(batch, codes=batch.codes[..., :n], controls=batch.controls[:, :n], past=past)
    keep = (lambda x: kept.append(x.detach()) or kept[-1], lambda x: x)  # with its history, it would hold itself
    with torch.autograd.graph.saved_tensors_hooks(*keep):
        training.loss_of(peft_model, part, musicgen.pad)
    blocks = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in kept}
    return sum(size for block, size in blocks.items() if block not in weights)


# %%
a_frame = {}
for checkpointing in (False, True):
    peft_model.train(checkpointing)  # it spares memory in training only
    a_frame[checkpointing] = (kept_bytes(20) - kept_bytes(10)) / 10
number = musicgen.model.decoder.lm_heads[0].weight.itemsize
formula = layers * width * number + codebooks * rows * 4  # the loss is computed in float32
print(f"a frame keeps {a_frame[False] / 1e3:.0f} kB, with checkpointing {a_frame[True] / 1e3:.0f} kB")
print(f"by the formula {formula / 1e3:.0f} kB")
assert abs(a_frame[True] / formula - 1) < 0.4  # the adapter and some small things come on top

# %% [markdown]
# **Explain.** (The difference between 20 and 10 frames leaves out what does not grow with the music.) The price is one more forward
# pass: with frozen weights, which need no gradients of their own, half as much computing again.

# %% [markdown]
# ## 7. Music for a second
#
# Now music for the bundled clip's first second, from nothing but the adapter's folder, as anybody could make it who was given that. When
# it is there, the stand-in's files go.

# %%
musicgen = short = peft_model = batch = None
print(f"without a model: {held_gb(device):.1f} GB")
pipeline = load_pipeline(name, str(adapter / "adapter"), device)

# %%
from expotion_lite import example_clip

first = el.write_video(Path(place.name) / "first.mp4", islice(el.read_frames(example_clip()), 25))
take = el.generate(first, "happy rock", model=name, adapter=str(adapter / "adapter"), device=device)
assert take.codes.shape == (codebooks, 50) and np.isfinite(take.audio).all()
plots.plot_spectrogram(take.audio, take.sample_rate).set_title("a second of music, or of noise")
place.cleanup()
Audio(take.audio, rate=take.sample_rate)

# %% [markdown]
# ## 8. A budget
#
# The stand-in's noise has been through everything: landmarks, controls, adapter, both guidances, codec. What memory would training
# the real one take, and how many steps does an hour give? A T4 has about 15 GB, reads 320 GB a second, and calculates 65 TFLOPS
# (million million operations a second) at best. All that follows is **estimated**: a third of that peak, half precision, and for
# each weight and frame two operations forward, two back, two for computing anew.


# %%
def training_gb(batch, seconds, checkpointing=True):
    """Estimated memory of a training in half precision: weights, trained, kept, logits, in GB."""
    frames = batch * (50 * seconds + codebooks - 1)
    kept = 1.2 * a_frame[False] * 2 / number  # a fifth more, measured on a CPU: autocast keeps some in float32
    if checkpointing:
        kept = kept / layers + layers * width * 2  # one layer is there in full while it is computed anew
    logits = codebooks * rows * (2 + 4 + 4 + 4)  # half, float32, its softmax, its gradient
    # what is trained: 4 bytes each for weight, gradient and the optimiser's two moments
    return np.array([2 * total, 16 * trained_size, frames * kept, frames * logits]) / 1e9


def step_s(batch, seconds, checkpointing=True, flops=65e12 / 3):
    """Estimated duration of a training step, in seconds."""
    return batch * (50 * seconds + codebooks - 1) * 2 * decoder_size * (3 if checkpointing else 2) / flops


# %%
def budget(batch=8, seconds=30):
    """What a T4 would have to hold, without and with checkpointing."""
    figure, ax = plt.subplots(figsize=(8, 2.6))
    left, named = np.zeros(2), ("weights", "trained, with moments", "kept for the backward pass", "logits")
    parts = np.array([training_gb(batch, seconds, checkpointing) for checkpointing in (False, True)]).T
    for part, label in zip(parts, named, strict=True):
        ax.barh([0, 1], part, left=left, height=0.5, label=label)
        left += part
    ax.axvline(15, color="C6", linestyle="--")
    ax.set(yticks=[0, 1], yticklabels=["plain", "checkpointing"], xlim=(0, max(20, 1.05 * left.max())))
    ax.set_xlabel("memory (GB), estimated; dashed: a T4")
    each = step_s(batch, seconds)
    ax.set_title(f"{batch} x {seconds} s, checkpointing: {each:.1f} s a step, {3600 / each:,.0f} steps an hour")
    figure.legend(loc="outside upper center", ncols=2)
    plt.show()


# %%
budget()

# %%
_ = widgets.interact(budget, batch=(1, 32), seconds=(2, 30))

# %% [markdown]
# **Look:** which parts grow with the batch? Are 8 x 30 s, the command's default, possible without checkpointing?
#
# The command (in Colab with a leading `!`), not run for this lesson:
#
# ```
# expotion-lite finetune human-music-moves --model facebook/musicgen-small --minutes 60 --gradient-checkpointing -o moves_adapter
# ```

# %% [markdown]
# **Explain.** The command's windows are MusicGen's own, 30 s, but a batch is cut to its longest clip: clips of 10 s cost what 10 s
# cost. Longer recordings are cut to 10 s by `replace(musicgen, window=500)` in Python, as in section 4. Judging takes each held-out
# example forward three times (own video, another's, none), and `--minutes` does not count it: hold out less, such as `--held-out
# 0.05`.

# %% [markdown]
# ## 9. What one may do, and what the authors did
#
# | what | terms | which means |
# |---|---|---|
# | MusicGen's weights | [CC-BY-NC 4.0](https://huggingface.co/facebook/musicgen-small) | study, change and share, with attribution; not commercially |
# | an adapter for them | treat it alike: it is of no use without them | not commercially; name MusicGen where you share it |
# | human-music-moves | what its page says when you ask | people are in it: share no clips |
# | your recordings | what the people agreed to | so for adapters trained on them |
# | this code, nano | Apache 2.0 | also commercially |
#
# What the licence means for *music* made with the weights is not settled. This is no legal advice: ask before you sell anything.
#
# The published Expotion is MusicGen large, steered inside every layer's attention by 5 vectors a second (its split: section 4). A
# larger model should make better *music*. Whether it follows people better, only a control experiment tells
# ([08](08_does_it_work.ipynb)).

# %% [markdown]
# ## Exercises
#
# **1. The largest batch.** By `training_gb`, how many windows of 10 s fit into 15 GB, plain and with checkpointing? *Target: at
# least three times as many with checkpointing.*

# %%
fits = ...  # checkpointing (False, True) -> windows

held = lambda more: [training_gb(fits[kind] + more, 10, kind).sum() for kind in (False, True)]  # noqa: E731
check(fits, lambda: max(held(0)) < 15 <= min(held(1)) and fits[True] >= 3 * fits[False])

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# fits = {}
# for checkpointing in (False, True):
#     fits[checkpointing] = max(n for n in range(1, 300) if training_gb(n, 10, checkpointing).sum() < 15)
# print(fits)
# ```
# </details>

# %% [markdown]
# **2. The large one.** MusicGen large has 48 layers of 2048. How many GB are its decoder's weights in half precision, and how many
# steps a second could a T4 make at most? *Target: 6 to 7 GB; 60 to 70.*

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
# **1. Weights of half the size take half the memory. When do they also make music faster?**  (a) Always. (b) Where reading them
# takes most of the time, and the processor can calculate with them. (c) Never.
#
# <details><summary>Answers</summary>
#
# - (a) Where the format is imitated, they make it slower.
# - (b) **Right**: then the bound, twice as high, counts.
# - (c) On GPUs, and on processors with the instructions, they do.
# </details>

# %% [markdown]
# **2. The stand-in went through the whole lesson. What does that show?**  (a) That training works. (b) That every step runs, and
# what it costs. (c) That an adapter for the real model would follow people.
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
# - Memory is parameters times bytes, and in training what each frame keeps; checkpointing trades time for it.
# - A step reads nearly the whole decoder: memory bounds the speed, arithmetic decides how near one comes.
# - The same lines serve nano and MusicGen, published recordings and a class's own.
# - A budget on paper finds waste before it is paid for.
#
# ## Limits
#
# - The T4's numbers come from formulas and its data sheet. We have run nothing on one.
# - The formulas leave out attention's own operations, which grow with the square of the window, and what a GPU's software holds.
# - No adapter for musicgen-small comes along, and how well one would follow people has not been measured.
#
# ## References
#
# - Copet et al. 2023, [MusicGen](https://arxiv.org/abs/2306.05284), and its [model card](https://huggingface.co/facebook/musicgen-small).
# - Hu et al. 2021, [LoRA](https://arxiv.org/abs/2106.09685).
# - Chen et al. 2016, [Training deep nets with sublinear memory cost](https://arxiv.org/abs/1604.06174): gradient checkpointing.
# - Pope et al. 2022, [Efficiently scaling transformer inference](https://arxiv.org/abs/2211.05102): reading weights as the bound.
# - Izzati, Li and Xia 2025, [Expotion](https://arxiv.org/abs/2507.04955).
# - `expotion_lite/musicgen/step_decoder.py`, `training.py`, `human_music_moves.py`; `benchmarks/real_musicgen.py`.
#
# ## Next
#
# This was the last lesson. Look again at the first, [00_start_here](00_start_here.ipynb): what would you now say about its single
# take? Then choose a project from [the teacher's guide](teachers_guide.md#three-projects). The large one, whether this works for
# real people, nobody has done yet.
