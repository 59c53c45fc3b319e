"""From market bars to trusted scores; this face of the package loads its parts on first use."""

__version__ = "0.1.0"
