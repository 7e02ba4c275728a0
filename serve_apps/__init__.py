"""The Ray Serve application: engines that encode, shards of the index, an ingress."""

import os

# Ray, which reads this as it is imported, gives up on a dashboard that takes a minute to start
os.environ.setdefault("RAY_DASHBOARD_STARTUP_TIMEOUT_S", "240")
