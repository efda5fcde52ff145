"""ketamap: what a drug does to a whole brain, region by region, by dose and duration."""

from importlib.metadata import version as _version

__version__ = _version("ketamap")
