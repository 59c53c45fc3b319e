"""Processors: transformations fitted on the fit range and applied everywhere, in the order of the config."""

from qts.processors.block import Block
from qts.processors.chain import FittedProcessor, apply_chain, check_processors, fit_chain
from qts.processors.table import PROCESSORS, Processor

__all__ = ["PROCESSORS", "Block", "FittedProcessor", "Processor", "apply_chain", "check_processors", "fit_chain"]
