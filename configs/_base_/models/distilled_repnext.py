# classifier_repnext with hard distillation from RegNetY-16GF, the teacher of DeiT; timm
# downloads its weights when training begins.
_base_ = './classifier_repnext.py'

model = dict(
    type='repnext_mm.DistilledClassifier',
    teacher=dict(type='TimmClassifier', model_name='regnety_160.deit_in1k', pretrained=True),
    head=dict(distillation_weight=0.5),
)
