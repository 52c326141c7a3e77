"""Runs that Temporal has executed: a workflow a run, an activity a step."""
