"""Plans of finufft and cufinufft behind torch tensors: one set of points, any number of coils,
forward and adjoint of each other to rounding.

A. H. Barnett, J. Magland, L. af Klinteberg, A parallel nonuniform fast Fourier transform library
based on an "exponential of semicircle" kernel, SIAM J. Sci. Comput. 41 (2019).
https://finufft.readthedocs.io
"""

from typing import Any

import torch
from torch import Tensor


class Plans:
    """sum over n of x[n] exp(-2 pi i k . (n - N // 2)) and its adjoint, for fixed points k, to a
    relative `tolerance`.

    points: real (samples, axes), cycles per pixel. shape: the image's. Plans are made when first
    needed, for each precision, device and number of coils, and kept. The adjoint runs the same
    interpolation backwards, so that the pair is adjoint to rounding whatever the tolerance. On CUDA
    cufinufft is used; where it is not installed, and on other devices, tensors go through the CPU.
    """

    def __init__(self, points: Tensor, shape: tuple[int, ...], tolerance: float):
        self.points, self.shape, self.tolerance = points, shape, tolerance
        self._plans: dict = {}

    def forward(self, coil_images: Tensor) -> Tensor:
        """Samples, (coil, samples), of coil images (coil, *shape)."""
        return self._run(coil_images, 2)

    def adjoint(self, samples: Tensor) -> Tensor:
        """Coil images, (coil, *shape), of samples (coil, samples)."""
        return self._run(samples, 1)

    def _run(self, given: Tensor, kind: int) -> Tensor:
        given = given.detach().resolve_conj().resolve_neg().contiguous()
        if given.device.type == "cuda" and _cufinufft() is not None:
            return self._run_cuda(given, kind)
        order, back = self._order()
        on_cpu = given.cpu() if kind == 2 else given.cpu().index_select(-1, order)
        found = on_cpu.new_empty(len(given), *(self.shape if kind == 1 else (len(self.points),)))
        plan = self._cpu_plan(len(given), given.dtype)
        execute = plan.execute_adjoint if kind == 1 else plan.execute
        # finufft drops the axis of a single transform.
        arrays = (
            tensor.numpy()[0] if len(given) == 1 else tensor.numpy() for tensor in (on_cpu, found)
        )
        execute(*arrays)
        return (found if kind == 1 else found.index_select(-1, back)).to(given.device)

    def _order(self) -> tuple[Tensor, Tensor]:
        """The order in which samples lie in memory while they are transformed, and the way back.

        finufft goes through them bin by bin, from wherever they are. Laid out in that order, a
        transform takes a tenth less time.
        """
        if "order" not in self._plans:
            points, place = (
                self.points.to("cpu", torch.float64),
                torch.zeros(len(self.points), dtype=torch.long),
            )
            for axis, size in enumerate(self.shape):
                # Its bins: 16 cells of the fine grid along the last axis, 4 along the others.
                cells = 16 if axis == len(self.shape) - 1 else 4
                bins = 2 * size // cells + 1
                place = place * bins + ((points[:, axis] + 0.5) * 1.25 * size / cells).long().clamp(
                    0, bins - 1
                )
            order = place.argsort(stable=True)
            self._plans["order"] = order, order.argsort()
        return self._plans["order"]

    def _cpu_plan(self, coils: int, dtype: torch.dtype) -> Any:
        import finufft

        threads = torch.get_num_threads()
        key = coils, dtype, threads
        if key not in self._plans:
            plan = finufft.Plan(
                2, self.shape, coils, self.tolerance, -1, _name(dtype), nthreads=threads, showwarn=0
            )
            plan.setpts(
                *(
                    angle[self._order()[0]].numpy()
                    for angle in self._angles(torch.device("cpu"), dtype)
                )
            )
            self._plans[key] = plan
        return self._plans[key]

    def _run_cuda(self, given: Tensor, kind: int) -> Tensor:
        key = len(given), given.dtype, given.device, kind
        if key not in self._plans:
            sign = 1 if kind == 1 else -1
            plan = _cufinufft().Plan(
                kind,
                self.shape,
                len(given),
                self.tolerance,
                sign,
                _name(given.dtype),
                gpu_device_id=given.device.index or 0,
            )
            plan.setpts(*self._angles(given.device, given.dtype))
            self._plans[key] = plan
        found = given.new_empty(len(given), *(self.shape if kind == 1 else (len(self.points),)))
        # cufinufft works on a stream of its own choosing.
        torch.cuda.current_stream(given.device).synchronize()
        self._plans[key].execute(
            given if len(given) > 1 else given[0], found if len(given) > 1 else found[0]
        )
        torch.cuda.synchronize(given.device)
        return found

    def _angles(self, device: torch.device, dtype: torch.dtype) -> list[Tensor]:
        angles = (2 * torch.pi * self.points.to("cpu", torch.float64)).to(device, dtype.to_real())
        return [angle.contiguous() for angle in angles.unbind(-1)]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _cufinufft() -> Any:
    """The CUDA library, or None where it is not installed."""
    try:
        import cufinufft
    except ImportError:
        return None
    return cufinufft
