# Baseline: the target frame is upsampled by torch's bicubic kernel and goes to the pose network.
# STAR-Pose with the hand-offs `image` and `residual` computes exactly this before its first step.
_base_ = '../star_pose_64x48_posetrack.py'

model = dict(
    backbone=dict(_delete_=True, type='SRCascadeBackbone', sr=None, scale=4, target='centre'),
    neck=None,
    head=dict(handoff='image', in_channels=3, sr_decoder=None, sr_loss=None, aux_head=None))
