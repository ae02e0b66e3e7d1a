"""Fine-tuning: a frozen MusicGen learns, through an adapter and LoRA, to follow a person.

`finetuning` is what `expotion-lite finetune` does, `loop` the loss and the training loop, `checkpoints` what makes a
training survive a kill."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
