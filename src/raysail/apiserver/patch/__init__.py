"""Patches as pure functions: `(current, patch) -> new object`, with kube-apiserver's behaviour and refusals.

None of them changes `current` or `patch`; what a patch does not touch is shared with `current`, so copy before changing a result in place.
Server-side apply is `apiserver.apply`.
"""

from raysail.apiserver.patch.faults import unreadable
from raysail.apiserver.patch.json_patch import apply_json_patch, json_patch_unknown_fields
from raysail.apiserver.patch.merge_patch import apply_merge_patch
from raysail.apiserver.patch.strategic import apply_strategic_patch

__all__ = ["apply_json_patch", "apply_merge_patch", "apply_strategic_patch", "json_patch_unknown_fields", "unreadable"]
