"""Fine-tuning: an adapter and LoRA teach a frozen MusicGen to follow a person.

`finetuning` runs the whole job (`el.finetune`), `loop` holds the loss and the training loop, `hiding` says what is
hidden from the model and why, `batches` puts examples together, and `checkpoints` lets a training survive a kill.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
