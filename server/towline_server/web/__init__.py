"""What every route stands on: who is asking, how often, how much, and how a failure is told."""
