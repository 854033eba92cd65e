"""SOLVER.COMPILE: the calls of networks and loss through `torch.compile`, and back to the eager ones where it fails.

A call is compiled, never a module: parameters, buffers and checkpoints keep their names, and what validates, evaluates
and is saved is the system itself, which runs eagerly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import torch
import torch._functorch.config
from torch import Tensor, nn

from mdtk.core import distributed
from mdtk.core.structures import Inputs, Prediction
from mdtk.losses.objective import Losses, Objective

T = TypeVar("T")
Predict = Callable[[Inputs], Prediction]
Compare = Callable[[Inputs, Prediction, bool], Losses]


class Compiled(Generic[T]):
    """`fast` until it raises: then `eager`, from that call on, after saying why.

    The call that fails is made again from the same generators and the same `buffers`, those that it changes, so a
    training that falls back at its first step has the numbers of one that never compiled. What `eager` raises too was
    not the compiler's.
    """

    def __init__(
        self,
        what: str,
        eager: Callable[..., T],
        fast: Callable[..., T],
        buffers: Sequence[Tensor],
        device: torch.device,
        say: Callable[[str], None],
    ) -> None:
        self.what, self.eager, self.buffers, self.device, self.say = what, eager, buffers, device, say
        self.fast: Callable[..., T] | None = fast
        self.proven = False

    def __call__(self, *args: Any) -> T:
        if self.fast is None:
            return self.eager(*args)
        if not self.proven:
            distributed.beat("")  # compiling lasts as long as it does
        before, generators = [buffer.clone() for buffer in self.buffers], _generators(self.device)
        try:
            result = self.fast(*args)
        except Exception as error:  # of the compilers, which raise unrelated classes
            reason = f"{type(error).__name__}: {next((line for line in str(error).splitlines() if line.strip()), '')}"
        else:
            self.proven = True
            return result
        with torch.no_grad():
            for buffer, value in zip(self.buffers, before, strict=True):
                buffer.copy_(value)
        for generator, state in generators:
            generator.set_state(state)
        result = self.eager(*args)
        self.fast = None
        self.say(f"SOLVER.COMPILE: {self.what} could not be compiled ({reason.strip()[:300]}); it goes on eagerly")
        return result


def _generators(device: torch.device) -> list[tuple[torch.Generator, Tensor]]:
    found = [torch.default_generator]
    if device.type == "cuda":
        found.append(torch.cuda.default_generators[device.index])
    return [(generator, generator.get_state()) for generator in found]


# Where the eager loss, in few passes over what the cache holds, is quicker than kernels of the plain one: on CPUs these
# take a third longer, besides the minutes of their making (benchmarks/README.md).
EAGER_LOSS = ("cpu",)
# The noise that breaks ties is the eager one's; shapes are those of the recipe.
_HOW: dict[str, Any] = {"dynamic": False, "options": {"fallback_random": True}}


def compile_calls(
    what: str, wrapped: nn.Module, objective: Objective, say: Callable[[str], None]
) -> tuple[Predict, Compare]:
    """The calls of the system (`wrapped`: under DDP, perhaps) and of the loss, as SOLVER.COMPILE (`what`) says."""
    if what == "none":
        return wrapped, objective
    # Compiled with the forward half: what goes wrong shows there, where there is a way back. Older torch compiles the
    # backward half when it first runs, and an error there ends the run.
    if hasattr(torch._functorch.config, "force_non_lazy_backward_lowering"):
        torch._functorch.config.force_non_lazy_backward_lowering = True
    device, buffers = next(wrapped.parameters()).device, list(wrapped.buffers())
    compare: Compare = objective
    if device.type not in EAGER_LOSS:
        compare = compile_loss(objective, device, say)
    elif what == "loss":
        say("SOLVER.COMPILE loss: on a CPU the loss is faster as it is, so nothing is compiled")
    if what == "loss":
        return wrapped, compare
    system: Any = torch.compile(wrapped, **_HOW)
    return Compiled("the networks", wrapped, system, buffers, device, say), compare


def compile_loss(objective: Objective, device: torch.device, say: Callable[[str], None]) -> Compare:
    """The loss through `torch.compile`."""
    plain = objective.with_photometric(fused=False)  # autograd's own, which a compiler can see through
    compare = Compiled("the loss", objective.__call__, torch.compile(plain.__call__, **_HOW), [], device, say)

    def compare_or_show(inputs: Inputs, prediction: Prediction, pictures: bool = False) -> Losses:
        # One step an epoch keeps pictures: not worth a graph of its own.
        return objective(inputs, prediction, True) if pictures else compare(inputs, prediction)

    return compare_or_show
