"""What the packages say in every run and no user needs on the screen, by name, each with its reason.

Whoever adds a line makes sure that it is never the first or only word on something that is wrong.
"""

import re
from typing import NamedTuple


class Detail(NamedTuple):
    """A message that stays off the screen."""

    pattern: str
    """Regular expression that the message begins with."""

    module: str
    """The module that writes it."""

    reason: str
    """Why it says nothing to the user, or where the same is to be read."""

    literal: str = ''
    """A part of the message as it stands in the module's source; default: the pattern unescaped."""

    onedl: bool = False
    """Whether OneDL's packages alone write it."""

    def in_source(self) -> str:
        """The part that the module's source must contain."""
        return self.literal or self.pattern.replace('\\', '')


IN_FILE = 'the log file of the run has it'
SAID_ELSEWHERE = 'another line says the same'
UNCHANGEABLE = 'it is about code of the packages, and the run is right'
MANY = 'a line for each parameter'
SHOWN_BY_PROGRESS = 'the line of progress before and behind it says how far the run is'

LOGGED = (
    Detail(
        r'\n-+\nSystem environment:', 'mmengine.runner.runner', IN_FILE, '\nSystem environment:'
    ),
    Detail(r'Config:\n', 'mmengine.runner.runner', IN_FILE, 'Config:\n'),
    Detail('Hooks will be executed in the following order', 'mmengine.runner.runner', IN_FILE),
    Detail(
        'Distributed training is not used, all SyncBatchNorm',
        'mmengine.runner.runner',
        'with one process there is nothing to synchronize, and the layers compute the same',
    ),
    Detail('Checkpoints will be saved to ', 'mmengine.hooks.checkpoint_hook', SAID_ELSEWHERE),
    Detail('Exp name: ', 'mmengine.hooks.logger_hook', IN_FILE),
    Detail('paramwise_options -- ', 'mmengine.optim.optimizer.default_constructor', MANY),
    Detail(
        r'\S+ is skipped since its requires_grad=',
        'mmengine.optim.optimizer.default_constructor',
        MANY,
        ' is skipped since its requires_grad=',
    ),
    Detail(
        r'layer_\d+_(no_)?decay: ',
        'repnext_mm.training.layer_decay',
        'a line for each layer',
        ' parameters, lr ',
    ),
    Detail(
        'Failed to search registry with scope "',
        'mmengine.registry.registry',
        'the parent registry has what was looked for; if not, an error follows that names it',
    ),
    Detail(
        r'The prefix is not set in metric class IoUMetric\.',
        'mmengine.evaluator.metric',
        'its keys, such as mIoU, are those that everyone knows; other metrics are not meant',
        'The prefix is not set in metric class ',
    ),
    Detail('"FileClient" will be deprecated', 'mmengine.fileio.file_client', UNCHANGEABLE),
    Detail('"HardDiskBackend" is the alias of', 'mmengine.fileio.file_client', UNCHANGEABLE),
    Detail('Loads checkpoint by ', 'mmengine.runner.checkpoint', SAID_ELSEWHERE),
    Detail(
        r'Because batch augmentations are enabled',
        'mmpretrain.models.utils.data_preprocessor',
        'that is how Mixup and CutMix work',
    ),
    Detail(
        r'Evaluating (bbox|segm|proposal)\.\.\.',
        'mmdet.evaluation.metrics.coco_metric',
        SHOWN_BY_PROGRESS,
        'Evaluating ',
    ),
    Detail(
        r'(bbox|segm)_mAP_copypaste: ',
        'mmdet.evaluation.metrics.coco_metric',
        'the line of metrics has the same numbers',
        '_mAP_copypaste: ',
    ),
)
"""What mmengine's loggers write; their files have all of it."""

PRINTED = (
    Detail(
        'Could not import OneDL',
        'mmdet.datasets',
        'it is about data sets of another project, for which nobody asked',
        onedl=True,
    ),
    Detail('Loads checkpoint by ', 'mmengine.runner.checkpoint', SAID_ELSEWHERE),
    Detail(r'loading annotations into memory\.\.\.', 'pycocotools.coco', SHOWN_BY_PROGRESS),
    Detail(r'D(one|ONE) \(t=', 'pycocotools.coco', SHOWN_BY_PROGRESS, 'Done (t='),
    Detail(r'creating index\.\.\.', 'pycocotools.coco', SHOWN_BY_PROGRESS),
    Detail('index created!', 'pycocotools.coco', SHOWN_BY_PROGRESS),
    Detail(r'Loading and preparing results\.\.\.', 'pycocotools.coco', SHOWN_BY_PROGRESS),
    Detail(r'Running per image evaluation\.\.\.', 'pycocotools.cocoeval', SHOWN_BY_PROGRESS),
    Detail(r'Evaluate annotation type \*', 'pycocotools.cocoeval', SHOWN_BY_PROGRESS),
    Detail(r'Accumulating evaluation results\.\.\.', 'pycocotools.cocoeval', SHOWN_BY_PROGRESS),
    Detail(
        ' Average (Precision|Recall) ',
        'pycocotools.cocoeval',
        'the line of metrics has the precisions, and recalls where metric_items names them',
        'Average Precision',
    ),
)
"""What is printed without a logger."""

WARNED = (
    Detail(
        'faster_coco_eval is not installed, metrics will not be computed',
        'mmdet.evaluation.metrics.faster_coco_metric',
        'CocoMetric computes them with pycocotools, and a config that asks for the other is refused',
        onedl=True,
    ),
    Detail(
        'The draw is False, it means that the',
        'mmseg.engine.hooks.visualization_hook',
        'nobody asked for pictures; --show and --show-dir turn them on',
    ),
    Detail(
        'Default ``avg_non_ignore`` is False',
        'mmseg.models.losses.cross_entropy_loss',
        'the recipes were made with this default',
    ),
    Detail(
        'To copy construct from a tensor',
        'mmdet.models.roi_heads.mask_heads.fcn_mask_head',
        UNCHANGEABLE,
        'get_seg_masks',
    ),
    Detail(
        'Reach the end of the dataloader',
        'mmengine.runner.loops',
        'loops that count iterations begin the data anew, which is meant',
    ),
)
"""What is given as a warning of Python."""


def is_detail(message: str, details: tuple[Detail, ...]) -> bool:
    """Whether a message is one of these."""
    return any(re.match(detail.pattern, message) for detail in details)
