"""`ray job submit … -- python jobs/shortlist.py --config FILE`: the loop up to shortlist."""

import sys

from lmtx_ray.cli.jobs import run_job

if __name__ == "__main__":
    sys.exit(run_job("shortlist"))
