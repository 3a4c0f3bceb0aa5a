"""A device that is only a label: what a GPU would refuse or wait for is found where there is none.

Values lie in ordinary memory and every operation is computed there. A *function mode* sees what
Python asks of torch: it answers `x.device` with the label, and takes `.to(label)` and
`device=label`. A *dispatch mode* sees every operation, those of a backward pass and those inside
composite ones too, and keeps the label by storage, which views, parameters, `detach` and what
autograd saves all share. As on CUDA, an operation refuses tensors of two devices, but for a scalar
of the CPU (no axes) that is only read, an index on the CPU, and a copy; numpy gets nothing from the
device and a generator of the CPU draws nothing on it.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode, _get_current_function_mode
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
CPU = torch.device("cpu")
# For each of these the host waits on a GPU: a number, or the size of the result, comes from there.
WAITS = {
    *(aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.repeat_interleave),
    *(aten._unique2, aten.unique_dim, aten.unique_consecutive, aten.bincount),
    *(aten.equal, aten.allclose, aten._linalg_check_errors, aten._linalg_eigh, aten._linalg_svd),
    *(aten.linalg_eig, aten.linalg_lstsq),
}
GETTERS = {
    Tensor.device.__get__: lambda there: there,
    Tensor.is_cuda.__get__: lambda there: there != CPU,
    Tensor.is_cpu.__get__: lambda there: there == CPU,
}
MOVES = (Tensor.to, Tensor.cpu, Tensor.type_as, torch.as_tensor)
INDEXED = (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_)


class WrongDevice(RuntimeError):
    """Tensors of two devices meet in one operation."""


class Wait(NamedTuple):
    """What the host waited for, and the file and line that asked."""

    what: str
    where: str


class PretendedDevice(TorchFunctionMode):
    """`with PretendedDevice() as device: y = f(x.to(device.name)).cpu()`.

    waits: where the host would have waited for the device, in order; uploads: copies to it, which
    wait too unless they were asked not to (non_blocking). "cuda:6" is another pretended device.
    """

    name = torch.device("cuda", 7)
    # Of all instances together: what a library keeps between calls outlives each of them.
    _labels: ClassVar[dict[int, tuple[StorageWeakRef, torch.device]]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[Wait] = []
        self.uploads: list[Wait] = []
        self._running = CPU  # where what torch makes for itself, within the call of now, belongs

    def __enter__(self) -> "PretendedDevice":
        with ExitStack() as stack:
            stack.enter_context(_Operations(self))
            hooks, engine = saved_tensors_hooks.__init__, torch.autograd._engine_run_backward

            def watched_hooks(own: Any, pack: Any, unpack: Any) -> None:
                hooks(own, self._watched(pack), self._watched(unpack))

            def watched_engine(outputs: Any, *args: Any, **kwargs: Any) -> Any:
                return self._watched(engine, self.of(outputs[0]))(outputs, *args, **kwargs)

            stack.enter_context(patch.object(saved_tensors_hooks, "__init__", watched_hooks))
            at = torch.autograd, "_engine_run_backward"
            stack.enter_context(patch.object(*at, watched_engine))
            self._close = stack.pop_all().close
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._close()
        gone = [key for key, (reference, _) in self._labels.items() if reference.expired()]
        for key in gone:
            del self._labels[key]

    def _watched(self, function: Callable, own: torch.device = CPU) -> Callable:
        """`function` as Python that torch calls, before which it has switched this mode off."""

        def run(*args: Any, **kwargs: Any) -> Any:
            with ExitStack() as stack:
                stack.enter_context(self._call(own))
                if _get_current_function_mode() is not self:
                    TorchFunctionMode.__enter__(self)
                    stack.callback(TorchFunctionMode.__exit__, self, None, None, None)
                return function(*args, **kwargs)

        return run

    def of(self, tensor: Tensor) -> torch.device:
        """The device that the tensor says it is on."""
        with torch._C.DisableTorchFunction():
            if tensor.layout != torch.strided:
                return tensor.device
            entry = self._labels.get(tensor.untyped_storage()._cdata)
            return tensor.device if entry is None else entry[1]

    def put(self, tensor: Tensor, device: torch.device) -> None:
        """Label the tensor's storage."""
        with torch._C.DisableTorchFunction():
            storage = tensor.untyped_storage()
            self._labels.pop(storage._cdata, None)
            if device != CPU:
                # The reference keeps the address from being used again.
                self._labels[storage._cdata] = StorageWeakRef(storage), device

    def move(self, tensor: Tensor, target: torch.device, quiet: bool = False) -> Tensor:
        """A copy on `target`, through which gradients go; the tensor itself where it is there."""
        if self.of(tensor) == target:
            return tensor
        if target == CPU or not quiet:
            self.note("copy to the host" if target == CPU else "copy", target != CPU)
        return _Move.apply(tensor, self, target)

    def note(self, what: str, upload: bool = False) -> None:
        """Count a wait."""
        (self.uploads if upload else self.waits).append(Wait(what, _caller()))

    @contextmanager
    def _call(self, device: torch.device) -> Iterator[None]:
        before, self._running = self._running, device
        try:
            yield
        finally:
            self._running = before

    def _named(self, device: Any) -> torch.device:
        device = torch.device(device)
        whole = device.index is not None or device.type != self.name.type
        return device if whole else self.name

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        first = args[0] if args else None
        if func in GETTERS:
            return GETTERS[func](self.of(first))
        if func in MOVES:
            return self._to(func, args, kwargs)
        own = next((t for t in map(self.of, _tensors((args, kwargs))) if t != CPU), CPU)
        if own != CPU and func in (Tensor.numpy, Tensor.__array__):
            raise TypeError(f"can't convert {own} device type tensor to numpy, {_caller()}")
        if own != CPU and func is Tensor.tolist:
            self.note("tolist")
        if func is torch.tensor and not isinstance(first, Tensor):
            for _ in filter(lambda part: self.of(part) != CPU, _tensors(first)):
                self.note("a tensor of tensors")
            own = CPU
        if kwargs.get("device") is None:
            with self._call(own):
                result = func(*args, **kwargs)
            if func in (Tensor.__deepcopy__, Tensor.new_tensor):
                self.put(result, own)
            return result
        target = self._named(kwargs["device"])
        with self._call(target):
            result = func(*args, **{**kwargs, "device": self._real(target)})
        self.put(result, target)
        if func is torch.tensor and target != CPU:
            self.note("upload", True)
        return result

    def _to(self, func: Any, args: Any, kwargs: Any) -> Tensor:
        """Whatever moves a tensor: by a device, by the name of one, or to where another is."""
        start = self.of(args[0]) if isinstance(args[0], Tensor) else CPU
        target = CPU if func is Tensor.cpu else start

        def real(given: Any) -> Any:
            nonlocal target
            if isinstance(given, Tensor):
                target = self.of(given)
            if not isinstance(given, (str, torch.device)):
                return given
            target = self._named(given)
            return self._real(target)

        quiet = kwargs.get("non_blocking", False)
        args = args[0], *map(real, args[1:])
        kwargs = {name: real(value) for name, value in kwargs.items()}
        return self.move(func(*args, **kwargs), target, quiet)

    def _real(self, device: torch.device) -> torch.device:
        return CPU if device.type == self.name.type else device


