"""What is seen: figures in one style, and live pictures. Takes plain arrays and tensors; knows no
MRI.
"""

from .canvas import ImageCanvas
from .export import save
from .gallery import gallery
from .images import image_grid
from .lines import curves, dots, figure, plotly_curves
from .live import Explorer, explore
from .strokes import stroke
from .style import METHOD_COLOURS, colour, style
from .surfaces import plotly_surface

__all__ = [
    "METHOD_COLOURS",
    "Explorer",
    "ImageCanvas",
    "colour",
    "curves",
    "dots",
    "explore",
    "figure",
    "gallery",
    "image_grid",
    "plotly_curves",
    "plotly_surface",
    "save",
    "stroke",
    "style",
]
