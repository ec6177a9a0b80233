from .jhmdb_pck import JhmdbPCK
from .jitter_metric import JitterMetric
from .posetrack_metric import PoseTrackMetric
from .posetrack_pckh import PoseTrackPCKh
from .sr_quality_metric import SRQualityMetric

__all__ = ['JhmdbPCK', 'JitterMetric', 'PoseTrackMetric', 'PoseTrackPCKh', 'SRQualityMetric']
