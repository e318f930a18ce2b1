"""The daily roll-up of the events, kept between runs.

Each day is a Parquet file with a row per account, person and, where rows say so, day of recording; days of the past
are also added up in blocks. Unchanged files of raw events are not read again: what they were is known by their size
and times, else by their digest, and what changed in them by the number and hash of each day's rows. Everything is
sums, ORs and extremes of whole days, so that the features come out as from raw rows, to the bit.
"""

from churnrisk.features.blocks.kept.events import create_from_kept

__all__ = ["create_from_kept"]
