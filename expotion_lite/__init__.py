"""Music for a video of a person: expression and motion steer a text-to-music model.

    >>> import expotion_lite as el
    >>> el.Settings(seed=7).guidance
    3.0

Every public name is listed in `__init__.pyi`, and imported when it is first used, so that `import expotion_lite` is
immediate.
"""

import lazy_loader as _lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
