# Cascade: EDSR-baseline of MMagic x4, then HRNet-W32, trained together. It sees and super-resolves
# the target frame alone. With MMagic's published weights: checkpoint=PATH, frozen=True.
_base_ = '../star_pose_64x48_posetrack.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='SRCascadeBackbone',
        sr=dict(
            type='mmagic.EDSRNet', in_channels=3, out_channels=3, mid_channels=64,
            num_blocks=16, upscale_factor=4),
        scale=4,
        target='centre',
        frames='target',
        frozen=False,
        checkpoint=None),
    neck=None,
    head=dict(handoff='image', in_channels=3, sr_decoder=None, aux_head=None))
