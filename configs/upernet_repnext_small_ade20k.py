# upernet_repnext_tiny_ade20k, RepNeXt-S; the rates of ConvNeXt-S.
_base_ = './upernet_repnext_tiny_ade20k.py'

model = dict(backbone=dict(arch='small', drop_path_rate=0.3))
optim_wrapper = dict(paramwise_cfg=dict(num_layers=12))
