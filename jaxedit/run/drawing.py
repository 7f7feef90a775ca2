"""A state before its first step, drawn parameter by parameter instead of by one program.

Compiled whole, hundreds of random draws take a CPU longer than minutes of training. Most of them
are alike, as most layers of a network are: here each kind is compiled once, in the process and in
the persistent cache, whatever network asks for it. What is done between draws that need it is one
program each time: in most networks, one in all.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
from jax.interpreters import partial_eval

# Each program runs a few times: optimising it takes longer than anything that it saves.
_OPTIONS = {"xla_backend_optimization_level": 0}


def drawn(function: Callable[..., Any], *args: Any) -> Any:
    """Returns `function(*args)`, without what its result does not need.

    What initialising a network computes beside its parameters, its first outputs, is not computed.
    As of a program, every array of the result has memory of its own, apart from `args` too.

    Args:
      function: as `jax.jit` takes it.
      args: pytrees of arrays.
    """
    traced, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
    jaxpr, _ = partial_eval.dce_jaxpr(
        traced.jaxpr, [True] * len(traced.jaxpr.outvars), instantiate=True
    )
    values = dict(zip(jaxpr.constvars, traced.consts, strict=True))
    values |= zip(jaxpr.invars, jax.tree.leaves(args), strict=True)
    read = lambda atom: atom.val if isinstance(atom, jex.Literal) else values[atom]
    reads = collections.Counter(_variables(jaxpr.outvars))
    for equation in jaxpr.eqns:
        reads.update(_variables(equation.invars))
    between: list[Any] = []  # equations whose turn has not come yet
    for equation in jaxpr.eqns:
        if not _is_drawing(equation):
            between.append(equation)
            continue
        given = _variables(equation.invars)
        if any(one not in values for one in given):
            values |= _together(jaxpr, between, values, reads)
            between = []
        inner = equation.params.get("jaxpr")
        if equation.primitive.name == "jit" and len(given) == len(equation.invars):
            outputs = _program(inner)(*map(read, given))
            values |= zip(equation.outvars, outputs, strict=True)
        else:
            values |= _together(jaxpr, [equation], values, reads)
    values |= _together(jaxpr, between, values, reads)
    leaves, shared = [], {id(one) for one in (*jax.tree.leaves(args), *traced.consts)}
    for atom in jaxpr.outvars:
        value = read(atom)
        own = isinstance(value, jax.Array) and id(value) not in shared
        leaves.append(value if own else _copied(value, atom.aval.dtype))
        shared.add(id(value))
    return jax.tree.unflatten(jax.tree.structure(shapes), leaves)


def _is_drawing(equation: Any) -> bool:
    """Whether many others are alike: a function, as samplers are, or what makes their keys."""
    name = equation.primitive.name
    return name == "jit" or name.startswith(("random_", "threefry"))


def _together(
    jaxpr: jex.Jaxpr, equations: list[Any], values: Mapping[Any, Any],
    reads: Mapping[Any, int],
) -> dict[Any, jax.Array]:
    """Returns what `equations` make that is read outside of them, computed by one program.

    Args:
      jaxpr: of which they are.
      equations: some of it, in order.
      values: variable -> what was computed before.
      reads: variable -> how often it is read in all.
    """
    if not equations:
        return {}
    made = dict.fromkeys(one for equation in equations for one in equation.outvars)
    inside = collections.Counter(
        one for equation in equations for one in _variables(equation.invars)
    )
    given = [one for one in inside if one not in made]
    wanted = [one for one in made if reads[one] > inside[one]]
    alone = jex.ClosedJaxpr(jaxpr.replace(
        constvars=[], invars=given, outvars=wanted, eqns=equations,
        debug_info=jaxpr.debug_info.with_unknown_names(),
    ), [])
    run = jex.jaxpr_as_fun(alone)
    if len(equations) > 1:
        run = jax.jit(run, compiler_options=_OPTIONS)
    return dict(zip(wanted, run(*(values[one] for one in given)), strict=True))


def _copied(value: Any, dtype: Any) -> jax.Array:
    """Returns an array of its own; in NumPy, as JAX would compile a program for every shape."""
    if jax.dtypes.issubdtype(dtype, jax.dtypes.extended):
        return jnp.array(value, dtype)
    return jax.device_put(np.array(value, dtype))


def _variables(atoms: Iterable[Any]) -> list[Any]:
    return [atom for atom in atoms if not isinstance(atom, jex.Literal)]


@functools.lru_cache(maxsize=1024)
def _program(inner: jex.ClosedJaxpr) -> Callable[..., list[jax.Array]]:
    """Returns the program of a function that was traced; functions traced once have one here."""
    return jax.jit(jex.jaxpr_as_fun(inner), compiler_options=_OPTIONS)
