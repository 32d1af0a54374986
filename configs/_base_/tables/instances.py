# The columns of the author's table of detection and instance segmentation, and parameters.
columns = [
    dict(title='model', value='name'),
    dict(title='#param.', value='parameters'),
    dict(title='FLOPs', value='flops'),
    dict(title='FPS', value='images_per_second'),
    dict(title='AP(box)', value='coco/bbox_mAP', scale=100.0, digits=1),
    dict(title='AP(box50)', value='coco/bbox_mAP_50', scale=100.0, digits=1),
    dict(title='AP(box75)', value='coco/bbox_mAP_75', scale=100.0, digits=1),
    dict(title='AP(mask)', value='coco/segm_mAP', scale=100.0, digits=1),
    dict(title='AP(mask50)', value='coco/segm_mAP_50', scale=100.0, digits=1),
    dict(title='AP(mask75)', value='coco/segm_mAP_75', scale=100.0, digits=1),
]
