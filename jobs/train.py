"""`ray job submit … -- python jobs/train.py --config FILE`: the loop up to train."""

import sys

from lmtx_ray.cli.jobs import run_job

if __name__ == "__main__":
    sys.exit(run_job("train"))
