"""The control plane: projects in a database, pulled by durable runs, served over HTTP."""
