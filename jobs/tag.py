"""`ray job submit … -- python jobs/tag.py …`: `lmtx tag` as a job, with its options."""

import sys

from lmtx_ray.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["tag", *sys.argv[1:]]))
