"""Which of mmdet's detectors can be exported whole."""

from typing import Any

STANDARD, CASCADE = 'StandardRoIHead', 'CascadeRoIHead'
NMS_OPTIONS = {'type', 'iou_threshold', 'class_agnostic', 'split_thr'}
ADVICE = 'export its backbone and neck with part="backbone-neck", or add what is missing'


def check_detector(model: Any) -> None:
    """Makes sure that every part of a detector is one that :class:`DetectorGraph` knows.

    Raises:
        ValueError: The message names the part and what would do.
    """
    roi_head: Any = getattr(model, 'roi_head', None)
    kind = type(roi_head).__name__
    rpn: Any = getattr(model, 'rpn_head', None)
    _require(roi_head is not None, f'{type(model).__name__} without a roi_head')
    _require(kind in (STANDARD, CASCADE), f'{kind}, other than {STANDARD} and {CASCADE}')
    _require(type(rpn).__name__ == 'RPNHead', f'a proposal head {type(rpn).__name__}')
    _require(not getattr(roi_head, 'with_shared_head', False), 'a shared head')
    _require(roi_head.with_bbox, 'a roi_head without boxes')
    parts = list(model.modules())
    extractors = [m for m in parts if type(m).__name__.endswith('RoIExtractor')]
    for extractor in extractors:
        _require(type(extractor).__name__ == 'SingleRoIExtractor', type(extractor).__name__)
        layer = extractor.roi_layers[0]
        _require(
            type(layer).__name__ == 'RoIAlign' and layer.pool_mode == 'avg', f'pooling with {layer}'
        )
    heads = [rpn, *(m for m in parts if hasattr(m, 'bbox_coder') and m is not rpn)]
    for head in heads:
        coder = head.bbox_coder
        _require(type(coder).__name__ == 'DeltaXYWHBBoxCoder', f'boxes of {type(coder).__name__}')
        _require(not coder.add_ctr_clamp, 'a box coder with add_ctr_clamp')
        _require(not getattr(head, 'custom_cls_channels', False), 'a custom activation of classes')
    if roi_head.with_mask:
        threshold = roi_head.test_cfg.mask_thr_binary
        _require(threshold >= 0, f'mask_thr_binary={threshold}, which asks for soft masks')
    for cfg in (rpn.test_cfg.nms, roi_head.test_cfg.nms):
        unknown = set(cfg) - NMS_OPTIONS
        _require(cfg.get('type') == 'nms' and not unknown, f'the NMS {dict(cfg)}')


def _require(condition: bool, found: str) -> None:
    if not condition:
        raise ValueError(f'detectors with {found} cannot be exported whole: {ADVICE}')
