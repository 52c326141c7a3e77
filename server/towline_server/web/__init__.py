"""The HTTP layer of all dialects: authentication, limits, idempotency, middleware, OpenAPI."""
