"""Signed webhooks: status messages in, deliveries stored, POSTs to the subscribers out."""
