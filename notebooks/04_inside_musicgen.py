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
# # Inside MusicGen: music as choices from tables
#
# MusicGen writes music as a language model writes text: it looks at what is there and chooses what comes
# next. To steer it, you must know what it chooses from, in which order, and how. Here you build all three by
# hand, and listen.
#
# **Time:** half a minute of computing on two CPU cores, 40 minutes with reading and listening. A GPU would
# hardly help with so small a model.
#
# **By the end you can**
#
# - *quantise* sound with residual codebooks, and *measure* what each of them adds,
# - *lay out* codes in the delay pattern, and *say* which frame a step writes,
# - *turn* logits into a choice with temperature and top-k,
# - *write* the loop that makes music, in ten lines,
# - *derive* guidance from two sets of logits, and *hear* it.
#
# **You need** PyTorch's tensors, the softmax of a classifier, headphones, and
# [00_start_here](00_start_here.ipynb).

# %%
import ipywidgets as widgets
import librosa
import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Audio, display

import expotion_lite as el
from expotion_lite.course import check
from expotion_lite.musicgen import Condition, decode, draw_codes, encode_prompts, sample_codes
from expotion_lite.synthetic import band

# %% [markdown]
# ## 1. From samples to vectors
#
# Here are six seconds by the procedural band that *nano* learned from. Nano has never heard this piece. Part
# of every MusicGen is EnCodec, a *codec*: it packs sound and unpacks it. Its encoder, a convolutional
# network, turns each *frame* of 20 ms into a vector.

# %%
musicgen = el.load("nano", device="cpu")
rate, n_codebooks = musicgen.sample_rate, musicgen.n_codebooks
piece = band.compose(9000, 6.0, style="rock", on_downbeat=True)
audio = torch.from_numpy(band.play(piece, rate))[None]
Audio(audio[0], rate=rate)

# %%
codec = musicgen.model.audio_encoder
with torch.no_grad():
    vectors = codec.encoder(audio[:, None])[0].T
print(audio.shape[1], "samples became", len(vectors), "vectors of", vectors.shape[1], "numbers")

# %% [markdown]
# ## 2. From vectors to codes
#
# To choose, a model needs a list of options. A *codebook* is a table of vectors. Replace a frame's vector by
# the nearest row, and write down only the row's number, the *code*. Now a frame is one choice. One table is
# coarse. So a second describes what the first left over, a third what the second left over: *residual vector
# quantisation*.
#
# **Predict:** how many different frames can four tables of *R* rows tell apart? How many rows would a single
# table need for that?

# %%
tables = [layer.codebook.embed for layer in codec.quantizer.layers]
rows = len(tables[0])
print(f"{n_codebooks} x {rows} = {n_codebooks * rows:,} rows, {rows**n_codebooks:,} combinations")
bits = n_codebooks * np.log2(rows) * musicgen.frame_rate
print(f"{bits:,.0f} bits a second; as 16-bit samples {16 * rate:,}")


# %%
def quantise(vectors):
    """Return the codes (K, T), and what each table leaves for the next: K tensors (T, D)."""
    rest, codes, rests = vectors, [], []
    for table in tables:
        codes.append(torch.cdist(rest, table).argmin(1))
        rest = rest - table[codes[-1]]
        rests.append(rest)
    return torch.stack(codes), rests


codes, rests = quantise(vectors)
same = codes == el.musicgen.encode(musicgen, audio)[0]
assert same.float().mean() > 0.99  # rounding decides where two rows are equally near


# %%
def plot_codes(codes, ax):
    """Plot codes (K, T) as colours over seconds."""
    extent = (0, codes.shape[1] / musicgen.frame_rate, len(codes) - 0.5, -0.5)
    ax.imshow(codes, aspect="auto", extent=extent, cmap="viridis", interpolation="nearest")
    ax.set(yticks=range(len(codes)), ylabel="codebook", xlabel="time (s)")


