"""Metrics: `create(wanted, keys)`, measured per sample, streamed, merged over processes."""

from jaxedit.metrics.base import Accumulator, Keys, Metric, select
from jaxedit.metrics.processes import gather
from jaxedit.metrics.registry import NAMES, create

__all__ = ["NAMES", "Accumulator", "Keys", "Metric", "create", "gather", "select"]
