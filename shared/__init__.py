"""What every service shares: the contract, the bus, storage, the runtime and the workers' shape.

Imports point one way: ``services.*`` use ``shared.*``, never the reverse, and inside
``shared`` the layers are ``worker`` → ``storage``, ``bus`` → ``runtime`` → ``contract``.
"""
