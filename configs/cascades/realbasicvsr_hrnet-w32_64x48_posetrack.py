# Cascade: RealBasicVSR of MMagic x4, then HRNet-W32, trained together. It super-resolves all frames
# of the clip, and the target is taken. With MMagic's published weights: checkpoint=PATH,
# frozen=True.
_base_ = '../star_pose_64x48_posetrack.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='SRCascadeBackbone',
        sr=dict(
            type='mmagic.RealBasicVSRNet', mid_channels=64, num_propagation_blocks=20,
            num_cleaning_blocks=20, dynamic_refine_thres=255, is_fix_cleaning=False,
            is_sequential_cleaning=False),
        scale=4,
        target='centre',
        frames='all',
        frozen=False,
        checkpoint=None),
    neck=None,
    head=dict(handoff='image', in_channels=3, sr_decoder=None, aux_head=None))
