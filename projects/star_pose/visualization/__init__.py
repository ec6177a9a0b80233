from .clip_visualization_hook import ClipVisualizationHook
from .clip_visualizer import ClipVisualizer
from .sample_sheet import draw_fusion_weights

__all__ = ['ClipVisualizationHook', 'ClipVisualizer', 'draw_fusion_weights']
