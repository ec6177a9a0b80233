from .canvas import resize_nearest, stack_columns, stack_row, titled
from .clip_visualization_hook import ClipVisualizationHook
from .clip_visualizer import ClipVisualizer
from .people import draw_people
from .sample_sheet import draw_fusion_weights

__all__ = [
    'ClipVisualizationHook',
    'ClipVisualizer',
    'draw_fusion_weights',
    'draw_people',
    'resize_nearest',
    'stack_columns',
    'stack_row',
    'titled',
]
