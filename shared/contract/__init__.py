"""What the parts promise to each other and to the outside: messages, resources, topology, codec.

Everything here is data and pure functions. The JSON Schema, OpenAPI and AsyncAPI documents
are generated from these types, and golden files in ``tests/contract`` pin their form on the wire.
"""
