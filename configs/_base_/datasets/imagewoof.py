# ImageWoof, ten breeds of dogs, as imagenet. The environment variable IMAGEWOOF_ROOT moves the
# folder, which has one folder for each class in train/ and val/.
_base_ = './imagenet.py'

data_root = __import__('os').environ.get('IMAGEWOOF_ROOT') or 'data/imagewoof2'
data_preprocessor = dict(num_classes=10)
dataset = dict(_delete_=True, type='CustomDataset', data_root=data_root, with_label=True)

train_dataloader = dict(
    batch_size=256,
    dataset=dict(**dataset, data_prefix='train', pipeline=_base_.train_pipeline),
)
val_dataloader = dict(dataset=dict(**dataset, data_prefix='val', pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
