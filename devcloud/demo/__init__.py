"""`make demo`: everything comes up, then a VM, its webhooks, a volume and a machine are shown."""
