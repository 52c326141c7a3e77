"""Where theirs comes from: Git repositories over every transport, and a fake in memory.

Nothing is imported before it is used: finding that nothing changed needs neither pygit2 nor
dulwich where a git executable is at hand.
"""
