"""One function, another program on CPU than elsewhere.

`lax.platform_dependent` decides when a program is lowered, so one trace serves every platform, and
all that is for the others is traced in vain. Whoever knows that a program is for this machine, and
that this machine has nothing but CPUs, says so by `here_alone`, and only that is traced.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import jax
from jax import lax

# Whether what is traced now is for CPU alone: per thread, and seen by the caches of `jax.jit`.
_CPU_ALONE = jax.make_user_context(False)


def here_alone() -> contextlib.AbstractContextManager:
    """Returns a context for `with`: what is traced in it will run on this machine's own devices."""
    return _CPU_ALONE(jax.default_backend() == "cpu")


def dependent(*arguments: Any, cpu: Callable, default: Callable) -> Any:
    """Returns what `cpu` makes of the arguments on CPU, and `default` elsewhere: alike in kind."""
    if _CPU_ALONE.value:
        return cpu(*arguments)
    return lax.platform_dependent(*arguments, cpu=cpu, default=default)
