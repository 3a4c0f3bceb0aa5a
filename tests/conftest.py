"""What every test shares: one thread a process, a seed, nothing of the user's shell, small data,
measurements and notebooks.
"""

from __future__ import annotations

import os

# before torch is imported: several workers with several threads each slow one another down
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from deqlab.data.simulated import SimulationConfig, make
from deqlab.networks import DnCNN
from deqlab.operators import CartesianOperator


def pytest_collection_finish(session: pytest.Session) -> None:
    """Coverage is that of the tests: nbval, which reads this option later than pytest-cov does,
    would trace every notebook's kernel as well, and slow it down.
    """
    session.config.option.cov_source = None


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEQLAB_FIGURES", "DEQLAB_RESULTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def write_notebook() -> Callable[..., Path]:
    """`write_notebook(path, *cells, parameters="seed: int = 0")`: a cell is its source, or (source,
    tags).
    """
    import nbformat
    from nbformat import v4

    def write(
        path: Path, *cells: str | tuple[str, list[str]], parameters: str | None = None
    ) -> Path:
        notebook = v4.new_notebook()
        notebook.metadata.kernelspec = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        tagged = [(parameters, ["parameters"])] if parameters is not None else []
        for cell in (*tagged, *cells):
            source, tags = (cell, []) if isinstance(cell, str) else cell
            written = v4.new_code_cell(source)
            written.metadata.tags = tags
            notebook.cells.append(written)
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        return path

    return write


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Files of 32x32 pixels, two coils and two slices: two volumes to train on and two to test
    on.
    """
    config = SimulationConfig(matrix=32, coils=2, slices=2, volumes=(2, 0, 2), oversampling=1)
    folder = tmp_path_factory.mktemp("tiny")
    return {split: make(folder, config, (split,), progress=False) for split in ("train", "test")}


@dataclass
class Measured:
    """k-space (batch, coil, y, x) and its operator."""

    kspace: Tensor
    A: CartesianOperator

    def member(self, index: int) -> Measured:
        """One sample alone."""
        return Measured(self.kspace[index : index + 1], self.A.select(torch.tensor([index])))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def measure(_seed: None) -> Callable[..., Measured]:
    """`measure(batch, coils, size, dtype)`: noise images, about half of the lines, normalised
    random maps.
    """

    def make(
        batch: int = 3,
        coils: int = 2,
        size: tuple[int, int] = (6, 7),
        dtype: torch.dtype = torch.complex128,
    ) -> Measured:
        maps = torch.randn(batch, coils, *size, dtype=dtype)
        maps = maps / maps.abs().square().sum(1, keepdim=True).sqrt()
        mask = torch.rand(batch, 1, 1, size[1]) < 0.5
        # Some lines measured and some not, whatever was drawn.
        mask[..., size[1] // 2], mask[..., 0] = True, False
        A = CartesianOperator(mask, maps if coils > 1 else None)
        return Measured(A(torch.randn(batch, *size, dtype=dtype)), A)

    return make


@pytest.fixture
def denoiser(_seed: None) -> Callable[..., nn.Module]:
    """`denoiser(lipschitz, dtype)`: R with Lip(R) <= lipschitz and random weights."""

    def make(lipschitz: float = 0.8, dtype: torch.dtype = torch.float64) -> DnCNN:
        model = DnCNN(3, 6, lipschitz=lipschitz, residual=False).to(dtype)
        for parameter in model.parameters():
            nn.init.normal_(parameter)
        model.project_()
        return model

    return make


class _Gain(nn.Module):
    def __init__(self, gain: float):
        super().__init__()
        self.gain = gain

    def forward(self, image: Tensor) -> Tensor:
        return self.gain * image


@pytest.fixture
def gain() -> Callable[[float], nn.Module]:
    """`gain(q)`: R = q I, with every Jacobian known."""
    return _Gain
