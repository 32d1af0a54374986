"""The methods of mmdet and mmseg that the sweep tries, one config of each.

Left out are folders of configs that are other data, schedules or augmentations for a method that
is here (``lvis``, ``instaboost``), methods that are a backbone themselves (``resnest``, ``ddrnet``), and
trackers, which add nothing that is trained to the detectors in them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Method:
    """A method by the config that represents it."""

    package: str
    """``'mmdet'`` or ``'mmseg'``."""

    config: str
    """Path below the package's folder of configs, without ending."""

    size: int = 128
    """Height and width of the images in pixels."""

    changes: Mapping[str, Any] = field(default_factory=dict)
    """What else of the config changes, by dotted keys."""

    strides: tuple[int, ...] = ()
    """Strides of the feature maps, where the published backbone is none that ours can take after."""

    channels: tuple[int, ...] = ()
    """Channels of these maps."""

    masks: bool = True
    """Whether the objects have masks, which most methods that need none ignore."""

    proposals: bool = False
    """Whether the images come with regions, which take the place of those that a method finds."""

    classes: int = 4
    """Labels of the objects are below this."""

    @property
    def name(self) -> str:
        """The config's folder and name, by which the tables are sorted."""
        return self.config


def _detectors(*configs: str, **options: Any) -> list[Method]:
    return [Method('mmdet', config, **options) for config in configs]


def _segmentors(*configs: str, **options: Any) -> list[Method]:
    return [Method('mmseg', config, **(dict(size=64) | options)) for config in configs]


ONE_STAGE = _detectors(
    'atss/atss_r50_fpn_1x_coco',
    'autoassign/autoassign_r50-caffe_fpn_1x_coco',
    'boxinst/boxinst_r50_fpn_ms-90k_coco',
    'centernet/centernet_r18_8xb16-crop512-140e_coco',
    'centernet/centernet_r18-dcnv2_8xb16-crop512-140e_coco',
    'centernet/centernet-update_r50_fpn_8xb8-amp-lsj-200e_coco',
    'condinst/condinst_r50_fpn_ms-poly-90k_coco_instance',
    'ddod/ddod_r50_fpn_1x_coco',
    'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco',
    'fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco',
    'foveabox/fovea_r50_fpn_4xb4-1x_coco',
    'foveabox/fovea_r50_fpn_gn-head-align_4xb4-2x_coco',
    'fpg/retinanet_r50_fpg-chn128_crop640_50e_coco',
    'free_anchor/freeanchor_r50_fpn_1x_coco',
    'fsaf/fsaf_r50_fpn_1x_coco',
    'gfl/gfl_r50_fpn_1x_coco',
    'ghm/retinanet_r50_fpn_ghm-1x_coco',
    'guided_anchoring/ga-retinanet_r50_fpn_1x_coco',
    'guided_anchoring/ga-rpn_r50-caffe_fpn_1x_coco',
    'legacy_1.x/retinanet_r50_fpn_1x_coco_v1',
    'libra_rcnn/libra-retinanet_r50_fpn_1x_coco',
    'nas_fcos/nas-fcos_r50-caffe_fpn_fcoshead-gn-head_4xb4-1x_coco',
    'nas_fcos/nas-fcos_r50-caffe_fpn_nashead-gn-head_4xb4-1x_coco',
    'nas_fpn/retinanet_r50_nasfpn_crop640-50e_coco',
    'paa/paa_r50_fpn_1x_coco',
    'pisa/retinanet-r50_fpn_pisa_1x_coco',
    'reppoints/reppoints-bbox_r50_fpn-gn_head-gn-grid_1x_coco',
    'reppoints/reppoints-minmax_r50_fpn-gn_head-gn_1x_coco',
    'reppoints/reppoints-moment_r50_fpn-gn_head-gn_1x_coco',
    'retinanet/retinanet_r50_fpn_1x_coco',
    'rpn/rpn_r50_fpn_1x_coco',
    'rpn/rpn_r50-caffe-c4_1x_coco',
    'rtmdet/rtmdet-ins_tiny_8xb32-300e_coco',
    'sabl/sabl-retinanet_r50_fpn_1x_coco',
    'solo/decoupled-solo-light_r50_fpn_3x_coco',
    'solo/decoupled-solo_r50_fpn_1x_coco',
    'solo/solo_r50_fpn_1x_coco',
    'solov2/solov2_r50_fpn_1x_coco',
    'solov2/solov2-light_r50_fpn_ms-3x_coco',
    'ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco',
    'tood/tood_r50_fpn_1x_coco',
    'tood/tood_r50_fpn_anchor-based_1x_coco',
    'vfnet/vfnet_r50_fpn_1x_coco',
    'vfnet/vfnet_r50-mdconv-c3-c5_fpn_ms-2x_coco',
    'yolo/yolov3_d53_8xb8-320-273e_coco',
    'yolof/yolof_r50-c5_8xb8-1x_coco',
    'yolox/yolox_s_8xb8-300e_coco',
)

