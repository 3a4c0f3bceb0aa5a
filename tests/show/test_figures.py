"""Figures say the truth: one grey scale, the stated gain, fixed colours, and a file only on
request.
"""

import io

import matplotlib.colors
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from deqlab import recon, show
from deqlab.core.errors import InputError
from deqlab.show.style import small_png


@pytest.fixture(autouse=True)
def house_style():
    import matplotlib

    with matplotlib.rc_context():
        show.style()
        yield


def drawn(figure):
    """The pictures of a figure, in the order in which they were drawn."""
    return [axes.images[0] for axes in figure.axes]


def texts(figure):
    return [text.get_text() for text in figure.texts]


def test_all_images_share_one_grey_scale_and_are_drawn_as_magnitudes():
    dark = torch.full((1, 4, 6), 0.3 + 0.4j, requires_grad=True)
    bright = np.full((4, 6), 2.0)
    first, second = drawn(show.image_grid({"dark": dark, "bright": bright}))
    assert first.get_clim() == second.get_clim() == (0.0, 2.0)
    assert np.allclose(first.get_array(), 0.5)


def test_an_image_with_its_own_scale_leaves_that_of_the_others_alone():
    images = {"image": np.full((4, 4), 0.5), "mask": np.eye(4) * 9}
    image, mask = drawn(show.image_grid(images, own_scale=("mask",)))
    assert image.get_clim() == (0.0, 0.5)
    assert mask.get_clim() == (0.0, 9.0)


@pytest.mark.parametrize("against", ["reference", np.ones((4, 4))])
def test_error_maps_are_the_error_times_the_gain_that_is_stated(against):
    images = {"reference": np.ones((4, 4)), "recon": np.full((4, 4), 0.9)}
    figure = show.image_grid(images, error_against=against, error_gain=7.5)
    errors = [picture for picture in drawn(figure) if picture.get_cmap().name == "magma"]
    assert len(errors) == (1 if isinstance(against, str) else 2)
    assert np.allclose(errors[-1].get_array(), 0.75, atol=1e-6)
    assert errors[-1].get_clim() == (0.0, 1.0)
    assert "|error| × 7.5" in texts(figure)


def test_panels_fall_on_whole_pixels_so_that_nothing_is_blurred():
    checker = np.indices((64, 64)).sum(0) % 2
    figure = show.image_grid({"a": checker, "b": checker}, title="checker")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[..., 0]
    box = figure.axes[1].get_window_extent()
    assert np.allclose(box.bounds, np.round(box.bounds), atol=1e-6)
    height = picture.shape[0]
    panel = picture[height - round(box.y1) : height - round(box.y0), round(box.x0) : round(box.x1)]
    assert set(np.unique(panel)) == {0, 255}


@pytest.mark.filterwarnings(
    "error"
)  # drawn twice, exported and shown, and no warning in the notebook
def test_the_picture_in_a_notebook_is_small_and_a_grey_one_loses_nothing():
    noise = np.random.default_rng(0).integers(0, 256, (128, 128))
    figure = show.image_grid({"noise": noise}, vmax=255)
    small = Image.open(io.BytesIO(small_png(figure)))
    usual = io.BytesIO()
    figure.savefig(usual, dpi=100, format="png")
    assert small.mode == "L"
    assert np.array_equal(np.asarray(small), np.asarray(Image.open(usual).convert("RGB"))[..., 0])
    coloured = small_png(show.curves({"picard": [1, 0.1], "anderson": [1, 0.01]}))
    assert Image.open(io.BytesIO(coloured)).mode == "P"
    assert len(coloured) < 30_000


@pytest.mark.parametrize(
    ("call", "culprit"),
    [
        (lambda: show.image_grid({"cube": np.zeros((2, 3, 4))}), r"\(2, 3, 4\)"),
        (lambda: show.image_grid({"a": np.zeros((3, 4))}, error_against="b"), "'b'"),
        (lambda: show.image_grid({"a": np.zeros((3, 4))}, captions={"c": "text"}), "'c'"),
        (
            lambda: show.image_grid(
                {"a": np.zeros((3, 4)), "b": np.zeros((3, 5))}, error_against="a"
            ),
            r"\(3, 5\)",
        ),
        (lambda: show.save(show.figure()[0], "../up"), "../up"),
        (lambda: show.save("text", "name"), "str"),
    ],
)
def test_what_cannot_be_drawn_is_named(call, culprit, monkeypatch, tmp_path):
    monkeypatch.setenv("DEQLAB_FIGURES", str(tmp_path))
    with pytest.raises(InputError, match=culprit):
        call()


