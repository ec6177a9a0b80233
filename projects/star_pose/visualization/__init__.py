from .clip_visualization_hook import ClipVisualizationHook
from .clip_visualizer import ClipVisualizer
from .fusion_map import draw_fusion_weights

__all__ = ['ClipVisualizationHook', 'ClipVisualizer', 'draw_fusion_weights']
