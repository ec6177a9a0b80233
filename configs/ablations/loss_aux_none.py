# Without supervision of the fused map in the middle of the network.
_base_ = '../star_pose_tiny_64x48_posetrack.py'

model = dict(head=dict(aux_head=None))
