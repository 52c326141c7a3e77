"""Outbound webhooks: who is told of what, by the Standard Webhooks scheme, until it arrived."""
