# PoseTrack18's 17 joints. MoveNet knows neither neck nor head top; the shipped weights know them beside
# COCO's 17 joints. With evidence of five frames, by PoseTrack's rules:
#   python tools/test.py configs/adapt/movenet-lightning_64x48_posetrack.py WEIGHTS
# Trained by labels are these two joints alone, on what the adapted network sees of a person:
# --cfg-options load_from=WEIGHTS. All others stay as they are.
_base_ = './movenet-lightning_64x48_evidence.py'

labels = dict(type='CellCentreHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=1)

model = dict(
    head=dict(
        freeze_pose_net=False,
        distillation=None,
        pose_net=dict(
            head=dict(
                joints='posetrack18',
                loss=dict(type='BoundedFocalHeatmapLoss', use_target_weight=True)))))

dataset_type = 'PoseTrackClipDataset'
data_root = 'data/posetrack18/'

train_pipeline = _base_.train_pipeline
train_pipeline.insert(-2, dict(type='GenerateTarget', encoder=labels))
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/posetrack18_train.json',
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/posetrack18_val.json'))
test_dataloader = val_dataloader

# poseval's AP; ground truth of the files, which carry what samples do not: ignore regions.
val_evaluator = dict(
    _delete_=True,
    type='PoseTrackMetric',
    ann_file=data_root + 'annotations/posetrack18_val.json')
test_evaluator = val_evaluator

# Neck and head top are less sure than the others: 0.2 where these have 0.4.
default_hooks = dict(visualization=dict(kpt_thr=0.1))

optim_wrapper = dict(
    optimizer=dict(lr=1e-2),
    paramwise_cfg=dict(custom_keys=dict(
        pose_net=dict(lr_mult=0.0), neck_and_head_top=dict(lr_mult=1.0))))
