"""KIKI-net: what its networks see, in which order, and k-space that is balanced for them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deqlab.recon import create
from deqlab.recon.unrolled.kiki_net import KIKINet, balance
from deqlab.signal.transforms.fourier import fft2c


class Watched(nn.Module):
    """Gives what it is told to, whatever it sees, and remembers that."""

    def __init__(self, answer: float):
        super().__init__()
        self.answer, self.seen = answer, []

    def forward(self, image: Tensor) -> Tensor:
        self.seen.append(image)
        return self.answer * image


def watched(*answers: float, balanced: float = 0.0) -> KIKINet:
    model = KIKINet(iterations=len(answers), depth=1, width=2, balance=balanced)
    model.networks = nn.ModuleList(Watched(answer) for answer in answers)
    return model


def test_the_default_has_the_published_size() -> None:
    """Four networks of sixteen convolutions of 48 channels, and one that ends each."""
    assert sum(p.numel() for p in create("kiki-net").parameters()) == 1_254_152


def test_networks_on_kspace_and_on_the_image_take_turns(measure) -> None:
    """On k-space each coil is a member of the batch; the first sees what was measured and nothing
    else, and a later one measured samples where there are some.
    """
    data = measure(2, 3, (6, 7))
    model = watched(0.5, 1.0, 1.0)
    model(data.kspace, data.A)
    first, second, third = (network.seen for network in model.networks)
    assert [len(seen) for seen in (first, second, third)] == [1, 1, 1]
    assert first[0].shape == third[0].shape == (6, 6, 7) and second[0].shape == (2, 6, 7)
    mask = data.A.mask.expand(data.kspace.shape).flatten(0, 1)
    assert torch.equal(first[0][~mask], torch.zeros_like(first[0][~mask]))
    assert torch.equal(third[0][mask], first[0][mask]) and third[0][~mask].abs().min() > 0


def test_what_is_predicted_on_kspace_enters_where_nothing_was_measured(measure) -> None:
    """A network that knows the k-space of the image gives the image of one coil."""
    A = measure(1, 1, (8, 9)).A
    image = torch.randn(1, 8, 9, dtype=torch.complex128)

    class Knows(nn.Module):
        def forward(self, kspace: Tensor) -> Tensor:
            scale = (kspace * A.mask[:, 0]).abs().sum() / (fft2c(image) * A.mask[:, 0]).abs().sum()
            turn = (kspace * fft2c(image).conj()).sum().sgn()
            return scale * turn * fft2c(image)

    model = watched(1.0)
    model.networks = nn.ModuleList([Knows()])
    torch.testing.assert_close(model(A(image), A), image)


def test_balance_changes_what_a_network_sees_and_nothing_else(measure) -> None:
    data = measure(2, 2, (6, 7))
    plain, balanced = watched(0.7, 1.0, 0.6), watched(0.7, 1.0, 0.6, balanced=1.5)
    one, other = (model(data.kspace, data.A) for model in (plain, balanced))
    torch.testing.assert_close(one, other)
    weights = balance(data.kspace, 1.5) / balance(data.kspace, 0.0)
    assert weights[3, 3] == 1 and weights[0, 3] == 4**1.5
    expected = weights * plain.networks[0].seen[0]
    nonzero = expected != 0
    ratio = balanced.networks[0].seen[0][nonzero] / expected[nonzero]
    torch.testing.assert_close(ratio, ratio[0].expand_as(ratio))


def test_a_disc_is_balanced_to_one_level() -> None:
    """Its k-space about the centre is 200 times that near the rim, and less than 10 times then."""
    y, x = torch.meshgrid(torch.arange(96) - 48, torch.arange(96) - 48, indexing="ij")
    kspace = fft2c((y**2 + x**2 < 36**2).to(torch.complex128)[None, None])
    radius = torch.hypot(y.double(), x.double())

    def ratio(kspace: Tensor) -> float:
        size = kspace[0, 0].abs()
        return float(size[radius < 2].mean() / size[(radius > 36) & (radius < 44)].mean())

    assert ratio(kspace) > 200 and ratio(kspace * balance(kspace, 1.5)) < 10


def test_measured_samples_of_one_coil_are_those_of_the_image(measure) -> None:
    data = measure(1, 1, (8, 9))
    model = create("kiki-net", iterations=2, depth=1, width=4).double()
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    image = model(data.kspace, data.A)
    torch.testing.assert_close(data.A(image), data.kspace)
    assert not torch.allclose(image, data.A.H(data.kspace), atol=1e-2)
