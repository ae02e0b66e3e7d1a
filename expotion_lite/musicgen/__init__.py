"""MusicGen and what makes it follow a person.

`loading` loads nano or a model of Meta's, `codes` holds the delay pattern and EnCodec, `adapter` the visual adapter
with its gate and LoRA, `step_decoder` one step of the decoder, `sampling` the guided sampling loop, `live_audio`
decoding while the music is made, and `settings` what a user can choose."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
