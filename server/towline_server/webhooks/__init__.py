"""Outbound webhooks, by the Standard Webhooks scheme."""
