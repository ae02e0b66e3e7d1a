"""The recipe from a codec to a folder that plain transformers loads, at the smallest size there is."""

from __future__ import annotations

import gc
import json
import re
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from expotion_lite import data
from expotion_lite.data import synthetic
from expotion_lite.errors import ExpotionError
from expotion_lite.files import digest_of
from expotion_lite.lab import language_training
from expotion_lite.lab.caption_encoder import TEMPI, captioned, learn_to_read
from expotion_lite.lab.codec_training import TRAIN_SEEDS, new_codec
from expotion_lite.lab.language_training import (
    SAMPLED,
    WINDOW,
    Pieces,
    clock_of,
    encode_pieces,
    fresh_pieces,
    grown,
    harmony_of,
    in_short_windows,
    key_loss,
    key_told,
    losses_of,
    new_musicgen,
    new_tokenizer,
    save_nano,
    start_numbers_as_neighbours,
    tokens_of,
    told_keys,
    train_language,
)
from expotion_lite.lab.loaders import ahead, one_ahead
from expotion_lite.lab.optimizers import Muon, optimizer_of
from expotion_lite.lab.pretraining import main
from expotion_lite.musicgen.adapter import BUNDLED, read_config
from expotion_lite.musicgen.loading import device_named, load
from expotion_lite.synthetic import band
from expotion_lite.synthetic.harmony import BRIGHT, KEYS
from expotion_lite.training import loop as training
from expotion_lite.training.checkpoints import load_checkpoint, save_checkpoint


@pytest.fixture(scope="module")
def tokenizer():
    return new_tokenizer(n_captions=600)


def test_no_piece_comes_twice_and_a_resumed_run_hears_what_it_would_have_heard():
    first = fresh_pieces(1_000_000, 2, 0)
    assert first.music.shape == (2, 10 * 16_000) and len(first.captions) == 2 and first.clocks.shape == (2, WINDOW, 6)
    assert first.harmonies.shape == (2, WINDOW, 36)
    later, again = fresh_pieces(1_000_000, 2, 1), fresh_pieces(1_000_000, 2, 1)
    assert torch.equal(later.music, again.music) and later.captions == again.captions
    assert not any(torch.equal(a, b) for a in first.music for b in later.music)


def test_pieces_are_encoded_whole_and_some_captions_are_left_out(tokenizer):
    codec = new_codec(4, 16).eval()
    codes = encode_pieces(codec, fresh_pieces(0, 2, 0).music)
    assert codes.shape == (2, 4, WINDOW) and 0 <= codes.min() <= codes.max() < 16
    shown = [bool(tokens_of(tokenizer, ["slow waltz"], i)[1].any()) for i in range(400)]
    assert 0.75 < np.mean(shown) < 0.93


def test_short_windows_follow_one_another_with_the_caption_and_the_truth_of_their_piece():
    codes, clocks = torch.arange(2 * 4 * WINDOW).view(2, 4, WINDOW), torch.arange(2 * WINDOW * 6).view(2, WINDOW, 6)
    windows = in_short_windows(Pieces(codes, ("a", "b"), clocks, -clocks))
    assert torch.equal(windows.harmonies, -windows.clocks)
    assert windows.captions == ("a",) * 4 + ("b",) * 4 and windows.music.shape == (8, 4, 125)
    assert torch.equal(windows.music[1], codes[0, :, 125:250]) and torch.equal(windows.music[4], codes[1, :, :125])
    assert torch.equal(windows.clocks[1], clocks[0, 125:250]) and torch.equal(windows.clocks[4], clocks[1, :125])


