# Cascade: TDAN of MMagic x4, then HRNet-W32, trained together. It sees all frames of the clip and
# super-resolves the centre one. Needs mmcv with compiled operators. With MMagic's published
# weights: checkpoint=PATH, frozen=True.
_base_ = '../star_pose_64x48_posetrack.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='SRCascadeBackbone',
        sr=dict(
            type='mmagic.TDANNet', in_channels=3, mid_channels=64, out_channels=3,
            num_blocks_before_align=5, num_blocks_after_align=10),
        scale=4,
        target='centre',
        frames='all',
        frozen=False,
        checkpoint=None),
    neck=None,
    head=dict(handoff='image', in_channels=3, sr_decoder=None, aux_head=None))
