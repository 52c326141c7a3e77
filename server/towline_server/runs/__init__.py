"""Runs: pulls of the control plane, from their request to their end, whatever executes them."""
