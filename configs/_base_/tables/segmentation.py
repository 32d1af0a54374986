# The columns of the author's table of semantic segmentation, and images per second.
columns = [
    dict(title='model', value='name'),
    dict(title='FLOPs', value='flops'),
    dict(title='#param.', value='parameters'),
    dict(title='input crop', value='image_size'),
    dict(title='images/s', value='images_per_second'),
    dict(title='mIoU', value='mIoU'),
]
