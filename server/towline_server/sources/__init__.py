"""Sources of files that are no Git repositories: each becomes commits in a repository here."""
