# upernet_repnext_tiny_ade20k with ViT-B/16 instead; four scales from four layers, as mmseg's MAE and BEiT have it.
_base_ = '../upernet_repnext_tiny_ade20k.py'

globals().update(__import__('repnext_mm.configs').configs.with_backbone(_base_, 'vit_base'))
