# upernet_repnext_tiny_ade20k, RepNeXt-S; the rates of ConvNeXt-S.
_base_ = './upernet_repnext_tiny_ade20k.py'

globals().update(__import__('repnext_mm.configs').configs.with_backbone(_base_, 'repnext_small'))