@pytest.mark.parametrize("style", ["waltz", "techno"])
def test_the_clock_strikes_on_beats_and_bars(style):
    """And most pieces begin on one."""
    piece = band.compose(3, 10.0, style=style)
    beat, _, bar, _, later, _ = clock_of(piece, WINDOW).T
    for times, hand in ((piece.beats, beat), (piece.downbeats, bar), (piece.beats[piece.beats > 0.5] - 0.5, later)):
        struck = np.round(50 * times[times < 9.98]).astype(int)
        assert hand[struck].min() > 0.95 and hand[(struck[:-1] + struck[1:]) // 2].max() < -0.9
    begins = [bool((clock[0, 2] > 0.99).all()) for clock in fresh_pieces(0, 8, 0).clocks]
    assert 6 <= sum(begins) < 8


@pytest.mark.parametrize("mode", ["major", "minor", "dorian"])
def test_what_sounds_belongs_to_the_chord_that_is_told(mode):
    """And the third above the tonic is told as the scale has it."""
    piece = band.compose(3, 10.0, key="Eb", mode=mode, style="folk")
    told = harmony_of(piece, WINDOW)
    strummed = [note for note in piece.notes if note.instrument == "nylon guitar" and 0 <= note.onset_s < 9.9]
    assert len(strummed) > 20
    for note in strummed:
        assert told[round(50 * (note.onset_s + 0.08)), note.pitch % 12] == 1
    assert (told[:, 12:24].argmax(1) == 3).all() and (told[:, 12:24].sum(1) == 1).all()
    third = 7 if mode == "major" else 6  # G or G flat
    assert (
        (told[:, 24:].argmax(1) == third).all()
        and (told[:, 24:].sum(1) == 1).all()
        and set(told[:, :12].sum(1)) == {3.0}
    )


def test_clock_and_ear_are_measured_and_what_is_hidden_does_not_move_them(tokenizer):
    model = new_musicgen(new_codec(4, 16).eval(), len(tokenizer), width=64, layers=1).eval()
    tokens = tokens_of(tokenizer, ["slow waltz"] * 2, 0)
    clocks, harmonies = (
        torch.from_numpy(np.stack([truth(band.compose(i, 2.0), 100) for i in range(2)]))
        for truth in (clock_of, harmony_of)
    )
    codes = torch.randint(0, 16, (2, 4, 100))
    past = torch.ones(2, 100)
    past[:, 20:] = 0

    def losses(music: torch.Tensor, past: torch.Tensor) -> tuple[float, float, float]:
        pieces = Pieces(music, ("a", "b"), clocks, harmonies)
        with torch.no_grad():
            return tuple(map(float, losses_of(model, clock, ear, pieces, *tokens, past)))

    clock, ear = torch.nn.Linear(64, 6), torch.nn.Linear(64, 36)
    other = torch.cat([codes[..., :20], codes[..., 20:].flip(-1)], -1)
    assert losses(codes, past)[1:] == losses(other, past)[1:]
    heard, otherwise = losses(codes, torch.ones(2, 100)), losses(other, torch.ones(2, 100))
    assert heard[1] != otherwise[1] and heard[2] != otherwise[2]
    for linear in (clock, ear):
        torch.nn.init.zeros_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    loss, late, misheard = losses(codes, past)
    assert loss == pytest.approx(np.log(16), abs=0.5) and late == pytest.approx(0.5)
    assert misheard == pytest.approx(np.log(2))


def test_tonic_and_mood_are_told_apart():
    tonics, moods, keys = told_keys(40, 8)
    assert (tonics, moods) == told_keys(40, 8)[:2] and len(tonics) == len(moods) == 32 and keys.shape == (32, 2)
    for i, (tonic, third) in enumerate(keys.tolist()):
        piece = band.compose(40 + i // 4, 4.0)
        assert re.search(f"(in|key is) {KEYS[tonic]}", tonics[i]) and not re.search("in [A-G]|key is", moods[i])
        assert piece.mode not in tonics[i] and moods[i].endswith(f" in {piece.mode}") == i % 2
        assert (third - tonic) % 12 == (4 if piece.mode in BRIGHT else 3)


def test_a_decoder_learns_to_put_tonic_and_mood_together(tokenizer):
    model = new_musicgen(new_codec(4, 16).eval(), len(tokenizer), width=64, layers=1)
    ear = torch.nn.Linear(64, 36)
    *captions, keys = told_keys(40, 8)
    read = [tokenizer(each, return_tensors="pt", padding=True) for each in captions]
    texts = [(each.input_ids, each.attention_mask) for each in read]
    optimizer = torch.optim.AdamW([*(p for p in model.parameters() if p.requires_grad), *ear.parameters()], 3e-3)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = key_loss(key_told(model, ear, *texts), keys)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 4 and losses[-1] < 0.5  # nats; 2 * log(12), about 5, knows nothing
    with torch.no_grad():
        whole = key_told(model, ear, *texts)[1]
        tokens, mask = texts[1]
        wider = torch.nn.functional.pad(tokens, (0, 3)), torch.nn.functional.pad(mask, (0, 3))
        torch.testing.assert_close(key_told(model, ear, texts[0], wider)[1], whole, rtol=0.05, atol=0.05)
        unmasked = key_told(model, ear, texts[0], (tokens, 0 * mask))[1]
    assert (unmasked - whole).abs().max() > 0.5, "the mood tells of the third"


def test_a_text_encoder_learns_to_read_tempi(tokenizer, tmp_path):
    captions, facts = captioned(0, 2, 0)
    piece = band.compose(0, 4.0)
    assert len(captions) == 8 and abs(TEMPI[facts["tempo"][0]] / piece.tempo_bpm - 1) < 0.02
    assert list(band.STYLES)[facts["style"][0]] == piece.style and facts["players"][0].sum() == len(piece.instruments)
    assert KEYS[facts["tonic"][0]] == piece.key
    model = new_musicgen(new_codec(4, 16).eval(), len(tokenizer), width=64, layers=1)
    start_numbers_as_neighbours(model, tokenizer)
    learn_to_read(model, tokenizer, tmp_path, 3 / 3600, size=2, workers=0)
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    knows_nothing = np.log(len(TEMPI)) + np.log(len(band.STYLES)) + np.log(12) + 2 * np.log(2)
    assert last["stage"] == "reading" and last["held_out_loss"] < knows_nothing + 0.5
    assert 0 <= last["held_out_tempo"] <= 1


def test_words_of_captions_are_known_and_others_are_spelled_out(tokenizer):
    assert len(tokenizer.tokenize("slow waltz with accordion")) == 4
    assert len(tokenizer.tokenize("polka")) > 1
    assert tokenizer.decode(tokenizer("polka").input_ids, skip_special_tokens=True) == "polka"


def test_close_numbers_start_with_close_embeddings(tokenizer):
    model = new_musicgen(new_codec(4, 16).eval(), len(tokenizer), width=64, layers=1)
    table = model.text_encoder.shared.weight.detach()
    before = table.clone()
    start_numbers_as_neighbours(model, tokenizer)

    def alike(a: str, b: str) -> float:
        rows = [table[tokenizer.convert_tokens_to_ids("\u2581" + word)] for word in (a, b)]
        return float(torch.cosine_similarity(*rows, dim=0))

    assert alike("120", "121") > 0.9 > alike("120", "126") > alike("120", "140") > alike("120", "70")
    assert abs(alike("70", "140")) < 0.4 and float(table.std()) == pytest.approx(float(before.std()), rel=0.05)
    word = tokenizer.convert_tokens_to_ids("\u2581waltz")
    assert torch.equal(table[word], before[word]), "words stay as they were"


def test_a_tiny_nano_is_trained_saved_and_loaded(tokenizer, tmp_path):
    model = new_musicgen(new_codec(4, 16).eval(), len(tokenizer), width=64, layers=1)
    before = {name: value.clone() for name, value in model.audio_encoder.state_dict().items()}
    train_language(model, tokenizer, tmp_path, 3 / 3600, batch=2, workers=0)
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert last["stage"] == "language" and np.isfinite(last["loss"]) and np.isfinite(last["held_out_loss"])
    assert len(list((tmp_path / "samples").glob("*.wav"))) == len(SAMPLED)
    assert all(torch.equal(value, before[name]) for name, value in model.audio_encoder.state_dict().items())
    save_nano(model, tokenizer, tmp_path / "nano")
    musicgen = load(tmp_path / "nano")
    assert musicgen.window == WINDOW
    assert musicgen.model.config.pieces_heard == 2 * last["step"], "where a longer training goes on"


def test_a_nano_with_more_layers_plays_what_it_played_and_learns_in_all_of_them(tokenizer, tmp_path):
    before = new_musicgen(new_codec(4, 16), len(tokenizer), width=64, layers=2).eval()
    before.config.pieces_heard = 24
    save_nano(before, tokenizer, tmp_path / "nano")
    model, words = grown(tmp_path / "nano", 5, "cpu")
    assert len(model.decoder.model.decoder.layers) == 5 and model.config.pieces_heard == 24
    pieces, shown = fresh_pieces(0, 1, 0), torch.ones(1, WINDOW)
    pieces = replace(pieces, music=encode_pieces(before.audio_encoder, pieces.music))
    read, heads = tokens_of(words, pieces.captions, 0), (torch.nn.Linear(64, 6), torch.nn.Linear(64, 36))
    with torch.no_grad():
        was, now = (float(losses_of(each, *heads, pieces, *read, shown)[0]) for each in (before, model.eval()))
        assert now == pytest.approx(was, abs=1e-3), "computed in half precision where that pays"
    losses_of(model.train(), *heads, pieces, *read, shown)[0].backward()
    assert all(layer.fc2.weight.grad.any() for layer in model.decoder.model.decoder.layers)
    assert not any(p.requires_grad for p in model.audio_encoder.parameters())
    with pytest.raises(ExpotionError, match="none can be taken away"):
        grown(tmp_path / "nano", 1, "cpu")


def test_a_longer_training_hears_other_pieces(tokenizer, tmp_path, monkeypatch):
    heard = []
    monkeypatch.setattr(
        language_training, "fresh_pieces", lambda first, size, i: heard.append(first) or fresh_pieces(first, size, i)
    )
    model = new_musicgen(new_codec(4, 16).eval(), len(tokenizer), width=64, layers=1)
    model.config.pieces_heard = 24
    train_language(model, tokenizer, tmp_path, 1 / 3600, batch=2, workers=0)
    assert set(heard) == {0, TRAIN_SEEDS + 24}, "0: those that are held out"


def test_a_stream_goes_on_from_any_number_in_order():
    numbers = ahead(partial(torch.add, torch.tensor(10)), workers=0)
    assert [int(numbers(i)) for i in (4, 5, 6)] == [14, 15, 16]
    with pytest.raises(ValueError, match="7 comes next"):
        numbers(9)


def test_a_thread_makes_the_next_example_meanwhile_in_order():
    threads = set()

    def make(i: int) -> int:
        threads.add(threading.current_thread())
        return 10 * i

    numbers = one_ahead(make)
    assert [numbers(i) for i in (4, 5, 6)] == [40, 50, 60]
    assert len(threads) == 1 and threading.current_thread() not in threads

    with pytest.raises(ZeroDivisionError):
        one_ahead(lambda i: 1 / 0)(0)


def test_two_optimizers_go_on_from_a_checkpoint_as_one(tokenizer, tmp_path):
    """Matrices inside are Muon's, all else AdamW's; a resumed step is the step that would have been taken."""

    def steps(model, optimizer, seeds):
        for seed in seeds:
            torch.manual_seed(seed)
            optimizer.zero_grad()
            for p in model.parameters():
                p.grad = torch.randn_like(p) if p.requires_grad else None
            optimizer.step()

    codec = new_codec(4, 16).eval()
    fresh = lambda: new_musicgen(codec, len(tokenizer), width=64, layers=1)  # noqa: E731
    whole, begun, resumed = fresh(), fresh(), fresh()
    optimizer = optimizer_of(whole)
    names = {p: name for name, p in whole.named_parameters()}
    adamw, muon = ([names[p] for p in group["params"]] for group in optimizer.param_groups)
    assert {"decoder.lm_heads.0.weight", "text_encoder.shared.weight"} < set(adamw)
    assert {n.split(".")[0] for n in muon} == {"decoder", "text_encoder"} and any("fc1" in name for name in muon)
    steps(whole, optimizer, range(3))

    optimizer = optimizer_of(begun)
    steps(begun, optimizer, range(2))
    save_checkpoint(tmp_path / "a.safetensors", begun, optimizer, {"step": 2})
    optimizer = optimizer_of(resumed)
    load_checkpoint(tmp_path / "a.safetensors", resumed, optimizer)
    steps(resumed, optimizer, range(2, 3))
    for (name, a), b in zip(whole.named_parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("shape", [(12, 5), (5, 12)])
def test_muon_steps_like_torchs_own(shape):
    """Which rounds to eight bits on the way."""
    torch.manual_seed(0)
    start, gradients = torch.randn(shape), torch.randn(4, *shape)
    ends = []
    for make in (Muon, torch.optim.Muon):
        matrix = torch.nn.Parameter(start.clone())
        optimizer = make([matrix], lr=0.1, momentum=0.95, weight_decay=0.05)
        for gradient in gradients:
            matrix.grad = gradient.clone()
            optimizer.step()
        ends.append(matrix.detach() - start)
    assert float((ends[0] - ends[1]).norm() / ends[1].norm()) < 0.02


def test_worker_processes_keep_the_order():
    numbers = ahead(partial(torch.add, torch.tensor(10)), workers=2)
    assert [int(numbers(i)) for i in range(3, 9)] == [13, 14, 15, 16, 17, 18]


def many_tensors(i):
    """So many that a worker is still sending them when it is told to stop."""
    return [torch.full((2000,), i) for _ in range(300)]


def test_workers_stop_quietly_while_they_send(capfd):
    for _ in range(3):
        numbers = ahead(many_tensors, workers=2)
        assert all(tensor.eq(5).all() for tensor in numbers(5))
        del numbers
        gc.collect()  # which ends the workers
    assert not capfd.readouterr().err


def test_a_device_that_is_not_there_is_named():
    assert device_named("cpu").type == "cpu" and device_named("auto").type in ("cpu", "cuda")
    with pytest.raises(ExpotionError, match="use cpu or auto"):
        device_named("quantum")


def test_the_recipe_refuses_what_it_cannot_go_on_with(tmp_path, capsys):
    """From the command line: no such codec, no such device, a folder that was begun."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "plan.json").write_text("{}")
    for arguments, says in (
        (["--codec", tmp_path / "none"], "holds no model.safetensors"),
        (["--device", "quantum"], "use cpu or auto"),
        (["--opponent", "2"], "share of the time"),
        (["--adapter-only", "--nano", tmp_path / "none"], "holds no model.safetensors"),
        (["--adapter-only", "--adapter", tmp_path / "none"], "holds no adapter_model.safetensors"),
        (["--adapter", tmp_path / "none"], "only with --adapter-only"),
        (["--nano", tmp_path / "none"], "only with --adapter-only"),
        (["--adapter-only", "--layers", "6"], "keeps a nano as it is"),
        (["--adapter-only", "--nano", tmp_path / "none", "--export"], "not with --codec-only or --nano"),
        (["--codec-only", "--export"], "not with --codec-only or --nano"),
        (["--start", tmp_path / "none"], "holds no model.safetensors"),
        (["--start", tmp_path / "none", "--codec-only"], "codec and all"),
        ([], "--resume"),
    ):
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in ["--folder", tmp_path / "run", *arguments]])
        assert stop.value.code == 2 and says in capsys.readouterr().err


def test_an_adapter_goes_on_where_it_was(tmp_path, monkeypatch):
    begun, digest, channels = [], digest_of(BUNDLED / "adapter_model.safetensors"), read_config(BUNDLED).channels
    few = data.Examples(
        np.zeros((2, 4, 8), np.int16), np.zeros((2, 8, len(channels))), ("a", "b"), np.arange(2), np.arange(2), channels
    )
    monkeypatch.setattr(synthetic, "kept_synthetic_split", lambda musicgen, n, folder: (few, few))
    monkeypatch.setattr(
        training, "train_adapter", lambda *told, start, extra_loss: begun.append((told[3:], start, bool(extra_loss)))
    )
    arguments = ["--adapter-only", "--adapter", BUNDLED, "--hours", "0.5", "--folder", tmp_path]
    assert main([str(argument) for argument in arguments]) == 0
    assert begun == [((tmp_path, training.TrainingConfig(hours=0.5, seed=int(digest[:7], 16))), BUNDLED, True)]
    assert json.loads((tmp_path / "plan.json").read_text())["adapter"] == digest
