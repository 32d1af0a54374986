# classifier_repnext that learns nothing but the soft labels of a teacher, as SSLD does. The
# teacher is that of distilled_repnext; timm downloads its weights when training begins.
_base_ = './classifier_repnext.py'

model = dict(
    type='repnext_mm.SoftDistilledClassifier',
    teacher=dict(type='TimmClassifier', model_name='regnety_160.deit_in1k', pretrained=True),
    distill_loss=dict(type='repnext_mm.JensenShannonDivergence'),
)
