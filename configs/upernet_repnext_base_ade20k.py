# upernet_repnext_tiny_ade20k, RepNeXt-B; the rates of ConvNeXt-B.
_base_ = './upernet_repnext_tiny_ade20k.py'

globals().update(__import__('repnext_mm.configs').configs.with_backbone(_base_, 'repnext_base'))
