"""Plans of finufft and cufinufft behind torch tensors: one set of points, any number of coils, forward and adjoint of each other to rounding.

A. H. Barnett, J. Magland, L. af Klinteberg, A parallel nonuniform fast Fourier transform library based on an "exponential of semicircle"
kernel, SIAM J. Sci. Comput. 41 (2019). https://finufft.readthedocs.io
"""

import torch
from torch import Tensor


class Plans:
    """sum over n of x[n] exp(-2 pi i k . (n - N // 2)) and its adjoint, for fixed points k, to a relative `tolerance`.

    points: real (samples, axes), cycles per pixel. shape: the image's. Plans are made when first needed, for each precision, device and number
    of coils, and kept. The adjoint runs the same interpolation backwards, so that the pair is adjoint to rounding whatever the tolerance.
    On CUDA cufinufft is used; where it is not installed, and on other devices, tensors go through the CPU.
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
        on_cpu = given.cpu()
        found = on_cpu.new_empty(len(given), *(self.shape if kind == 1 else (len(self.points),)))
        plan = self._cpu_plan(len(given), given.dtype)
        execute = plan.execute_adjoint if kind == 1 else plan.execute
        # finufft drops the axis of a single transform.
        arrays = (tensor.numpy()[0] if len(given) == 1 else tensor.numpy() for tensor in (on_cpu, found))
        execute(*arrays)
        return found.to(given.device)

    def _cpu_plan(self, coils: int, dtype: torch.dtype):
        import finufft

        threads = torch.get_num_threads()
        key = coils, dtype, threads
        if key not in self._plans:
            plan = finufft.Plan(2, self.shape, coils, self.tolerance, -1, _name(dtype), nthreads=threads, showwarn=0)
            plan.setpts(*(angle.numpy() for angle in self._angles(torch.device("cpu"), dtype)))
            self._plans[key] = plan
        return self._plans[key]

    def _run_cuda(self, given: Tensor, kind: int) -> Tensor:
        key = len(given), given.dtype, given.device, kind
        if key not in self._plans:
            sign = 1 if kind == 1 else -1
            plan = _cufinufft().Plan(
                kind, self.shape, len(given), self.tolerance, sign, _name(given.dtype), gpu_device_id=given.device.index or 0
            )
            plan.setpts(*self._angles(given.device, given.dtype))
            self._plans[key] = plan
        found = given.new_empty(len(given), *(self.shape if kind == 1 else (len(self.points),)))
        # cufinufft works on a stream of its own choosing.
        torch.cuda.current_stream(given.device).synchronize()
        self._plans[key].execute(given if len(given) > 1 else given[0], found if len(given) > 1 else found[0])
        torch.cuda.synchronize(given.device)
        return found

    def _angles(self, device: torch.device, dtype: torch.dtype) -> list[Tensor]:
        angles = (2 * torch.pi * self.points.to("cpu", torch.float64)).to(device, dtype.to_real())
        return [angle.contiguous() for angle in angles.unbind(-1)]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _cufinufft():
    """The CUDA library, or None where it is not installed."""
    try:
        import cufinufft
    except ImportError:
        return None
    return cufinufft
