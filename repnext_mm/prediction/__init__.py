"""Images and videos in, files of what is in them out: for checkpoints and exported files."""

from repnext_mm.prediction.inputs import find_inputs
from repnext_mm.prediction.predictors import Predictor, open_predictor
from repnext_mm.prediction.run import Settings, predict_all

__all__ = ['Predictor', 'Settings', 'find_inputs', 'open_predictor', 'predict_all']
