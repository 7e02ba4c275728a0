"""What a warning does in a test: ours is an error, a library's is nothing."""

from __future__ import annotations

import warnings

import pytest

CATEGORIES = [DeprecationWarning, UserWarning, RuntimeWarning, ResourceWarning]


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("module", ["lmtx_ray.io.storage", "serve_apps.api", __name__])
def test_a_warning_that_our_code_causes_is_an_error(module: str, category: type[Warning]) -> None:
    with pytest.raises(category, match="careful"):
        warnings.warn_explicit("careful", category, "a.py", 1, module, registry={})


@pytest.mark.parametrize("module", ["torch.nn.functional", "lmtx_ray_of_others"])
def test_a_warning_from_within_a_library_is_none(module: str) -> None:
    warnings.warn_explicit("careful", UserWarning, "a.py", 1, module, registry={})
