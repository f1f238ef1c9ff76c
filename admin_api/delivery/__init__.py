"""How what is in the outbox reaches people: e-mail, and calls of their webhooks."""
