"""`ray job submit … -- python jobs/evaluate.py …`: `lmtx evaluate` as a job, with its options."""

import sys

from lmtx_ray.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