figure, axes = plt.subplots(2, 1, figsize=(8, 4), sharex=True, height_ratios=(2, 1))
el.plots.plot_spectrogram(audio[0, : 4 * rate].numpy(), rate, ax=axes[0]).set_xlabel("")
plot_codes(codes[:, :200], axes[1])
repeated = (codes[:, 1:] == codes[:, :-1]).float().mean(1)
print("share of frames that repeat the code before:", [f"{share:.0%}" for share in repeated])

# %% [markdown]
# **Look:** the codes stand below their sound, with codebooks counted from 0. Colours are only names;
# neighbouring rows need not sound alike. Where a drum is struck, all codes change. Where a tone is held,
# codes repeat, most of all in the first codebook.
#
# **Predict:** the codec's decoder turns vectors back into sound. What will be missing if it gets only the
# first table's rows? Listen to one table, then two, and so on.

# %%
heard = [decode(musicgen, codes[None, :k])[0].numpy() for k in range(1, n_codebooks + 1)]
for k, sound in enumerate(heard, start=1):
    print("tables used:", k)
    display(Audio(sound, rate=rate))


# %%
def share_left(rest):
    """Return the share of the vectors' variance that is left, 0 to 1."""
    return float((rest**2).mean() / vectors.var(0, correction=0).mean())


# %%
def log_mel(sound):
    """Return a spectrogram in decibels."""
    power = librosa.feature.melspectrogram(y=sound, sr=rate, n_fft=1024)
    return librosa.power_to_db(power, amin=1e-6, top_db=None)


def sound_error(sound):
    """Return the mean difference from the original's log-mel spectrogram, in decibels."""
    return np.abs(log_mel(sound) - log_mel(audio[0].numpy())).mean()


# %%
with torch.no_grad():
    unquantised = codec.decoder(vectors.T[None])[0, 0].numpy()
figure, axes = plt.subplots(1, 2, figsize=(8, 2.8))
used = np.arange(1, n_codebooks + 1)
axes[0].plot(used, [100 * share_left(rest) for rest in rests], "o-")
axes[1].plot(used, [sound_error(sound) for sound in heard], "o-")
axes[1].axhline(sound_error(unquantised), color="C6", linestyle="--", label="without quantising")
axes[1].legend(loc="lower right")
for ax, label in zip(axes, ("variance left (%)", "error of the sound (dB)"), strict=True):
    ax.set(xticks=used, xlabel="tables used", ylabel=label, ylim=(0, 1.1 * ax.get_ylim()[1]))

# %% [markdown]
# **Explain.** Each table was fitted to what the tables before it leave, so each has less to describe. On the
# right, the dashed line is what encoder and decoder lose without any table. The rest of the error is the cost
# of *quantising*. (Points may lie below the line, because a decoder trained on quantised vectors can do
# better with those.) The published MusicGen has four tables of 2,048 rows, at 32 kHz.

# %% [markdown]
# ## 3. In which order? The delay pattern
#
# A frame is four choices. Could the model make all four at once, each without knowing the others? Take
# the second code from another frame:

# %%
stranger = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(0))
second = tables[1][codes[1]]
print(f"first code alone         {share_left(rests[0]):.1%} of the variance left")
print(f"and its own second       {share_left(rests[0] - second):.1%}")
print(f"and a stranger's second  {share_left(rests[0] - second[stranger]):.1%}")

# %% [markdown]
# **Explain.** A refinement of something else is worse than none, so the second choice must know the first. (A
# model that chose both at once would do better than a stranger, since both know the past. But its second
# choice could not know what it refines.) One choice at a time would cost four steps a frame. MusicGen needs
# one. Codebook *k* comes *k* steps late, so when a frame's second code is chosen, its first is known.
#
# **Predict:** which frames does step 5 write?


