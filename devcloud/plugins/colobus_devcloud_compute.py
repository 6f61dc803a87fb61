"""Runs nova-compute with our hypervisor driver.

Nova imports drivers from its own package `nova.virt` only. Instead of writing into the installed
package, this adds our folder to where that package looks.
"""

from pathlib import Path

import nova.virt
from nova.cmd import compute  # first of all: it prepares threading before anything else is imported

if __name__ == "__main__":
    nova.virt.__path__.append(str(Path(__file__).parent))
    compute.main()
