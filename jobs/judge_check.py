"""`ray job submit … -- python jobs/judge_check.py …`: `lmtx judge-check`, with its options."""

import sys

from lmtx_ray.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["judge-check", *sys.argv[1:]]))
