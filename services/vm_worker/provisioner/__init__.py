"""Ordered, idempotent calls: each module makes and unmakes one of the things that a VM is made of.

All of them look before they make when the command may have been begun before; what they find of
this resource they adopt. All of them unmake by id or, when the id was never learnt, by our marks.
"""