# %%
def delay_by_hand(codes, pad):
    """Move codebook k of frame t to step t + k; `pad` stands where no code is."""
    steps = torch.full((n_codebooks, codes.shape[1] + n_codebooks - 1), pad)
    for k, row in enumerate(codes):
        steps[k, k : k + len(row)] = row
    return steps


steps = delay_by_hand(codes, musicgen.pad)
assert torch.equal(steps, el.musicgen.delay(codes, musicgen.pad))
back = torch.stack([row[k : k + codes.shape[1]] for k, row in enumerate(steps)])
assert torch.equal(back, el.musicgen.undelay(steps)) and torch.equal(back, codes)

# %%
frames = torch.arange(8).expand(n_codebooks, -1)
figure, axes = plt.subplots(1, 2, figsize=(8, 2.3), width_ratios=(8, 11))
for ax, table, name in [(axes[0], frames, "frame"), (axes[1], delay_by_hand(frames, -1), "step")]:
    ax.imshow(np.ma.masked_equal(table.numpy(), -1), cmap="cividis", vmin=-6)
    for k, column in np.argwhere(table.numpy() >= 0):
        ax.text(column, k, int(table[k, column]), ha="center", va="center", fontsize=9)
    ax.set(xticks=range(table.shape[1]), yticks=range(n_codebooks), xlabel=name, ylabel="codebook")
_ = axes[1].set_title("each number is a frame")

# %% [markdown]
# **Look** at step 5 on the right: it writes the frames 5, 4, 3 and 2. A piece of *T* frames takes *T* + 3
# steps.
#
# Remember for steering: *codebook k at step s belongs to frame s - k*. What a video tells about frame *s* is
# added at step *s*. That is in time for the first codebook, on which the others build. At this step the last
# codebook still writes the frame 60 ms earlier.

# %% [markdown]
# ## 4. What may come next
#
# Two parts of MusicGen are left. The *text encoder* turns a prompt into vectors, one for each piece of a word
# and one for the end. The language model is a *transformer*, a network that looks back at everything it has
# read. It is called *decoder*, too, but is not the codec's decoder, which makes sound. In the code, `decoder`
# is the language model and `decode` the codec's.
#
# It reads step by step. Each code has a learned vector. The vectors of a step are added up, with one for the
# position. (The video's term can be added here.) The model looks back at all earlier steps and at the words.
# It answers with *logits*, one number for each row of each table.
#
# Let it read two seconds of the piece above and say what comes next.

# %%
prompt = "happy rock with guitar, bass and drums"
text, mask = encode_prompts(musicgen, [prompt])
decoder = el.musicgen.StepDecoder(musicgen.model.decoder)  # transformers' weights, run step by step
with_start = torch.nn.functional.pad(steps, (1, 0), value=musicgen.pad)  # a first column of pads
known = with_start[None, :, :100]
decoder.start(text, mask, 100)
logits = decoder.step(known)
print(musicgen.processor.tokenizer.tokenize(prompt))
print("text", tuple(text.shape), "-> logits", tuple(logits.shape))

# %% [markdown]
# To draw a code, divide the logits by the *temperature* and exponentiate. Keep only the `top_k` largest, and
# divide by the sum.
#
# **Predict:** at temperature 2, is the likeliest code more or less likely than at 1? And the hundredth?


# %%
def probabilities(logits, temperature=1.0, top_k=None):
    """Turn logits (..., V) into probabilities, which are 0 beyond the top_k likeliest."""
    weights = ((logits - logits.amax(-1, keepdim=True)) / temperature).exp()
    if top_k is not None:
        least = weights.topk(top_k).values[..., -1:]
        weights = torch.where(weights < least, 0.0, weights)
    return weights / weights.sum(-1, keepdim=True)


assert torch.allclose(probabilities(logits), logits.softmax(-1), atol=1e-6)