DYNAMIC_HEAD = _detectors('dyhead/atss_r50_fpn_dyhead_1x_coco', changes={'neck.1.num_blocks': 1})

# Its classes share a sum of 1, and no untrained one comes to the published threshold of 0.05.
PROTOTYPES = _detectors('yolact/yolact_r50_1xb8-55e_coco', changes={'test_cfg.score_thr': 0.01})

WITHOUT_MASKS = _detectors('rtmdet/rtmdet_tiny_8xb32-300e_coco', masks=False)

SINGLE_SHOT = _detectors('ssd/ssd300_coco', 'pisa/ssd300_pisa_coco', size=300)

# One hourglass puts out one map of stride 4; the published networks have two, one behind the other.
HOURGLASS = _detectors(
    'cornernet/cornernet_hourglass104_8xb6-210e-mstest_coco',
    'centripetalnet/centripetalnet_hourglass104_16xb6-crop511-210e-mstest_coco',
    strides=(4,),
    channels=(256,),
    changes={'bbox_head.num_feat_levels': 1},
)

DISTILLED = _detectors(
    'lad/lad_r50-paa-r101_fpn_2xb8_coco_1x',
    'ld/ld_r18-gflv1-r101_fpn_1x_coco',
    changes={'teacher_ckpt': None},
)

TWO_STAGE = [
    *_detectors(
        'carafe/faster-rcnn_r50_fpn-carafe_1x_coco',
        'carafe/mask-rcnn_r50_fpn-carafe_1x_coco',
        'cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco',
        'cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco',
        'cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco',
        'cascade_rpn/cascade-rpn_r50-caffe_fpn_1x_coco',
        'dcn/faster-rcnn_r50_fpn_dpool_1x_coco',
        'dcnv2/faster-rcnn_r50_fpn_mdpool_1x_coco',
        'double_heads/dh-faster-rcnn_r50_fpn_1x_coco',
        'dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco',
        'faster_rcnn/faster-rcnn_r50-caffe-dc5_1x_coco',
        'faster_rcnn/faster-rcnn_r50_fpn_1x_coco',
        'faster_rcnn/faster-rcnn_r50_fpn_ohem_1x_coco',
        'faster_rcnn/faster-rcnn_r50_fpn_soft-nms_1x_coco',
        'fpg/faster-rcnn_r50_fpg-chn128_crop640-50e_coco',
        'gn+ws/mask-rcnn_r50_fpn_gn-ws-all_2x_coco',
        'gn/mask-rcnn_r50_fpn_gn-all_2x_coco',
        'grid_rcnn/grid-rcnn_r50_fpn_gn-head_1x_coco',
        'groie/faste-rcnn_r50_fpn_groie_1x_coco',
        'groie/mask-rcnn_r50_fpn_groie_1x_coco',
        'guided_anchoring/ga-faster-rcnn_r50_fpn_1x_coco',
        'htc/htc-without-semantic_r50_fpn_1x_coco',
        'legacy_1.x/mask-rcnn_r50_fpn_1x_coco_v1',
        'libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco',
        'mask_rcnn/mask-rcnn_r50_fpn_1x_coco',
        'ms_rcnn/ms-rcnn_r50_fpn_1x_coco',
        'openimages/faster-rcnn_r50_fpn_32xb2-1x_openimages',
        'pafpn/faster-rcnn_r50_pafpn_1x_coco',
        'panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco',
        'pisa/faster-rcnn_r50_fpn_pisa_1x_coco',
        'pisa/mask-rcnn_r50_fpn_pisa_1x_coco',
        'queryinst/queryinst_r50_fpn_1x_coco',
        'sabl/sabl-cascade-rcnn_r50_fpn_1x_coco',
        'sabl/sabl-faster-rcnn_r50_fpn_1x_coco',
        'seesaw_loss/mask-rcnn_r50_fpn_seesaw-loss-normed-mask_random-ms-2x_lvis-v1',
        'seesaw_loss/mask-rcnn_r50_fpn_seesaw-loss_random-ms-2x_lvis-v1',
        'simple_copy_paste/mask-rcnn_r50_fpn_rpn-2conv_4conv1fc_syncbn-all_32xb2-ssj-90k_coco',
        'sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco',
    ),
    *_detectors('fast_rcnn/fast-rcnn_r50_fpn_1x_coco', proposals=True),
    *_detectors(
        'crowddet/crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman',
        'crowddet/crowddet-rcnn_refine_r50_fpn_8xb2-30e_crowdhuman',
        classes=1,
    ),
    *_detectors('htc/htc_r50_fpn_1x_coco', 'scnet/scnet_r50_fpn_1x_coco'),
    # Each mask is refined to 224x224 pixels for all classes.
    *_detectors(
        'point_rend/point-rend_r50-caffe_fpn_ms-1x_coco',
        changes={'test_cfg.rcnn.max_per_img': 5},
    ),
    # These take the last stage of a ResNet for the head; here all stages are the backbone's.
    *_detectors(
        'faster_rcnn/faster-rcnn_r50-caffe_c4-1x_coco', 'mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco'
    ),
    *_detectors('hrnet/faster-rcnn_hrnetv2p-w18-1x_coco'),
    *_detectors('soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco'),
    *_detectors('tridentnet/tridentnet_r50-caffe_1x_coco'),
]

