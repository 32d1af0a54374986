"""Pictures of predictions, switched on in the words of each package."""

from pathlib import Path

from mmengine.config import Config

from repnext_mm.config_dicts import type_name
from repnext_mm.export.data import innermost_dataset
from repnext_mm.visualization.fonts import use_readable_font


def enable_pictures(
    cfg: Config, folder: str | None = None, show: bool = False, wait_time: float = 0.0
) -> None:
    """Makes a config's visualization hook draw every test image.

    Detectors and segmentors get titles and a legend, unless the config has a visualizer of its own.
    Class names that the usual font lacks are written in another that is installed; if there is
    none, a warning says so.

    Args:
        cfg: A config for mmdet, mmseg or mmpretrain.
        folder: Where to write the pictures; None for where the config says.
        show: Show each in a window.
        wait_time: For how long, in seconds.

    Raises:
        ValueError: If the config has no visualization hook, or, for mmseg, no visualizer.
    """
    hook = (cfg.get('default_hooks') or {}).get('visualization')
    if hook is None:
        raise ValueError(
            'pictures need a visualization hook: add default_hooks.visualization to the config, '
            "such as dict(type='DetVisualizationHook')"
        )
    use_readable_font(_class_names(cfg))
    hook.show, hook.wait_time = show, wait_time
    hook.interval = 1  # mmpretrain and OpenMMLab's mmseg skip images in tests too
    scope = cfg.get('default_scope')
    # mmdet puts a relative path below the time stamp of the run.
    target = str(Path(folder).absolute()) if folder else None
    if scope == 'mmpretrain':
        hook.enable, hook.out_dir = True, target
        return
    hook.draw = True
    if scope == 'mmdet':
        if target:
            hook.test_out_dir = target
        visualizer = cfg.get('visualizer')
        if visualizer and type_name(visualizer) == 'DetLocalVisualizer':
            visualizer.type = 'repnext_mm.DetLegendVisualizer'
    if scope == 'mmseg':
        _draw_label_maps(cfg, target)


def _draw_label_maps(cfg: Config, target: str | None) -> None:
    visualizer = cfg.get('visualizer')
    if not visualizer:
        raise ValueError(
            "pictures need a visualizer: add visualizer=dict(type='SegLocalVisualizer') to the config"
        )
    if type_name(visualizer) == 'SegLocalVisualizer':
        visualizer.type = 'repnext_mm.SegLegendVisualizer'
        if target:
            visualizer.picture_dir = target
    elif target:
        visualizer.save_dir = target


def _class_names(cfg: Config) -> list[str]:
    """The names that the config gives to the classes of its test data; those of packages are ASCII."""
    names = (innermost_dataset(cfg).get('metainfo') or {}).get('classes') or ()
    return [names] if isinstance(names, str) else [str(name) for name in names]
