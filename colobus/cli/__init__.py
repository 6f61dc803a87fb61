"""The ``colobus`` command: a thin face on `colobus.Client`."""
