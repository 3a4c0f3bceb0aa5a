"""The live picture, from the kernel's side: what is sent to the browser, and what a slider does."""

import numpy as np
import pytest
import torch

from deqlab import show
from deqlab.core.errors import InputError


@pytest.fixture(autouse=True)
def displayed(monkeypatch):
    shown = []
    monkeypatch.setattr("deqlab.show.live.display", shown.append)
    return shown


def bytes_of(canvas):
    return np.frombuffer(canvas.pixels, np.uint8)


def test_one_byte_a_pixel_in_the_order_of_the_panels():
    canvas = show.ImageCanvas(window={"image": (0.0, 2.0), "mask": (0.0, 1.0)})
    canvas.update(
        {"image": np.array([[0.0, 1.0, 2.0]]), "mask": torch.tensor([[True], [False]])},
        "two panels",
    )
    assert canvas.panels == [
        {"name": "image", "height": 1, "width": 3},
        {"name": "mask", "height": 2, "width": 1},
    ]
    assert bytes_of(canvas).tolist() == [0, 128, 255, 255, 0]
    assert canvas.title == "two panels"


def test_the_window_is_fixed_and_values_outside_are_clipped_not_wrapped():
    canvas = show.ImageCanvas(window=(-1.0, 1.0))
    canvas.update(np.array([[-5.0, 0.0, 9.0, np.nan]]))
    assert bytes_of(canvas).tolist() == [0, 128, 255, 128]


def test_complex_images_are_drawn_as_magnitude():
    canvas = show.ImageCanvas()
    canvas.update(torch.tensor([[-1.0 + 0j, 0.6 - 0.8j]]))
    assert bytes_of(canvas).tolist() == [255, 255]


def test_the_palette_is_the_colour_map():
    palette = np.frombuffer(show.ImageCanvas(cmap="gray").palette, np.uint8).reshape(256, 3)
    assert palette[0].tolist() == [0, 0, 0] and palette[255].tolist() == [255, 255, 255]
    assert (np.diff(palette.astype(int), axis=0) >= 0).all()


def test_title_and_pixels_travel_in_one_message(monkeypatch):
    canvas = show.ImageCanvas()
    sent = []
    monkeypatch.setattr(canvas, "_send", lambda message, buffers=None: sent.append(message))
    canvas.update(np.ones((2, 2)), "a title")
    states = [set(message["state"]) for message in sent if message["method"] == "update"]
    assert len(states) == 1 and {"title", "panels"} <= states[0]


def test_a_panel_without_window_is_named():
    canvas = show.ImageCanvas(window={"image": (0, 1)})
    with pytest.raises(InputError, match="'mask'"):
        canvas.update({"mask": np.ones((2, 2))})


def test_the_printed_form_holds_neither_pixels_nor_an_address():
    canvas = show.ImageCanvas()
    canvas.update({"image": np.ones((200, 200)), "mask": np.ones((2, 2))})
    assert repr(canvas) == "ImageCanvas(image, mask)"
    live = show.explore(draw, gain=(0.0, 1.0, 0.25))
    assert "gain" in repr(live) and "0x" not in repr(live) and len(repr(live)) < 100


def draw(gain=0.5, shift=2, kind="flat"):
    return {"image": np.full((4, 4), gain)}, f"{gain:.2f} {shift} {kind}"


def test_explore_shows_a_still_first_and_follows_the_slider(displayed):
    live = show.explore(draw, gain=(0.0, 1.0, 0.25), shift=range(0, 9, 2), kind=["flat", "steep"])
    assert displayed == [live.still]
    assert np.allclose(live.still.axes[0].images[0].get_array(), 0.5, atol=0.01)
    assert live.canvas.title == "0.50 2 flat"
    before = live.canvas.pixels
    live.controls["gain"].value = 0.75
    assert live.canvas.title == "0.75 2 flat" and live.canvas.pixels != before
    live.controls["kind"].value = "steep"
    assert live.canvas.title == "0.75 2 steep"


@pytest.mark.parametrize(
    ("controls", "culprit"),
    [
        ({"gian": range(3)}, "'gian'"),
        ({"gain": (0.6, 1.0, 0.1)}, "gain"),
        ({"kind": ["steep", "steeper"]}, "kind"),
        ({"shift": "many"}, "shift"),
    ],
)
def test_a_control_that_draw_cannot_take_is_named(controls, culprit):
    with pytest.raises(InputError, match=culprit):
        show.explore(draw, **controls)


def test_an_error_while_sliding_is_told_in_the_title_and_the_picture_stays():
    def fails(level=1):
        if level > 1:
            raise InputError("level: 2 given, 1 needed")
        return np.ones((2, 2)), "fine"

    live = show.explore(fails, level=range(1, 3))
    before = live.canvas.pixels
    with pytest.raises(InputError):
        live.controls["level"].value = 2
    assert "level: 2 given" in live.canvas.title and live.canvas.pixels == before
