"""The tools themselves: buf lints, formats and compares contracts, protoc makes code of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

__all__ = ["ToolError", "buf", "contracts", "describe", "generate"]


class ToolError(Exception):
    """A tool refused the contracts; the message is what it said."""


def contracts(folder: Path) -> list[str]:
    """Return the contracts below a folder, by path relative to it, in order.

    Parameters
    ----------
    folder
        The root of the contracts: what their ``import`` statements start from.
    """
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob("ktt/**/*.proto"))


def buf(folder: Path, *arguments: str) -> str:
    """Run buf in a folder and return what it prints.

    Raises
    ------
    ToolError
        If buf is not there, or has an objection.
    """
    scripts = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    program = shutil.which("buf", path=scripts)
    if program is None:
        raise ToolError("found no buf: run this as `./pants run build-support/protos:generate`")
    # It keeps a cache, for modules from elsewhere, of which there are none.
    environment = {**os.environ, "BUF_CACHE_DIR": str(folder / ".buf-cache")}
    process = subprocess.run(
        [program, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    shutil.rmtree(folder / ".buf-cache", ignore_errors=True)
    if process.returncode:
        raise ToolError((process.stdout + process.stderr).strip())
    return process.stdout


def generate(folder: Path, output: Path) -> None:
    """Write the Python code of all contracts, with its type stubs.

    Parameters
    ----------
    folder
        The root of the contracts.
    output
        Where the code goes, in the folders of the contracts; it must exist.

    Raises
    ------
    ToolError
        If a contract does not compile.
    """
    names = contracts(folder)
    compile_all(
        folder,
        names,
        f"--python_out={output}",
        f"--pyi_out={output}",
        f"--grpc_python_out={output}",
    )
    for name in names:
        # The plugin writes a module for each contract; one without a service is worth nothing.
        if "\nservice " not in (folder / name).read_text():
            (output / name.replace(".proto", "_pb2_grpc.py")).unlink()


def describe(folder: Path, output: Path) -> FileDescriptorSet:
    """Return the descriptors of all contracts, with their comments.

    Parameters
    ----------
    folder
        The root of the contracts.
    output
        A folder for the file they are handed over in.

    Raises
    ------
    ToolError
        If a contract does not compile.
    """
    file = output / "described.binpb"
    compile_all(folder, contracts(folder), "--include_source_info", f"--descriptor_set_out={file}")
    return FileDescriptorSet.FromString(file.read_bytes())


def compile_all(folder: Path, names: Sequence[str], *outputs: str) -> None:
    """Run protoc over contracts."""
    wellknown = resources.files("grpc_tools") / "_proto"
    status = protoc.main(["protoc", f"-I{folder}", f"-I{wellknown}", *outputs, *names])
    if status:
        raise ToolError(f"protoc refused the contracts in {folder}; what it says is above")
