"""The form in which a config is tested: that of the command line, the backbone or the hook."""

from mmengine.config import Config

from repnext_mm.config_dicts import type_name
from repnext_mm.reparam.forms import TRAINING

HOOK = 'ReparameterizeHook'


def choose_form(cfg: Config, form: str | None = None, layout: str | None = None) -> str:
    """Makes a config test one form.

    A hook of the config keeps its other options.

    Args:
        cfg: A config, which gets or loses a ``ReparameterizeHook``.
        form: One of :data:`repnext_mm.reparam.forms.FORMS`, or ``'auto'``. None for the form in which the config
            builds its backbone, else for that of its hook, else for ``'fused'``.

        layout: One of :data:`repnext_mm.reparam.fastest.LAYOUTS` for the merged copy. None for that of
            the config's hook, else as it is.

    Returns:
        The form that is tested; ``'auto'`` is chosen in the test.

    Raises:
        ValueError: If the training form is asked for and the config builds its backbone merged,
            or a layout is asked for where nothing is merged.
    """
    hooks = list(cfg.get('custom_hooks') or [])
    own = [hook for hook in hooks if type_name(hook) == HOOK]
    others = [hook for hook in hooks if type_name(hook) != HOOK]
    hook = dict(own[0] if own else dict(type=f'repnext_mm.{HOOK}'))
    hook_form = hook.pop('form', hook.pop('mode', 'fused'))  # in earlier versions it was mode
    built = built_form(cfg)
    if form == TRAINING and built != TRAINING:
        raise ValueError(
            f'the config builds its backbone merged (deploy={built!r}): leave model.backbone.deploy '
            'out of it to test the training form'
        )
    form = form or (hook_form if built == TRAINING else built)
    if layout is not None:
        if form == TRAINING:
            raise ValueError(
                f'layout={layout!r} is for merged copies: choose a form for it as well'
            )
        hook['layout'] = layout
    cfg.custom_hooks = others if form == TRAINING else [*others, dict(hook, form=form)]
    return form


def built_form(cfg: Config) -> str:
    """The form in which a config builds its backbone."""
    backbone = cfg.get('model', {}).get('backbone') or {}
    return backbone.get('deploy') or TRAINING
