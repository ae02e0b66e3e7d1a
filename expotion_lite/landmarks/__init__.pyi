from .extraction import BLENDSHAPES as BLENDSHAPES
from .extraction import Landmarks as Landmarks
from .extraction import LiveLandmarks as LiveLandmarks
from .extraction import extract_landmarks as extract_landmarks
from .model_files import find_model as find_model
