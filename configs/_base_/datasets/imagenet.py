# imagenet_repeated with each image once in an epoch, as ConvNeXt's recipe has it.
_base_ = './imagenet_repeated.py'

train_dataloader = dict(
    batch_size=128, sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True)
)
