# Cascade: SwinIR, lightweight of MMagic x4, then HRNet-W32, trained together. It sees and
# super-resolves the target frame alone. With MMagic's published weights: checkpoint=PATH,
# frozen=True.
_base_ = '../star_pose_64x48_posetrack.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='SRCascadeBackbone',
        sr=dict(
            type='mmagic.SwinIRNet', upscale=4, in_chans=3, img_size=64, window_size=8,
            img_range=1.0, depths=[6, 6, 6, 6], embed_dim=60, num_heads=[6, 6, 6, 6], mlp_ratio=2,
            upsampler='pixelshuffledirect', resi_connection='1conv'),
        scale=4,
        target='centre',
        frames='target',
        frozen=False,
        checkpoint=None),
    neck=None,
    head=dict(handoff='image', in_channels=3, sr_decoder=None, aux_head=None))
