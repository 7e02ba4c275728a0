"""`ray job submit … -- python jobs/judge.py --config FILE`: the loop up to judge."""

import sys

from lmtx_ray.cli.jobs import run_job

if __name__ == "__main__":
    sys.exit(run_job("judge"))
