"""``python -m churnrisk``."""

from churnrisk.cli.app import main

main()
