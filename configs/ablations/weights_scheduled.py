# Super-resolution leads for 500 iterations, then hands over to the pose within 500 more.
_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(
    head=dict(
        sr_loss=dict(
            weights=dict(
                _delete_=True,
                type='ScheduledLossWeights',
                start=dict(pixel=1.0, structure=1.0),
                stop=dict(pixel=0.01, structure=0.01),
                begin=500,
                end=1000))))
