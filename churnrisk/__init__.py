"""churnrisk: raw customer tables in, a red list with reasons and next steps out."""

__version__ = "0.1.0"
