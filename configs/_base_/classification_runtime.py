# default_runtime for mmpretrain.
_base_ = './default_runtime.py'

custom_imports = dict(imports=['repnext_mm.classification'], allow_failed_imports=False)
default_scope = 'mmpretrain'
default_hooks = dict(visualization=dict(_delete_=True, type='VisualizationHook', enable=False))
visualizer = dict(type='UniversalVisualizer')
