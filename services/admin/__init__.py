"""The admin step: everything that is declared before services run, and who may do what.

``python -m services.admin install`` is idempotent; services only check what it has made.
"""
