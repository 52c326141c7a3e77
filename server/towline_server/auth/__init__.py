"""Identities, how they prove themselves, and what they may do."""
