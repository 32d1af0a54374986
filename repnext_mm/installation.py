"""Everything that ``import repnext_mm`` changes in the process, in one function."""

from repnext_mm.compat import (
    forbid_code_in_checkpoints,
    is_installed,
    provide_bases,
    provide_mmcv_ops,
    read_yaml_as_data,
    trust_mmengine_checkpoints,
)
from repnext_mm.places import existing_config

VARIABLE = 'REPNEXT_MM_INSTALL'
"""Environment variable; with the value ``'0'`` the import of ``repnext_mm`` installs nothing."""


def install(
    *,
    mmcv_ops: bool = True,
    checkpoint_loaders: bool = True,
    log_history: bool = True,
    file_backend: bool = True,
    config_bases: bool = True,
    safe_loading: bool = False,
) -> None:
    """Changes this process so that mmengine, mmcv and RepNeXt work together.

    ``import repnext_mm`` calls it, unless the environment variable ``REPNEXT_MM_INSTALL`` is 0.
    It may be called again. All but ``mmcv_ops`` and what is torch's of ``safe_loading`` is left out
    where mmengine or mmcv is missing.

    Args:
        mmcv_ops: Offers a stand-in for ``mmcv._ext`` of torch's and torchvision's operators, at the end of
            ``sys.meta_path``, so that a compiled extension always comes first. See
            :mod:`repnext_mm.compat.mmcv_ops`.
        checkpoint_loaders: Replaces the loaders of mmengine's ``CheckpointLoader`` for paths, and
            for ``http://`` and ``https://``, and adds one for ``timm://``. See :mod:`repnext_mm.checkpoints.files`. Without it
            RepNeXt loads files in OpenMMLab's layout only.
        log_history: Adds the classes of mmengine's log history, and ``argparse.Namespace``, to
            torch's safe globals. See :func:`repnext_mm.compat.trust_mmengine_checkpoints`.
        file_backend: Registers the backend ``'repnext_mm.whole_files'`` with mmengine, whose
            files appear whole or not at all. ``SafeCheckpointHook`` registers it by itself.
        config_bases: Lets a config inherit from one of ours, wherever it lies, with
            ``_base_ = 'repnext_mm::own/fpn_repnext.py'``. See
            :func:`repnext_mm.compat.configs.provide_bases`.
        safe_loading: Lets no file run code that mmdet's ``init_detector``, mmseg's ``init_model``
            or anything else in this process reads by ``torch.load`` or by mmengine's reader of
            YAML. The import leaves it out, our own tools and ``python -m repnext_mm`` do not. See
            :func:`repnext_mm.compat.forbid_code_in_checkpoints`.
    """
    if safe_loading:
        forbid_code_in_checkpoints()
    if mmcv_ops:
        provide_mmcv_ops()
    if not is_installed('mmengine', 'mmcv'):
        return
    if safe_loading:
        read_yaml_as_data()
    if log_history:
        trust_mmengine_checkpoints()
    if config_bases:
        provide_bases('repnext_mm', existing_config)
    if checkpoint_loaders:
        from repnext_mm.checkpoints.files import replace_mmengine_loaders

        replace_mmengine_loaders()
    if file_backend:
        from repnext_mm.hooks.checkpoint_hook import register_whole_files

        register_whole_files()
