from . import following as following
from . import metrics as metrics
from .following import evaluate as evaluate
from .following import held_out as held_out
from .following import make_music as make_music
from .following import score as score
from .following import summarise as summarise
