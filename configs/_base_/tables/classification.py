# The columns of the author's tables of classification.
columns = [
    dict(title='model', value='name'),
    dict(title='image size', value='image_size'),
    dict(title='#param.', value='parameters'),
    dict(title='FLOPs', value='flops'),
    dict(title='images/s', value='images_per_second'),
    dict(title='top1 acc', value='accuracy/top1'),
    dict(title='top5 acc', value='accuracy/top5'),
]
