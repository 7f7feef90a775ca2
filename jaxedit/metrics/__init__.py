"""Metrics: `create(names, weights_dir)`, measured per sample, streamed, merged over processes."""

from jaxedit.metrics.base import Accumulator, Metric, select
from jaxedit.metrics.processes import gather
from jaxedit.metrics.registry import NAMES, create

__all__ = ["NAMES", "Accumulator", "Metric", "create", "gather", "select"]