class _Move(torch.autograd.Function):
    """A copy on another device; its gradient goes the way back."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, device: PretendedDevice, target: torch.device) -> Tensor:
        ctx.device, ctx.start = device, device.of(tensor)
        copy = tensor.clone()
        device.put(copy, target)
        return copy

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.device.move(gradient, ctx.start), None, None


class _Operations(TorchDispatchMode):
    """Every operation: refused where devices mix, counted where the host waits, its results
    labelled.
    """

    def __init__(self, device: PretendedDevice):
        super().__init__()
        self.device = device

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        device, given = self.device, _tensors((args, kwargs))
        places = [device.of(part) for part in given]
        here = next((place for place in places if place.type == device.name.type), CPU)
        if not given:
            here = device._running
        if here == CPU:
            return func(*args, **kwargs)
        if func.overloadpacket is aten.copy_:
            if places[0] != places[1]:
                device.note("copy", upload=places[0] != CPU)
            return func(*args, **kwargs)
        self._count(func.overloadpacket, args, kwargs)
        if any(place != here for place in places):
            self._check(func, args, kwargs, here)
        if any(isinstance(part, torch.Generator) for part in (*args, *kwargs.values())):
            raise WrongDevice(f"{func}: a generator on the CPU draws on {here}, {_caller()}")
        result = func(*args, **kwargs)
        for part in _tensors(result):
            if device.of(part) == CPU:
                device.put(part, here)
        return result

    def _count(self, packet: Any, args: Any, kwargs: Any) -> None:
        if packet in INDEXED:
            masks = any(part.dtype in (torch.bool, torch.uint8) for part in _tensors(args[1]))
            # A number put where a mask says so is filled in, without a look at the mask.
            fill = len(args) > 2 and args[2].numel() == 1 and self.device.of(args[2]) == CPU
            if masks and not fill:
                self.device.note("a boolean mask")
        elif packet in WAITS and kwargs.get("output_size") is None:
            self.device.note(str(packet))

    def _check(self, func: Any, args: Any, kwargs: Any, here: torch.device) -> None:
        """WrongDevice unless all that is elsewhere may be: a scalar that is read, or an index."""
        kinds = zip(args, func._schema.arguments)
        written = [part for part, kind in kinds if kind.alias_info and kind.alias_info.is_write]
        written.append(kwargs.get("out"))
        index = _tensors(args[1]) if func.overloadpacket in INDEXED else []
        for part in _tensors((args, kwargs)):
            there = self.device.of(part)
            if there == here or there.type == "meta":
                continue
            if any(part is other for other in index):
                self.device.note("index", upload=True)
            elif there != CPU or part.ndim or any(part is other for other in written):
                raise WrongDevice(
                    f"{func}: a tensor of shape {tuple(part.shape)} on {there} meets one on {here},"
                    f" {_caller()}"
                )


def _tensors(parts: Any) -> list[Tensor]:
    """The tensors in arguments, lists and tuples."""
    if isinstance(parts, Tensor):
        return [parts]
    if isinstance(parts, dict):
        parts = parts.values()
    elif not isinstance(parts, (tuple, list)):
        return []
    return [tensor for part in parts for tensor in _tensors(part)]


def _caller() -> str:
    """The innermost line that is neither torch's nor this file's."""
    frame = sys._getframe(1)
    while frame.f_back is not None and (
        frame.f_code.co_filename == __file__
        or "/torch/" in frame.f_code.co_filename
        or frame.f_code.co_filename.endswith("contextlib.py")
    ):
        frame = frame.f_back
    return f"{'/'.join(frame.f_code.co_filename.split('/')[-3:])}:{frame.f_lineno}"
