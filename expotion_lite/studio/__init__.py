"""The studio: record yourself, steer, listen while the music is made, compare takes, and judge them blind.

`session` is the studio without its buttons and `page` the widget around it; `panels` and `browser` are its parts,
`sources` what music is made for, `blind_test` the listening test, and `server` opens the page in a browser."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
