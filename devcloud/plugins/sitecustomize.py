"""How the cloud's Pythons are set, before anything else is imported (docs.python.org, `site`).

It changes nothing of what OpenStack does, only how long it takes.
"""

import functools
import hashlib

# Ironic hashes a board's password each time before it talks to it, which takes longer than to talk:
# half a processor for three nodes.
_hashed = functools.lru_cache(maxsize=256)(hashlib.pbkdf2_hmac)


def _plain(buffer):
    return memoryview(buffer).tobytes()


def _pbkdf2_hmac(hash_name, password, salt, iterations, dklen=None):
    return _hashed(hash_name, _plain(password), _plain(salt), iterations, dklen)


hashlib.pbkdf2_hmac = _pbkdf2_hmac
