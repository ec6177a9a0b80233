# Cascade: BasicVSR++ of MMagic x4, then HRNet-W32, trained together. It super-resolves all frames
# of the clip, and the target is taken. It asserts sides of at least 64 pixels: the frames are
# padded and the result cropped. Needs mmcv with compiled operators. With MMagic's published
# weights: checkpoint=PATH, frozen=True.
_base_ = '../star_pose_64x48_posetrack.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='SRCascadeBackbone',
        sr=dict(
            type='mmagic.BasicVSRPlusPlusNet', mid_channels=64, num_blocks=7,
            is_low_res_input=True),
        scale=4,
        target='centre',
        frames='all',
        frozen=False,
        checkpoint=None),
    neck=None,
    head=dict(handoff='image', in_channels=3, sr_decoder=None, aux_head=None))
