"""What a bundle's tags look like where nobody says, and bundles in which that is different."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmtx_ray.bundle.cache import DESCRIPTION
from lmtx_ray.bundle.remaking import description_of, dump, publish_changed, remade
from lmtx_ray.config.defaults import Defaults
from lmtx_ray.io.identity import fingerprint


def read_defaults(uri: str) -> Defaults:
    """Those of a published bundle, local or s3.

    Raises:
        PublishError: Not a published bundle.
    """
    return Defaults.of(description_of(uri))


def publish_with(
    uri: str, defaults: Defaults, why: Mapping[str, Any], output: str | None = None
) -> str:
    """Publish the bundle at `uri` with other defaults; returns where.

    The same defaults of the same bundle are the same new bundle, however often they are asked for;
    `why` is kept in its bundle.json as `chosen`.

    Args:
        output: Where to publish it; beside the bundle as `bundle-<id>` if None.

    Raises:
        PublishError: Not a published bundle, or `output` holds something else.
    """
    description = description_of(uri)
    base = description.get("base", description["bundle_id"])
    values = {"top_k": defaults.top_k, "min_probability": defaults.min_probability}
    new = remade(uri, fingerprint("defaults", base, values), output)
    own = {"bundle_id": new.fingerprint, "base": base, "defaults": values, "chosen": dict(why)}
    return publish_changed(uri, new, {DESCRIPTION: dump({**description, **own})})
