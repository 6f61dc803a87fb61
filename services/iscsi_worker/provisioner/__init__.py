"""Ordered, idempotent calls: each module makes and unmakes one of the things that a store has.

All of them look before they make, and what they find of this resource they complete. The store's
own unique names are the locks: an image's, a snapshot's, a target's.
"""
