"""What has to do with images, k-space and coils, networks, losses and theory, on a pretended
device.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from deqlab.losses import LOSSES
from deqlab.networks import MWCNN, DnCNN, Learnlets, UNet
from deqlab.operators import CartesianOperator, NUFFTOperator
from deqlab.operators.gridding import (
    at_most_one,
    coil_maps_from_center,
    density_weights,
    gridded_center,
    weigh,
)
from deqlab.recon import create
from deqlab.signal.coils.air_noise import WhiteningByAir
from deqlab.signal.coils.automatic import Auto
from deqlab.signal.coils.coil_compression import compress_coils, compression_matrix, energy_kept
from deqlab.signal.coils.coil_maps import LowResolution, estimate_coil_maps, rss
from deqlab.signal.coils.espirit import ESPIRiT
from deqlab.signal.coils.walsh import Walsh
from deqlab.signal.coils.whitening import noise_covariance, whiten
from deqlab.signal.sampling.density import ramp
from deqlab.signal.sampling.masks import calibration_lines
from deqlab.signal.sampling.partial_fourier import PartialFourierMask, homodyne, pocs
from deqlab.signal.sampling.point_spread import (
    coherence,
    point_spread,
    transform_coherence,
    transform_point_spread,
)
from deqlab.signal.sampling.trajectories import Radial, per_field_of_view, per_pixel
from deqlab.signal.transforms.crop import center_crop, center_pad, crop_kspace, crop_readout
from deqlab.signal.transforms.finite_differences import (
    differences,
    differences_adjoint,
    lengths,
    total_variation,
)
from deqlab.signal.transforms.fourier import fft2c, ifft2c
from deqlab.signal.transforms.wavelets import Wavelet
from deqlab.theory.compressed_sensing.guarantees import (
    restricted_isometry,
    restricted_isometry_lower_bound,
    spark,
)
from deqlab.theory.compressed_sensing.recovery import basis_pursuit
from deqlab.theory.compressed_sensing.sparsest import exhaustive_l0, orthogonal_matching_pursuit
from deqlab.theory.jacobian_split import split_jacobian
from deqlab.theory.subspaces import spectrum
from deqlab.theory.uniqueness import default_starts, fixed_point_spread


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex128)


MAPS = {
    "low-resolution": LowResolution(),
    "walsh": Walsh(3),
    "espirit": ESPIRiT(3),
    "auto": Auto(patches=0.3),
    "espirit-zero": ESPIRiT((3, 4), outside="zero", phase="virtual-coil"),
}


@pytest.mark.parametrize("name", MAPS)
def test_coil_maps(same, name: str) -> None:
    smooth = torch.zeros(2, 4, 16, 20, dtype=torch.complex128)
    smooth[..., 6:10, 8:12] = noise(2, 4, 4, 4)
    kspace = smooth + 0.01 * noise(2, 4, 16, 20)
    same(lambda k: estimate_coil_maps(k, slice(4, 16), MAPS[name]), kspace, tolerance=1e-6)


def test_coils(same) -> None:
    def compute(kspace: Tensor, background: Tensor) -> tuple[Tensor, ...]:
        matrix = compression_matrix(kspace, 2)
        kept = energy_kept(kspace, matrix)
        # The phase of an eigenvector is nobody's.
        return kept, rss(compress_coils(kspace, 2)), whiten(kspace, noise_covariance(background))

    same(compute, noise(2, 4, 6, 7), noise(4, 50))


def test_whitening_by_air(same) -> None:
    head = torch.zeros(4, 32, 24, dtype=torch.complex128)
    head[:, 10:20] = noise(4, 10, 24)
    loud = torch.tensor([5.0, 1, 1, 1]).reshape(4, 1, 1)

    def compute(kspace: Tensor, mask: Tensor) -> Tensor:
        found = WhiteningByAir().matrix([kspace], mask).matrix
        assert found is not None
        return found

    kspace = fft2c(head) + 0.1 * loud * noise(4, 32, 24)
    same(compute, kspace, torch.ones(24, dtype=torch.bool), tolerance=1e-4)


@pytest.mark.parametrize("shape", [(9, 12), (10, 200)])
def test_transforms(same, shape: tuple[int, int]) -> None:
    def compute(x: Tensor, threshold: Tensor) -> tuple[Tensor, ...]:
        wavelet = Wavelet("db2")
        return (
            fft2c(x),
            ifft2c(x),
            center_crop(x, (5, 8)),
            center_pad(x, (20, 220)),
            crop_kspace(x, (6, 7)),
            crop_readout(x, 5),
            differences(x),
            differences_adjoint(differences(x)),
            lengths(differences(x)),
            total_variation(x),
            wavelet.forward(x),
            wavelet.adjoint(x),
            wavelet.shrink(x, threshold),
        )

    same(compute, noise(2, *shape), torch.rand(2, 1, 1).double())


def test_sampling(same) -> None:
    def compute(kspace: Tensor, mask: Tensor, atoms: Tensor, spokes: Tensor) -> tuple:
        wavelet = Wavelet("haar")
        how = atoms, (8, 16), wavelet.adjoint, wavelet.forward
        assert calibration_lines(mask).stop > 8 and coherence(mask, 2) < 1
        return (
            homodyne(kspace, mask),
            pocs(kspace, mask, 3),
            point_spread(mask),
            transform_point_spread(mask, *how),
            transform_coherence(mask, *how),
            ramp(spokes, (8, 8)),
            density_weights(spokes, (8, 8)),
            per_pixel(per_field_of_view(spokes, (8, 8)), (8, 8)),
        )

    mask = PartialFourierMask(0.7).sample(16)
    spokes = Radial(5).sample((8, 8))
    same(compute, noise(2, 3, 8, 16), mask, torch.tensor([[0, 1], [3, 4]]), spokes, tolerance=1e-6)


NETWORKS = {
    "dncnn": lambda: DnCNN(3, 4),
    "dncnn-group": lambda: DnCNN(3, 4, norm="group", bias=True),
    "dncnn-bounded": lambda: DnCNN(3, 4, lipschitz=0.8, residual=False),
    "dncnn-unshuffle": lambda: DnCNN(3, 4, unshuffle=2),
    "unet": lambda: UNet((2, 3)),
    "mwcnn": lambda: MWCNN((2, 3)),
    "learnlets": lambda: Learnlets(2, 2, 3, 3),
    "learnlets-split": lambda: Learnlets(2, 2, 3, 5, "garrote", learned_split=True),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(same, name: str) -> None:
    def compute(network: nn.Module, image: Tensor) -> list[Tensor]:
        for parameter in network.parameters():
            with torch.no_grad():
                parameter += 0.1
        network.after_step()
        loss = network(image).abs().sum()
        return [loss.detach(), *torch.autograd.grad(loss, list(network.parameters()))]

    same(compute, NETWORKS[name]().double(), noise(2, 5, 7))


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_do_not_wait(device, name: str) -> None:
    network = NETWORKS[name]().to(device.name)
    image = noise(1, 4, 4).to(device.name, torch.complex64)
    device.uploads.clear()
    network(image)
    assert device.waits == device.uploads == []


@pytest.mark.parametrize("name", LOSSES)
def test_losses(same, name: str) -> None:
    def compute(image: Tensor, reference: Tensor) -> tuple[Tensor, ...]:
        image = image.clone().requires_grad_()
        loss = LOSSES.make(name)(image, reference)
        return loss.detach(), *torch.autograd.grad(loss, image)

    same(compute, noise(2, 8, 9), noise(2, 8, 9))


def test_losses_do_not_wait(device) -> None:
    image, reference = noise(2, 8, 9).to(device.name), noise(2, 8, 9).to(device.name)
    device.uploads.clear()
    for name in LOSSES:
        LOSSES.make(name)(image, reference)
    assert device.waits == device.uploads == []


def test_gridding(same) -> None:
    trajectory = Radial(20).sample((8, 8))

    def compute(kspace: Tensor, trajectory: Tensor) -> tuple[Tensor, ...]:
        density = density_weights(trajectory, (8, 8))
        maps = coil_maps_from_center(kspace, trajectory, density, (8, 8), 3.0)
        A = at_most_one(NUFFTOperator(trajectory, (8, 8), maps, weights=density), maps[:1], 5)
        center = gridded_center(kspace, trajectory, density, (8, 8), 3.0)
        return maps, center, A.H(weigh(A, kspace[None]))

    same(compute, noise(3, len(trajectory)), trajectory, tolerance=1e-3)


@pytest.mark.parametrize("coils", [1, 3])
def test_where_a_map_contracts(same, coils: int) -> None:
    maps = None if coils == 1 else noise(coils, 4, 8)
    A = CartesianOperator(torch.arange(8) % 2 == 0, maps)
    model = create("de-grad", denoiser=DnCNN(2, 2)).double()
    nn.init.normal_(model.denoiser.convolutions()[-1].weight, std=0.05)

    def compute(model: nn.Module, kspace: Tensor, A: CartesianOperator) -> tuple:
        f = model.fixed_point_map(kspace, A)
        x = A.H(kspace)
        starts = default_starts(kspace, A)
        spread = fixed_point_spread(model, kspace, A, starts, max_evaluations=2)
        assert len(spectrum(A, x, 5)) == 2
        return (*starts.values(), *vars(split_jacobian(f, x, A, 3)).values(), spread.images)

    same(compute, model, A(noise(2, 4, 8)), A, tolerance=1e-8)


def test_sparse_signals(same) -> None:
    def compute(matrix: Tensor, signals: Tensor) -> tuple[Tensor, ...]:
        y = signals @ matrix.mT
        assert spark(matrix) == 5
        recovery = basis_pursuit(matrix, y)
        return (
            exhaustive_l0(matrix, y, 2),
            orthogonal_matching_pursuit(matrix, y, 2),
            recovery.signal,
            recovery.residual,
            restricted_isometry(matrix, 2),
            restricted_isometry_lower_bound(matrix, 2, 4),
        )

    signals = torch.zeros(3, 7, dtype=torch.float64)
    signals[0, 1], signals[1, 3], signals[2, 2:4] = 1, 2, 1
    same(compute, torch.randn(4, 7, dtype=torch.float64), signals, tolerance=1e-8)
