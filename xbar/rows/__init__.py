"""From a network's graph to its dataflow: which rows of which results each layer and each join needs."""

from xbar.rows.walk import dataflow

__all__ = ["dataflow"]
