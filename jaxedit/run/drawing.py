"""A state before its first step, drawn parameter by parameter instead of by one program.

Compiled whole, hundreds of random draws take a CPU longer than minutes of training. Most of them
are alike, as most layers of a network are: here each kind is compiled once, in the process and in
the persistent cache, whatever network asks for it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.extend.core as jex
import jax.numpy as jnp
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
    wanted = set(_variables(jaxpr.outvars))
    for equation in jaxpr.eqns:
        wanted |= set(_variables(equation.invars))
    read = lambda atom: atom.val if isinstance(atom, jex.Literal) else values[atom]
    for equation in jaxpr.eqns:
        given = _variables(equation.invars)
        inner = equation.params.get("jaxpr")
        if equation.primitive.name == "jit" and len(given) == len(equation.invars):
            made, outputs = equation.outvars, _program(inner)(*map(read, given))
        else:
            made = [one for one in equation.outvars if one in wanted]
            alone = jaxpr.replace(constvars=[], invars=given, outvars=made, eqns=[equation],
                                  debug_info=jaxpr.debug_info.with_unknown_names())
            outputs = jex.jaxpr_as_fun(jex.ClosedJaxpr(alone, []))(*map(read, given))
        values |= zip(made, outputs, strict=True)
    leaves, shared = [], {id(one) for one in (*jax.tree.leaves(args), *traced.consts)}
    for atom in jaxpr.outvars:
        value = read(atom)
        own = isinstance(value, jax.Array) and id(value) not in shared
        leaves.append(value if own else jnp.array(value, atom.aval.dtype))
        shared.add(id(value))
    return jax.tree.unflatten(jax.tree.structure(shapes), leaves)


def _variables(atoms: Iterable[Any]) -> list[Any]:
    return [atom for atom in atoms if not isinstance(atom, jex.Literal)]


@functools.lru_cache(maxsize=1024)
def _program(inner: jex.ClosedJaxpr) -> Callable[..., list[jax.Array]]:
    """Returns the program of a function that was traced; functions traced once have one here."""
    return jax.jit(jex.jaxpr_as_fun(inner), compiler_options=_OPTIONS)
