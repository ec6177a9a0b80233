_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(
    head=dict(
        sr_loss=dict(
            weights=dict(
                _delete_=True,
                type='UncertaintyLossWeights',
                terms=('pose', 'pixel', 'structure'),
                initial=dict(pixel=0.1, structure=0.1)))))
