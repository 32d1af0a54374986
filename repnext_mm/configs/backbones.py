"""Every named architecture and its feature channels, as necks and heads need them.

The file is a base for configs of both of mmengine's styles and an ordinary module. It
has no import statement, since mmengine takes a file with one for the new style only.
"""

# New-style configs ignore custom_imports; this does their work when the file is read.
__import__('repnext_mm')

repnext_tiny = dict(type='repnext_mm.RepNeXt', arch='tiny')
repnext_tiny_channels = [96, 192, 384, 768]

repnext_tiny_v2 = dict(type='repnext_mm.RepNeXt', arch='tiny_v2')
repnext_tiny_v2_channels = [96, 192, 384, 768]

repnext_tiny_v3 = dict(type='repnext_mm.RepNeXt', arch='tiny_v3')
repnext_tiny_v3_channels = [96, 192, 384, 768]

repnext_convnext_er_tiny = dict(type='repnext_mm.RepNeXt', arch='convnext_er_tiny')
repnext_convnext_er_tiny_channels = [96, 192, 384, 768]

repnext_small = dict(type='repnext_mm.RepNeXt', arch='small')
repnext_small_channels = [96, 192, 384, 768]

repnext_base = dict(type='repnext_mm.RepNeXt', arch='base')
repnext_base_channels = [128, 256, 512, 1024]

repnext_m0 = dict(type='repnext_mm.RepNeXt', arch='m0')
repnext_m0_channels = [40, 80, 160, 320]

repnext_m1 = dict(type='repnext_mm.RepNeXt', arch='m1')
repnext_m1_channels = [48, 96, 192, 384]

repnext_m2 = dict(type='repnext_mm.RepNeXt', arch='m2')
repnext_m2_channels = [56, 112, 224, 448]

repnext_m3 = dict(type='repnext_mm.RepNeXt', arch='m3')
repnext_m3_channels = [64, 128, 256, 512]

repnext_m4 = dict(type='repnext_mm.RepNeXt', arch='m4')
repnext_m4_channels = [64, 128, 256, 512]

repnext_m5 = dict(type='repnext_mm.RepNeXt', arch='m5')
repnext_m5_channels = [80, 160, 320, 640]
