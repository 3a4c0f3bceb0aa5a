"""Surfaces to turn."""

from __future__ import annotations

import numpy as np

from deqlab import show


def test_a_surface_has_its_numbers_and_its_units() -> None:
    show.style()
    x, y = np.meshgrid([0.0, 1.0], [0.0, 1.0, 2.0], indexing="ij")
    height = x + 10 * y
    figure = show.plotly_surface(x, y, height, labels=("a (s)", "b (m)", "c (dB)"), ceiling=15)
    (surface,) = figure.data
    np.testing.assert_array_equal(surface.z, np.minimum(height, 15))
    np.testing.assert_array_equal(surface.x, x)
    scene = figure.layout.scene
    titles = [axis.title.text for axis in (scene.xaxis, scene.yaxis, scene.zaxis)]
    assert titles == ["a (s)", "b (m)", "c (dB)"]
    assert "c (dB): %{z" in surface.hovertemplate


def test_a_walk_lies_on_it() -> None:
    show.style()
    x, y = np.meshgrid([0.0, 1.0], [0.0, 1.0])
    walk = (np.array([0.0, 0.5]), np.array([1.0, 0.5]), np.array([2.0, 1.0]))
    figure = show.plotly_surface(x, y, x + y, labels=("a", "b", "c"), path=walk)
    line = figure.data[1]
    np.testing.assert_array_equal([line.x, line.y, line.z], walk)
