"""`ray job submit … -- python jobs/run.py --config FILE`: the whole loop, or up to a step."""

import sys

from lmtx_ray.cli.jobs import run_job

if __name__ == "__main__":
    sys.exit(run_job(None))
