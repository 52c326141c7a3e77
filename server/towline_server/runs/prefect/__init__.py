"""Runs that Prefect has executed: a flow run a run, in a process of its own."""