# %%
generator = torch.Generator().manual_seed(0)
daring = el.Settings(temperature=1.5, top_k=8)
draws = draw_codes(logits[:, :1].expand(5000, -1, -1), daring, generator)  # the library, 5,000 times
drawn = torch.bincount(draws.flatten(), minlength=rows) / len(draws)
expected = probabilities(logits[0, 0], 1.5, 8)
assert (drawn - expected).abs().max() < 0.03 and not drawn[expected == 0].any()
assert torch.equal(draw_codes(logits, el.Settings(top_k=1), generator), logits.argmax(-1))

# %%
figure, axes = plt.subplots(1, n_codebooks, figsize=(8, 2.8), sharey=True)
for k, ax in enumerate(axes):
    for temperature, style in [(0.5, ":"), (1.0, "-"), (2.0, "--")]:
        ordered = probabilities(logits[0, k], temperature).sort(descending=True).values
        ax.plot(np.arange(1, rows + 1), ordered, style, label=f"temperature {temperature}")
    ax.set(xscale="log", yscale="log", ylim=(1e-5, 1))
    ax.set(title=f"codebook {k}", xlabel="rank of a code")
axes[0].set_ylabel("probability")
_ = figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)

# %% [markdown]
# **Explain.** A low temperature makes likely codes likelier. A high temperature gives the other codes a
# chance. There are many unlikely codes, and together they are not so unlikely. `top_k` cuts them off. The
# flatter a solid curve, the less sure the model is of that codebook.

# %% [markdown]
# ## 5. The loop
#
# Choose, write down, go on: this makes the music. `greedy` always takes the likeliest code, `sampled` draws.
#
# **Predict:** which will be the better music?


# %%
def write(n_frames, pick):
    """Return codes (1, K, n_frames); `pick` turns logits (1, K, V) into one code per codebook."""
    n_steps = n_frames + n_codebooks - 1
    steps = torch.full((1, n_codebooks, n_steps + 1), musicgen.pad)
    decoder.start(text, mask, n_steps)
    for step in range(n_steps):
        chosen = pick(decoder.step(steps[..., step : step + 1]))
        for k in range(n_codebooks):
            if 0 <= step - k < n_frames:
                steps[:, k, step + 1] = chosen[:, k]  # one further on: the first column is pads
    return el.musicgen.undelay(steps[..., 1:])


# %%
greedy = write(200, lambda logits: logits.argmax(-1))
settings, generator = el.Settings(guidance=1.0, seed=0), torch.Generator().manual_seed(0)
sampled = write(200, lambda logits: draw_codes(logits, settings, generator))
for by_hand, how in [(greedy, el.Settings(guidance=1.0, top_k=1)), (sampled, settings)]:
    library = sample_codes(musicgen, decoder, Condition(text, mask), 200, how)
    assert torch.equal(by_hand, library)

# %%
figure, axes = plt.subplots(2, 1, figsize=(8, 3.6), sharex=True)
for ax, written, name in [(axes[0], greedy, "greedy"), (axes[1], sampled, "sampled")]:
    plot_codes(written[0], ax)
    ax.set_title(name)
    ax.label_outer()
    print(f"{name}: different codes in each codebook", [len(row.unique()) for row in written[0]])
    display(Audio(decode(musicgen, written)[0], rate=rate))

# %% [markdown]
# **Explain.** The likeliest next sound is often the same sound again. The longer it lasts, the likelier this
# is. A model that always takes it can come to a standstill or go in circles. So do texts written like that
# (Holtzman 2019). Music needs surprises; here chance provides them.

# %% [markdown]
# ## 6. Guidance
#
# How strongly should the words count? Ask the model twice, with the words and without (two rows of one
# batch). Then go on in the direction of the difference.
#
# **Predict:** a code is a little likelier with the words than without. What happens to its probability at
# guidance 2, 3, 4? Can it fall again?


# %%
def ask_twice(tokens):
    """Return the next logits (K, V) after tokens (1, K, n), with the words and without."""
    decoder.start(torch.cat([text, 0 * text]), torch.cat([mask, 0 * mask]), tokens.shape[-1])
    return decoder.step(tokens.expand(2, -1, -1)).unbind()