def test_curves_have_the_method_s_colour_and_keep_every_sample():
    traces = {
        "anderson": [[1.0, 0.1, 0.01], [1.0, 0.2]],
        "picard": torch.tensor([1.0, 0.9]),
        "new": ([5, 9], [1, 2]),
    }
    axes = show.curves(traces, level=1e-3).axes[0]
    *lines, level = axes.lines
    assert [len(line.get_xdata()) for line in lines] == [3, 2, 2, 2]
    assert lines[1].get_xdata().tolist() == [1, 2]
    assert lines[3].get_xdata().tolist() == [5, 9]
    assert lines[0].get_color() == lines[1].get_color() == show.METHOD_COLOURS["anderson"]
    assert lines[2].get_color() == show.METHOD_COLOURS["picard"]
    assert level.get_ydata()[0] == 1e-3
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "anderson",
        "picard",
        "new",
        "tolerance",
    ]
    assert axes.get_yscale() == "log"


def test_plotly_curves_hold_the_same_numbers():
    made = show.plotly_curves({"picard": [1.0, 0.5], "anderson": [[1.0], [1.0, 0.25]]}, log=True)
    assert [list(trace.y) for trace in made.data] == [[1.0, 0.5], [1.0], [1.0, 0.25]]
    assert next(trace.line.color for trace in made.data) == show.METHOD_COLOURS["picard"]
    assert made.layout.yaxis.type == "log"


def test_dots_show_every_value_and_print_the_mean():
    axes = show.dots({"de-grad": [30.0, 32.0], "cg-sense": [25.0, 25.5, 26.5]}, xlabel="PSNR").axes[
        0
    ]
    assert [sorted(cloud.get_offsets()[:, 0]) for cloud in axes.collections] == [
        [30.0, 32.0],
        [25.0, 25.5, 26.5],
    ]
    assert [text.get_text() for text in axes.texts] == ["31.0", "25.7"]


def test_every_method_has_a_colour_of_its_own():
    methods = ["reference", "unrolled", *recon.METHODS.names()]
    colours = [matplotlib.colors.to_rgb(show.colour(method)) for method in methods]
    assert len(set(colours)) == len(methods)


def test_nothing_is_written_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("DEQLAB_FIGURES", raising=False)
    monkeypatch.chdir(tmp_path)
    figure, _ = show.figure()
    assert show.save(figure, "name") is figure
    assert list(tmp_path.iterdir()) == []


def test_a_picture_is_saved_as_png_and_curves_as_svg_one_file_each(tmp_path, monkeypatch):
    monkeypatch.setenv("DEQLAB_FIGURES", str(tmp_path / "figures"))
    for _ in range(2):  # a second run replaces, it does not add
        show.save(show.image_grid({"a": np.eye(8)}), "01_picture")
        show.save(show.curves({"picard": [1, 0.1]}), "01_curves")
        show.save(show.plotly_curves({"picard": [1, 0.1]}), "01_live")
    found = {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    assert set(found) == {"01_picture.png", "01_curves.svg", "01_live.html", "plotly.min.js"}
    assert found["01_picture.png"].startswith(b"\x89PNG")
    assert b"<svg" in found["01_curves.svg"]


def test_the_same_figure_gives_the_same_file(tmp_path, monkeypatch):
    files = []
    for folder in ("a", "b"):
        monkeypatch.setenv("DEQLAB_FIGURES", str(tmp_path / folder))
        show.save(show.curves({"picard": [1, 0.1]}, level=0.5), "curves")
        files.append((tmp_path / folder / "curves.svg").read_bytes())
    assert files[0] == files[1]
