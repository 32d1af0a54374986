"""The names of the forms that a network can be in."""

from repnext_mm.deprecation import warn_of_old_name

TRAINING = 'training'
"""Parallel branches and batch norms: the form that is trained."""

INFERENCE_FORMS = ('fused', 'plain')
"""``'fused'``: same topology, merged. ``'plain'``: no residual either. A block may lack some."""

FORMS = (TRAINING, *INFERENCE_FORMS)

AUTO = 'auto'
"""No form, but the wish for the fastest inference form; see :mod:`repnext_mm.reparam.fastest`."""


def check_form(form: str) -> None:
    """Makes sure that a form exists.

    Raises:
        ValueError: If it does not; the message names those that do.
    """
    if form not in FORMS:
        raise ValueError(f'unknown form {form!r}: choose from {FORMS}')


def check_inference_form(form: str) -> None:
    """Makes sure that a model can be merged to a form.

    Raises:
        ValueError: If it is no inference form; the message names those.
    """
    if form == TRAINING:
        raise ValueError(
            f'merging goes from the form {TRAINING!r} to an inference form: choose from '
            f'{INFERENCE_FORMS}, or leave the model as it is'
        )
    if form == AUTO:
        raise ValueError(
            f'{AUTO!r} measures the forms on images: use merged_copy, ReparameterizeHook or the tools, '
            f'or choose from {INFERENCE_FORMS}'
        )
    if form not in INFERENCE_FORMS:
        raise ValueError(f'unknown form {form!r}: choose from {INFERENCE_FORMS}')


def form_name(form: str | None) -> str:
    """A form by its name of today: None was once that of the training form."""
    if form is None:
        warn_of_old_name('None as a form', repr(TRAINING), stacklevel=3)
        return TRAINING
    return form