def guided(with_words, without, guidance):
    """Return guided logits. 0: without words; 1: with words; above 1: beyond."""
    return without + guidance * (with_words - without)


# %%
with_words, without = ask_twice(known)
row = {"none": without, "text": with_words}
for guidance in (0.0, 1.0, 3.0):
    weights = el.musicgen.guidance_weights(el.Settings(guidance=guidance), has_video=False)
    print(f"guidance {guidance}: the library's weights are", weights)
    library = sum(weight * row[name] for name, weight in weights.items())
    assert torch.allclose(guided(with_words, without, guidance), library, atol=1e-4)

# %%
strengths = np.linspace(0, 8, 41)
figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), sharey=True)
places = [(known[..., :1], "at the first step"), (known, "after two seconds")]
for ax, (tokens, name) in zip(axes, places, strict=True):
    answers = ask_twice(tokens)
    curves = torch.stack([probabilities(guided(*answers, g)[0]) for g in strengths])
    ax.plot(strengths, curves[:, curves.amax(0).topk(6).indices])
    ax.axvline(1, color="0.6", linestyle=":")
    ax.set(xlabel="guidance", title=f"{name}: six codes")
_ = axes[0].set_ylabel("probability (codebook 0)")

# %% [markdown]
# **Explain.** At 0 the words do not count. At 1 (dotted) they count as in training. Above 1 their effect is
# exaggerated. Guidance boosts the codes that the words make more probable. Some rise first and fall later,
# when others are boosted more. Far above 1 few likely codes are left, and the music varies less.
#
# A video is guided in the same way, by a third row with the words *and* the person (exercise 2).

# %% [markdown]
# ## 7. By ear
#
# **Predict:** which knob makes the music wilder? Which makes it more like the words?


# %%
def hear(prompt="slow piano ballad", temperature=1.0, guidance=3.0, seed=0):
    """Make four seconds of music, plot them and play them."""
    settings = el.Settings(temperature=temperature, guidance=guidance, seed=seed)
    condition = Condition(*encode_prompts(musicgen, [prompt]))
    sound = decode(musicgen, sample_codes(musicgen, decoder, condition, 200, settings))[0].numpy()
    ax = el.plots.plot_spectrogram(sound, rate)
    ax.set_title(f"{prompt}: temperature {temperature:g}, guidance {guidance:g}")
    plt.show()
    display(Audio(sound, rate=rate))


hear()

# %% [markdown]
# Turn one knob at a time: first guidance 0, 1, 3 and 8 at temperature 1. Then set guidance to 3, and try
# temperatures from 0.2 to 2. **Look** for vertical lines, which are drums, and horizontal ones, which are
# held tones. Where do you hear what the words say? Where does the music become dull? Where does it fall
# apart? Try other seeds before you believe it.

# %%
whole_label = {"description_width": "initial"}
_ = widgets.interact_manual(  # runs when you press the button
    hear,
    prompt=["slow piano ballad", "techno with drums", prompt],
    temperature=widgets.FloatSlider(value=1.0, min=0.2, max=2.0, step=0.1, style=whole_label),
    guidance=widgets.FloatSlider(value=0.0, min=0.0, max=8.0, step=0.5),
    seed=widgets.IntSlider(value=0, min=0, max=9),
)

# %% [markdown]
# ## Exercises
#
# **1. Forgotten.** Somebody decodes the steps without undoing the delay. Listen to `steps[:, 3:-3]`, where no
# pads are. Take these as the codes of `vectors[3:]`. What share of the variance do they leave? *Target: more
# than with the codes in their places, `share_left(rests[-1])`.*

# %%
left = ...  # share of the variance, 0.5 for half of it

