"""Blocks prepare, per account and as-of date, the columns that features are expressions over.

Each block reads one raw table, honours ``known before as_of`` row by row, and leaves relations to join with
``panel_rows`` by ``account_key``, which is quicker than an id of text, and ``as_of``. Sums run over integers and
decimals only: floating-point sums depend on the order of rows, and the same snapshot must come out bit-identical.
"""

from churnrisk.features.blocks.attributes import attributes_block
from churnrisk.features.blocks.block import Block
from churnrisk.features.blocks.complaints import complaints_block
from churnrisk.features.blocks.events import events_block
from churnrisk.features.blocks.subscriptions import subscriptions_block
from churnrisk.features.blocks.surveys import surveys_block

__all__ = [
    "Block",
    "attributes_block",
    "complaints_block",
    "events_block",
    "subscriptions_block",
    "surveys_block",
]
