"""``python -m churnrisk``."""

from churnrisk.cli import main

main()
