"""`python -m lmtx_ray.cli`: the same as `lmtx`."""

import sys

from lmtx_ray.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
