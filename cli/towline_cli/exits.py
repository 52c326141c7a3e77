"""The exit codes of the command; they are part of its interface."""

OK = 0
FAILURE = 1
USAGE = 2
CONFLICTS = 3
AUTHENTICATION = 4
INTERRUPTED = 130
