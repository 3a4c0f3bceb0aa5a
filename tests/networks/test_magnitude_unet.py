"""A U-net of magnitudes: a phase of any pixel turns that pixel and changes nothing else."""

from __future__ import annotations

import torch

from deqlab.networks.magnitude_unet import MagnitudeUNet
from deqlab.recon import create


def drawn() -> MagnitudeUNet:
    network = MagnitudeUNet((3, 4)).double()
    for parameter in network.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return network


def test_phases_pass_through_and_scales_scale() -> None:
    network, image = drawn(), torch.randn(2, 9, 11, dtype=torch.complex128)
    turn = torch.exp(6j * torch.rand(2, 9, 11, dtype=torch.float64))
    torch.testing.assert_close(network(3e-6 * turn * image), 3e-6 * turn * network(image))
    assert network(image.abs().to(image)).imag.abs().max() == 0
    assert not torch.allclose(network(image), image)


def test_nothing_gives_something_finite_and_it_starts_as_the_identity() -> None:
    image = torch.randn(1, 8, 9, dtype=torch.complex128)
    torch.testing.assert_close(MagnitudeUNet((3, 4)).double()(image), image)
    image[..., :4] = 0
    assert torch.isfinite(drawn()(image)).all()


def test_it_is_a_denoiser_of_the_published_unet(measure) -> None:
    data = measure(2, 2, (16, 17), torch.complex64)
    model = create("unet", denoiser={"name": "magnitude-unet", "widths": (3, 4)})
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    image, projection = model(data.kspace, data.A), data.A.H(data.kspace)
    turned = image * projection.conj()
    assert (turned.imag.abs() <= 1e-4 * turned.abs().max()).all()