said = codec.quantizer.decode(steps[:, None, 3:-3])[0].T  # the library's own sum
check(left, lambda: abs(left / share_left(vectors[3:] - said) - 1) < 0.01)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# edge = n_codebooks - 1
# slipped = steps[:, edge:-edge]
# display(Audio(decode(musicgen, slipped[None])[0], rate=rate))
# said = sum(table[row] for table, row in zip(tables, slipped, strict=True))
# left = share_left(vectors[edge:] - said)
# print(f"{left:.1%} instead of {share_left(rests[-1]):.1%}")
# ```
#
# The first table is in its place. The others refine the sound of up to 60 ms ago.
# </details>

# %% [markdown]
# **2. Three rows.** With a video the logits are `none + g * (text - none) + v * (both - text)`. On paper,
# collect the weight of each of the three for *g* = 2 and *v* = 4. *Target: the weights that `guidance_weights`
# has, and a sum of 1.*

# %%
weights = ...  # such as {"none": 0.0, "text": 1.0, "both": 0.0}

library = el.musicgen.guidance_weights(el.Settings(guidance=2.0, visual_guidance=4.0), has_video=True)
check(weights, lambda: weights == library and sum(weights.values()) == 1)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# weights = {"none": 1 - 2.0, "text": 2.0 - 4.0, "both": 4.0}
# print(sum(weights.values()))
# ```
#
# The sum is 1 for all *g* and *v*. So what all three agree on stays as it is.
# </details>

# %% [markdown]
# ## Quiz
#
# **1. Why does the second codebook come a step later than the first?**  (a) So that its choice can depend on
# the first one's. (b) Because it is less important. (c) So that fewer steps are needed.
#
# <details><summary>Answers</summary>
#
# - (a) **Right**: choices within one step do not know each other.
# - (b) That would be no reason to delay it.
# - (c) A delay takes three steps more, though far fewer than one choice at a time.
# </details>

# %% [markdown]
# **2. A code has the same logit with the words and without them. What does guidance 3 do to this logit?**
# (a) It triples it. (b) Nothing. (c) It sets it to zero.
#
# <details><summary>Answers</summary>
#
# - (a) Only the difference is tripled, and here it is zero.
# - (b) **Right.** Its probability can still change, because the logits of other codes do.
# - (c) The difference is zero, but it is added to the logit without words.
# </details>

# %% [markdown]
# ## What we saw
#
# - A codec turns 20 ms of sound into a few choices from tables. Each table describes what those before it
#   left over.
# - Codebook *k* at step *s* belongs to frame *s - k*. When a refinement is chosen, what it refines is known.
# - Making music is a loop: logits, temperature, top-k, a draw.
# - Guidance exaggerates the difference that a condition makes, words or a video.
#
# ## Limits
#
# - The delay is a compromise. A frame's first code is chosen before the finer codes of the previous frame are
#   known.
# - A difference of log-mel spectrograms is not what people hear. A missing tone and faint noise may count
#   alike.
# - One clip shows what a knob can do. How well words are followed takes many clips and a judge.
#
# ## References
#
# - Zeghidour et al. 2021, [SoundStream](https://arxiv.org/abs/2107.03312): residual vector quantisation in a
#   codec.
# - Défossez et al. 2022, [EnCodec](https://arxiv.org/abs/2210.13438): the codec of MusicGen.
# - Copet et al. 2023, [MusicGen](https://arxiv.org/abs/2306.05284): the delay pattern.
# - Fan et al. 2018, [Hierarchical neural story generation](https://arxiv.org/abs/1805.04833): top-k.
# - Holtzman et al. 2019, [The curious case of neural text degeneration](https://arxiv.org/abs/1904.09751):
#   why not the likeliest.
# - Ho and Salimans 2022, [Classifier-free diffusion guidance](https://arxiv.org/abs/2207.12598).
# - `expotion_lite/musicgen/codes.py`, `step_decoder.py` and `sampling.py`: the same for many pieces at once
#   and for any length.
#
# ## Next
#
# The loop has a place for a video. An adapter learns to use it from music with people who move to it:
# [05_data](05_data.ipynb).
