"""A live picture: panels of grey values in HTML canvases, fast enough to follow a slider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import matplotlib
import numpy as np
import traitlets

from deqlab.core.errors import InputError

from .style import to_picture

_HERE = Path(__file__).parent


class ImageCanvas(anywidget.AnyWidget):
    """A widget that shows panels side by side under one title; `update` redraws all of them in one
    message.

    window: (black, white), fixed for good, so that brightness can be compared while a slider moves;
    or a dict panel name -> (black, white), for panels such as a mask or log k-space.
    cmap: any matplotlib colour map. size: pixels of a panel's longer side on the screen.
    A panel is sent as one byte a pixel and coloured in the browser, so 128 x 128 costs 16 kB an
    update.
    """

    _esm = _HERE / "canvas.js"
    _css = _HERE / "canvas.css"
    panels: traitlets.List[dict[str, Any]] = traitlets.List().tag(
        sync=True
    )  # of {name, height, width}, in the order of the bytes
    pixels = traitlets.Bytes(b"").tag(sync=True)
    palette = traitlets.Bytes().tag(sync=True)  # 256 x RGB
    title = traitlets.Unicode("").tag(sync=True)
    size = traitlets.Int(256).tag(sync=True)

    def __init__(self, *, window: Any = (0.0, 1.0), cmap: str = "gray", size: int = 256):
        colours = matplotlib.colormaps[cmap](np.arange(256), bytes=True)[:, :3]
        super().__init__(palette=colours.tobytes(), size=size)
        self.window = window
        self.images: dict = {}

    def update(self, images: Any, title: str = "") -> None:
        """The canvas shows `images`, a (y, x) array or name -> array, under `title`; complex as
        magnitude.
        """
        images = images if isinstance(images, dict) else {"": images}
        pictures = {name: to_picture(image) for name, image in images.items()}
        shades = [_to_bytes(picture, *self._window(name)) for name, picture in pictures.items()]
        with (
            self.hold_sync()
        ):  # title and pixels travel together: no picture is ever shown under another's title
            self.panels = [
                {"name": name, "height": picture.shape[0], "width": picture.shape[1]}
                for name, picture in pictures.items()
            ]
            self.pixels = b"".join(shades)
            self.title = title
        self.images = images

    def _window(self, name: str) -> tuple[float, float]:
        if not isinstance(self.window, dict):
            return self.window
        if name not in self.window:
            raise InputError(
                f"ImageCanvas window: no entry for panel {name!r}, only for"
                f" {', '.join(self.window)}"
            )
        return self.window[name]

    def __repr__(
        self,
    ) -> (
        str
    ):  # the inherited one holds an address, so that no two runs of a notebook would print alike
        return f"ImageCanvas({', '.join(panel['name'] or 'image' for panel in self.panels)})"


def _to_bytes(picture: np.ndarray, black: float, white: float) -> bytes:
    shade = (picture - black) / ((white - black) or 1.0)
    return (np.clip(shade, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8).tobytes()
