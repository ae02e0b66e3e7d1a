"""MusicGen, and the adapter with which it follows a person.

- `loading`: nano, the published models, or a folder.
- `settings`: sampling settings.
- `prompts`: nano's vocabulary.
- `codes`: the delay pattern, and EnCodec.
- `adapter`: the visual adapter with its gate, and LoRA.
- `step_decoder`: one step of the decoder.
- `sampling`: the sampling loop with guidance and windows.
- `endless`: sampling of music without end.
- `live_audio`: audio while music is sampled.
- `precision`: the training dtype.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
