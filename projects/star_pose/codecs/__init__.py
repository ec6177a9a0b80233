"""Codecs: how joints become a network's targets, and its output joints."""

from .cell_centre_heatmap import CellCentreHeatmap

__all__ = ['CellCentreHeatmap']