QUERIES = _detectors(
    'conditional_detr/conditional-detr_r50_8xb2-50e_coco',
    'dab_detr/dab-detr_r50_8xb2-50e_coco',
    'ddq/ddq-detr-4scale_r50_8xb2-12e_coco',
    'deformable_detr/deformable-detr-refine-twostage_r50_16xb2-50e_coco',
    'deformable_detr/deformable-detr_r50_16xb2-50e_coco',
    'detr/detr_r50_8xb2-150e_coco',
    'dino/dino-4scale_r50_8xb2-12e_coco',
    'mask2former/mask2former_r50_8xb2-lsj-50e_coco',
    'mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic',
    'maskformer/maskformer_r50_ms-16xb1-75e_coco',
)

LANGUAGE = _detectors(
    'glip/glip_atss_swin-t_a_fpn_dyhead_pretrain_obj365',
    'grounding_dino/grounding_dino_r50_scratch_8xb2_1x_coco',
    'mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365',
)

HEADS = [
    *_segmentors(
        'ann/ann_r50-d8_4xb2-40k_cityscapes-512x1024',
        'apcnet/apcnet_r50-d8_4xb2-40k_cityscapes-512x1024',
        'bisenetv1/bisenetv1_r18-d32_4xb4-160k_cityscapes-1024x1024',
        'ccnet/ccnet_r50-d8_4xb2-40k_cityscapes-512x1024',
        'danet/danet_r50-d8_4xb2-40k_cityscapes-512x1024',
        'deeplabv3/deeplabv3_r50-d8_4xb2-40k_cityscapes-512x1024',
        'deeplabv3plus/deeplabv3plus_r50-d8_4xb2-40k_cityscapes-512x1024',
        'dmnet/dmnet_r50-d8_4xb2-40k_cityscapes-512x1024',
        'dnlnet/dnl_r50-d8_4xb2-40k_cityscapes-512x1024',
        'emanet/emanet_r50-d8_4xb2-80k_cityscapes-512x1024',
        'encnet/encnet_r50-d8_4xb2-40k_cityscapes-512x1024',
        'fastfcn/fastfcn_r50-d32_jpu_aspp_4xb2-80k_cityscapes-512x1024',
        'fastfcn/fastfcn_r50-d32_jpu_enc_4xb2-80k_cityscapes-512x1024',
        'fastfcn/fastfcn_r50-d32_jpu_psp_4xb2-80k_cityscapes-512x1024',
        'fcn/fcn-d6_r50-d16_4xb2-40k_cityscapes-512x1024',
        'fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024',
        'gcnet/gcnet_r50-d8_4xb2-40k_cityscapes-512x1024',
        'icnet/icnet_r50-d8_4xb2-80k_cityscapes-832x832',
        'isanet/isanet_r50-d8_4xb2-40k_cityscapes-512x1024',
        'knet/knet-s3_r50-d8_deeplabv3_8xb2-adamw-80k_ade20k-512x512',
        'knet/knet-s3_r50-d8_fcn_8xb2-adamw-80k_ade20k-512x512',
        'knet/knet-s3_r50-d8_pspnet_8xb2-adamw-80k_ade20k-512x512',
        'knet/knet-s3_r50-d8_upernet_8xb2-adamw-80k_ade20k-512x512',
        'mask2former/mask2former_r50_8xb2-90k_cityscapes-512x1024',
        'maskformer/maskformer_r50-d32_8xb2-160k_ade20k-512x512',
        'mobilenet_v2/mobilenet-v2-d8_deeplabv3plus_4xb2-80k_cityscapes-512x1024',
        'nonlocal_net/nonlocal_r50-d8_4xb2-40k_cityscapes-512x1024',
        'ocrnet/ocrnet_r101-d8_4xb2-40k_cityscapes-512x1024',
        'poolformer/fpn_poolformer_s12_8xb4-40k_ade20k-512x512',
        'psanet/psanet_r50-d8_4xb2-40k_cityscapes-512x1024',
        'pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024',
        'segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512',
        'segnext/segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512',
        'sem_fpn/fpn_r50_4xb4-160k_ade20k-512x512',
        'swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512',
        'twins/twins_pcpvt-s_fpn_fpnhead_8xb4-80k_ade20k-512x512',
        'upernet/upernet_r50_4xb2-40k_cityscapes-512x1024',
    ),
    # It refines 8196 points.
    *_segmentors('point_rend/pointrend_r50_4xb2-80k_cityscapes-512x1024', size=256),
    *_segmentors(
        'mobilenet_v3/mobilenet-v3-d8_lraspp_4xb4-320k_cityscapes-512x1024',
        strides=(4, 8, 8),
        channels=(16, 24, 960),
        size=416,  # it pools 49x49 pixels of stride 8
    ),
    *_segmentors(
        'ocrnet/ocrnet_hr18_4xb2-40k_cityscapes-512x1024',
        strides=(4, 8, 16, 32),
        channels=(18, 36, 72, 144),
    ),
    *_segmentors(
        'segmenter/segmenter_vit-t_mask_8xb1-160k_ade20k-512x512', strides=(16,), channels=(192,)
    ),
    *_segmentors(
        'setr/setr_vit-l_naive_8xb1-80k_cityscapes-768x768',
        'setr/setr_vit-l_pup_8xb1-80k_cityscapes-768x768',
        strides=(4, 8, 16, 32),
        channels=(1024,) * 4,
    ),
    # Four maps of one size, as a Vision Transformer has them, with mmseg's own neck for that.
    *_segmentors(
        'setr/setr_vit-l_mla_8xb1-80k_cityscapes-768x768',
        strides=(4, 8, 16, 32),
        channels=(1024,) * 4,
        changes={
            'neck': dict(
                _delete_=True,
                type='MultiLevelNeck',
                in_channels=[1024] * 4,
                out_channels=256,
                scales=[0.25, 0.5, 1, 2],
            )
        },
    ),
    *_segmentors('stdc/stdc1_4xb12-80k_cityscapes-512x1024'),
    *_segmentors('dpt/dpt_vit-b16_8xb2-160k_ade20k-512x512'),
]

METHODS = {
    f'{method.package}/{method.name}': method
    for method in [
        *ONE_STAGE,
        *DYNAMIC_HEAD,
        *PROTOTYPES,
        *WITHOUT_MASKS,
        *SINGLE_SHOT,
        *HOURGLASS,
        *DISTILLED,
        *TWO_STAGE,
        *QUERIES,
        *LANGUAGE,
        *HEADS,
    ]
}
"""All methods by package and config."""
