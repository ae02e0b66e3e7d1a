"""nano's tokenizer and model: vocabulary, embeddings of numbers, and layers that are added."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from expotion_lite.errors import ExpotionError
from expotion_lite.lab.language_data import encode_pieces, fresh_pieces, tokenize
from expotion_lite.lab.language_model import (
    WINDOW,
    embed_numbers_by_value,
    load_with_more_layers,
    new_musicgen,
    save_nano,
)
from expotion_lite.lab.language_training import language_losses
from expotion_lite.musicgen.loading import load


def test_words_of_captions_are_known_and_others_are_spelled_out(tokenizer):
    assert len(tokenizer.tokenize("slow waltz with accordion")) == 4
    assert len(tokenizer.tokenize("polka")) > 1
    assert tokenizer.decode(tokenizer("polka").input_ids, skip_special_tokens=True) == "polka"


def test_close_numbers_get_close_embeddings(tiny_model, tokenizer):
    table = tiny_model.text_encoder.shared.weight.detach()
    before = table.clone()
    embed_numbers_by_value(tiny_model, tokenizer)

    def similarity(a: str, b: str) -> float:
        rows = [table[tokenizer.convert_tokens_to_ids("\u2581" + word)] for word in (a, b)]
        return float(torch.cosine_similarity(*rows, dim=0))

    assert (
        similarity("120", "121") > 0.9 > similarity("120", "126") > similarity("120", "140") > similarity("120", "70")
    )
    assert abs(similarity("70", "140")) < 0.4 and float(table.std()) == pytest.approx(float(before.std()), rel=0.05)
    word = tokenizer.convert_tokens_to_ids("\u2581waltz")
    assert torch.equal(table[word], before[word]), "words stay as they were"


def test_a_saved_nano_loads(tiny_model, tokenizer, tmp_path):
    save_nano(tiny_model, tokenizer, tmp_path)
    assert load(tmp_path).window == WINDOW


def test_added_layers_change_nothing_at_first_and_learn(tiny_codec, tokenizer, tmp_path):
    before = new_musicgen(tiny_codec, len(tokenizer), width=64, layers=2).eval()
    before.config.pieces_heard = 24
    save_nano(before, tokenizer, tmp_path / "nano")
    model, words = load_with_more_layers(tmp_path / "nano", 5, "cpu")
    assert len(model.decoder.model.decoder.layers) == 5 and model.config.pieces_heard == 24
    pieces, nothing_hidden = fresh_pieces(0, 1, 0), torch.ones(1, WINDOW)
    pieces = replace(pieces, music=encode_pieces(before.audio_encoder, pieces.music))
    text, probes = tokenize(words, pieces.captions), (torch.nn.Linear(64, 6), torch.nn.Linear(64, 36))
    with torch.no_grad():
        was, now = (
            float(language_losses(each, *probes, pieces, *text, nothing_hidden)[0]) for each in (before, model.eval())
        )
    assert now == pytest.approx(was, abs=1e-3), "computed in half precision where that is faster"
    language_losses(model.train(), *probes, pieces, *text, nothing_hidden)[0].backward()
    assert all(layer.fc2.weight.grad.any() for layer in model.decoder.model.decoder.layers)
    assert not any(p.requires_grad for p in model.audio_encoder.parameters())
    with pytest.raises(ExpotionError, match="none can be taken away"):
        load_with_more_layers(tmp_path / "nano", 1, "cpu")
