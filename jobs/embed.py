"""`ray job submit … -- python jobs/embed.py --config FILE`: the loop up to embed."""

import sys

from lmtx_ray.cli.jobs import run_job

if __name__ == "__main__":
    sys.exit(run_job("embed"))
