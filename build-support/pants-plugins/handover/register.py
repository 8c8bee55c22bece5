"""The goal `hand-over`: prepares what `run` runs, and leaves the running to somebody else.

Pants' own `run` keeps the daemon, and with it every other command of the checkout, until the
program ends. `./pants run` asks for this goal in its place, and becomes the program itself
(`build-support/start_pants.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from pants.base.build_environment import get_buildroot
from pants.core.goals.run import (
    RestartableField,
    RunFieldSet,
    RunRequest,
    RunSubsystem,
    _find_what_to_run,
)
from pants.engine.fs import CreateDigest, Digest, DigestEntries, FileEntry, Workspace
from pants.engine.goal import Goal, GoalSubsystem
from pants.engine.rules import Get, collect_rules, goal_rule
from pants.option.global_options import GlobalOptions
from pants.option.option_types import StrOption

__all__ = ["rules"]

# A program brings its requirements, hundreds of megabytes, which all runs share: files of at least
# so many bytes are written once, and are in each run's folder by another name.
_SHARED_BYTES = 1 << 20
_SHARED = "shared"


class HandOverSubsystem(GoalSubsystem):
    name = "hand-over"
    help = "Prepare a target for `./pants run`, which runs it when Pants has ended."

    into = StrOption(
        default="",
        help="The folder, below the root of the repository, that gets the program and plan.json.",
    )


class HandOver(Goal):
    subsystem_cls = HandOverSubsystem
    environment_behavior = Goal.EnvironmentBehavior.LOCAL_ONLY


@goal_rule
async def hand_over(
    options: HandOverSubsystem,
    run_options: RunSubsystem,
    global_options: GlobalOptions,
    workspace: Workspace,
) -> HandOver:
    field_set, target = await _find_what_to_run("the `run` goal")
    folder = Path(get_buildroot(), options.into)
    if target.get(RestartableField).value or run_options.debug_adapter:
        # What watches the program while it runs is Pants' own `run`.
        write_plan(folder, None)
        return HandOver(0)
    request = await Get(RunRequest, RunFieldSet, field_set)
    chroot = folder / "chroot"
    chroot.mkdir()
    entries = list(await Get(DigestEntries, Digest, request.digest))
    for place, digest in (request.immutable_input_digests or {}).items():
        entries += [
            replace(entry, path=os.path.join(place, entry.path))
            for entry in await Get(DigestEntries, Digest, digest)
        ]
    large = [
        entry
        for entry in entries
        if isinstance(entry, FileEntry)
        and entry.file_digest.serialized_bytes_length >= _SHARED_BYTES
    ]
    pool = folder.parent / _SHARED
    pool.mkdir(exist_ok=True)
    missing = {
        name: entry for entry in large if not (pool / (name := shared_name(entry))).is_file()
    }
    small = await Get(Digest, CreateDigest([entry for entry in entries if entry not in large]))
    new = await Get(
        Digest, CreateDigest([replace(entry, path=name) for name, entry in missing.items()])
    )
    into = PurePath(options.into)
    workspace.write_digest(small, path_prefix=str(into / "chroot"), side_effecting=False)
    workspace.write_digest(new, path_prefix=str(into / "new"), side_effecting=False)
    for name in missing:
        # Whole, or not at all; somebody else may have been quicker.
        with contextlib.suppress(FileExistsError):
            os.link(folder / "new" / name, pool / name)
    for entry in large:
        file = chroot / entry.path
        file.parent.mkdir(parents=True, exist_ok=True)
        os.utime(pool / shared_name(entry))
        os.link(pool / shared_name(entry), file)
    shutil.rmtree(folder / "new", ignore_errors=True)
    caches = Path(global_options.named_caches_dir)
    for name, path in (request.append_only_caches or {}).items():
        link = chroot / path
        link.parent.mkdir(parents=True, exist_ok=True)
        (caches / name).mkdir(parents=True, exist_ok=True)
        link.symlink_to(caches / name)

    def placed(text: str) -> str:
        return text.replace("{chroot}", str(chroot))

    command = [placed(argument) for argument in (*request.args, *run_options.args)]
    variables = {name: placed(value) for name, value in request.extra_env.items()}
    write_plan(folder, {"command": command, "environment": variables})
    return HandOver(0)


def shared_name(entry: FileEntry) -> str:
    """Return the name of a file that runs share: what it holds, and whether it can be run."""
    return f"{entry.file_digest.fingerprint}{'-x' if entry.is_executable else ''}"


def write_plan(folder: Path, plan: dict[str, Any] | None) -> None:
    """Write what is to be run; null where only Pants itself can."""
    (folder / "plan.json").write_text(json.dumps(plan))


def rules() -> list[Any]:
    """Return the goal."""
    return list(collect_rules())
