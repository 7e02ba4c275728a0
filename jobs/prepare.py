"""`ray job submit … -- python jobs/prepare.py --config FILE`: the loop up to prepare."""

import sys

from lmtx_ray.cli.jobs import run_job

if __name__ == "__main__":
    sys.exit(run_job("prepare"))
