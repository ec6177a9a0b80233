from .jhmdb_pck import JhmdbPCK
from .jitter_metric import JitterMetric
from .sr_quality_metric import SRQualityMetric

__all__ = ['JhmdbPCK', 'JitterMetric', 'SRQualityMetric']
