"""Measure whether music follows a person.

`metrics` are plain functions of arrays; `alignment` scores music made for held-out performers against its own video and
against other people's."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
