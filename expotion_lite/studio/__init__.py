"""The studio: record yourself, steer, listen while the music is made, compare takes, and judge them blind.

- `page.Studio` is the widget; its cards are in `panels` and `blind_test_panel`, its JavaScript parts in `browser` and
  `static/`.
- `session.Session` is the studio without widgets: `sources` opens people, `live_generation` makes music and plays it
  while it is made, and `takes` holds the results.
- `live_instrument.LiveInstrument` is a widget of its own: it plays while somebody moves. `live_player` runs its engine.
- `jobs` runs the work beside the notebook, so that it can be cancelled.
- `recording` and `recording_controller` record people.
- `blind_test` is the listening test, and `server` opens the studio as a page of its own.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
