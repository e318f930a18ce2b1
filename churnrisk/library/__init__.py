"""What ``import churnrisk`` offers to data scientists; docs/api.md shows it on one page."""
