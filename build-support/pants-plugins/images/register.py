"""The Docker backend for machines with and without an engine.

Pants' own backend fails where no engine answers. Here `package` skips the images then and says so,
so that `package ::` makes the rest; with KTT_REQUIRE_DOCKER=1 in the environment it fails, with the
reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pants.backend.docker.goals.package_image import DockerPackageFieldSet
from pants.backend.docker.register import rules as docker_rules
from pants.backend.docker.register import target_types
from pants.backend.docker.subsystems.docker_options import DockerOptions
from pants.core.goals.package import BuiltPackage, BuiltPackageArtifact, PackageFieldSet
from pants.core.util_rules.system_binaries import BinaryPathRequest, BinaryPaths
from pants.engine.env_vars import EnvironmentVars, EnvironmentVarsRequest
from pants.engine.fs import EMPTY_DIGEST
from pants.engine.process import FallibleProcessResult, Process, ProcessCacheScope
from pants.engine.rules import Get, collect_rules, rule
from pants.engine.unions import UnionRule
from pants.util.logging import LogLevel

__all__ = ["rules", "target_types"]

_REQUIRE = "KTT_REQUIRE_DOCKER"


class NoEngineError(Exception):
    """An image was asked for, and must not be skipped, where no engine answers."""


@dataclass(frozen=True)
class Engine:
    """Whether there is a Docker engine, and if not, what is missing."""

    missing: str


@dataclass(frozen=True)
class EngineRequest:
    """Asks for the engine."""


@rule(desc="Look for a Docker engine", level=LogLevel.DEBUG)
async def find_engine(
    _: EngineRequest, options: DockerOptions, environment_aware: DockerOptions.EnvironmentAware
) -> Engine:
    search_path = environment_aware.executable_search_path
    clients = await Get(
        BinaryPaths, BinaryPathRequest(binary_name="docker", search_path=search_path)
    )
    if clients.first_path is None:
        return Engine("found no `docker` program")
    environment = await Get(
        EnvironmentVars, EnvironmentVarsRequest(["PATH", "HOME", *environment_aware.env_vars])
    )
    result = await Get(
        FallibleProcessResult,
        Process(
            [clients.first_path.path, "version", "--format={{.Server.Version}}"],
            env=environment,
            description="Ask the Docker engine for its version",
            level=LogLevel.DEBUG,
            # An engine may come and go while the Pants daemon stays.
            cache_scope=ProcessCacheScope.PER_SESSION,
        ),
    )
    return Engine("" if result.exit_code == 0 else "no Docker engine answers")


@dataclass(frozen=True)
class ImageFieldSet(DockerPackageFieldSet):
    """What `package` knows of an image; takes the place of the backend's own."""


@rule
async def build_image(field_set: ImageFieldSet) -> BuiltPackage:
    engine = await Get(Engine, EngineRequest())
    if not engine.missing:
        given = DockerPackageFieldSet(**vars(field_set))
        return await Get(BuiltPackage, DockerPackageFieldSet, given)
    environment = await Get(EnvironmentVars, EnvironmentVarsRequest([_REQUIRE]))
    if environment.get(_REQUIRE, "0") not in ("", "0"):
        raise NoEngineError(f"cannot make the image {field_set.address}: {engine.missing}")
    line = f"Skipped the image {field_set.address}: {engine.missing}"
    skipped = BuiltPackageArtifact(None, extra_log_lines=(f"{line} ({_REQUIRE}=1: an error)",))
    return BuiltPackage(EMPTY_DIGEST, (skipped,))


def rules() -> list[Any]:
    """Return the backend's rules, with the one above in the place of its own."""
    replaced = UnionRule(PackageFieldSet, DockerPackageFieldSet)
    return [
        *(given for given in docker_rules() if given != replaced),
        *collect_rules(),
        UnionRule(PackageFieldSet, ImageFieldSet),
    ]
