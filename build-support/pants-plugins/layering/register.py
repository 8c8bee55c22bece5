"""Make `lint` resolve every target's dependencies, so that a forbidden import fails there.

Pants checks `__dependencies_rules__` (and unowned imports) whenever it resolves dependencies, which
`test`, `check` and `package` do and the linters in use do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pants.core.goals.lint import LintResult, LintTargetsRequest
from pants.core.util_rules.partitions import PartitionerType
from pants.engine.addresses import Addresses
from pants.engine.rules import Get, MultiGet, collect_rules, rule
from pants.engine.target import Dependencies, DependenciesRequest, FieldSet
from pants.option.option_types import SkipOption
from pants.option.subsystem import Subsystem
from pants.util.logging import LogLevel


class Layering(Subsystem):
    options_scope = "layering"
    name = "layering"
    help = "Check that every dependency is allowed by the `__dependencies_rules__` of BUILD files."

    skip = SkipOption("lint")


@dataclass(frozen=True)
class LayeringFieldSet(FieldSet):
    required_fields = (Dependencies,)

    dependencies: Dependencies


class LayeringRequest(LintTargetsRequest):
    field_set_type = LayeringFieldSet
    tool_subsystem = Layering
    partitioner_type = PartitionerType.DEFAULT_SINGLE_PARTITION


@rule(desc="Check dependency rules", level=LogLevel.DEBUG)
async def check_layering(request: LayeringRequest.Batch[LayeringFieldSet, Any]) -> LintResult:
    # A forbidden dependency raises an error that names the rule and both targets.
    await MultiGet(
        Get(Addresses, DependenciesRequest(field_set.dependencies))
        for field_set in request.elements
    )
    return LintResult(
        exit_code=0,
        stdout=f"{len(request.elements)} targets depend only on what they may know.",
        stderr="",
        linter_name=request.tool_name,
        partition_description=None,
    )


def rules() -> list[Any]:
    return [*collect_rules(), *LayeringRequest.rules()]
