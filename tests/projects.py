"""Settings of the projects that several tests make."""

#: Accounts and events; who is silent for 30 days has churned.
INACTIVITY = """
[tables.accounts]
path = "accounts.csv"
[tables.events]
path = "events.csv"
[churn]
definition = "inactivity"
horizon_days = 30
lookback_days = 30
"""
