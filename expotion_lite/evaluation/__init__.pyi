from . import alignment as alignment
from . import metrics as metrics
from .alignment import evaluate as evaluate
from .alignment import held_out as held_out
from .alignment import make_music as make_music
from .alignment import score as score
from .alignment import summarise as summarise
