# Labels beside the teacher: front end and network go on learning from the untouched network, and the
# joints that somebody labelled pull too. Start from the jointly adapted model:
# --cfg-options load_from=PATH
_base_ = './movenet-lightning_64x48_joint.py'

# MoveNet's peaks are one cell wide, and 1 in the cell of the joint, which the focal loss asks for.
labels = dict(type='CellCentreHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=1)

model = dict(
    head=dict(
        pose_net=dict(head=dict(loss=dict(type='BoundedFocalHeatmapLoss', use_target_weight=True))),
        distillation=dict(label_weight=1.0)))

train_pipeline = _base_.train_pipeline
train_pipeline.insert(-2, dict(type='GenerateTarget', encoder=labels))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
