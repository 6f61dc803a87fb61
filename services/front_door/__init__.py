"""The front door: authenticates, validates, accepts requests, serves the read model and streams."""
