# upernet_repnext_tiny_ade20k with Swin-T instead.
_base_ = '../upernet_repnext_tiny_ade20k.py'

globals().update(__import__('repnext_mm.configs').configs.with_backbone(_base_, 'swin_tiny'))
