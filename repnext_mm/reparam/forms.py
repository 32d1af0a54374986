"""The names of the forms that a network can be in."""

TRAINING = 'training'
"""Parallel branches and batch norms: the form that is trained."""

INFERENCE_FORMS = ('fused', 'plain')
"""``'fused'``: same topology, merged. ``'plain'``: no residual either. A block may lack some."""

FORMS = (TRAINING, *INFERENCE_FORMS)
