"""The one package of a bundle that is in no index: what lets BentoML be imported.

BentoML's own commands import it before they read a bundle. So what it takes for that
(`ktt_serving.bentoml_patches.imports`) is installed beside it: a wheel with that module, and a
``.pth`` file that calls it when Python starts.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

from ktt_serving.bentoml_patches import imports

__all__ = ["FOLDER", "write_import_wheel"]

#: The folder of wheels beside a file of requirements, where pip is told to look.
FOLDER = "wheels"
_NAME, _VERSION = "ktt_bentoml_imports", "1.0"
_TAG = "py3-none-any"


def write_import_wheel(folder: Path) -> str:
    """Write the wheel.

    Parameters
    ----------
    folder : Path
        Made if missing.

    Returns
    -------
    str
        The lines for a file of requirements in the folder above, pinned by hash. The same sources
        give the same wheel.
    """
    information = f"{_NAME}-{_VERSION}.dist-info"
    files = {
        f"{_NAME}.py": Path(imports.__file__).read_bytes(),
        f"{_NAME}.pth": f"import {_NAME}; {_NAME}.install()\n".encode(),
        f"{information}/METADATA": (
            f"Metadata-Version: 2.1\nName: {_NAME.replace('_', '-')}\nVersion: {_VERSION}\n"
            "Summary: Lets BentoML 0.13.1 be imported on CPython 3.11 and later\n"
        ).encode(),
        f"{information}/WHEEL": (
            f"Wheel-Version: 1.0\nGenerator: ktt\nRoot-Is-Purelib: true\nTag: {_TAG}\n"
        ).encode(),
    }
    record = f"{information}/RECORD"
    lines = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in files.items()]
    files[record] = "\n".join([*lines, f"{record},,", ""]).encode()
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{_NAME}-{_VERSION}-{_TAG}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            # With a fixed time, that of the first one that a zip file can hold.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return (
        f"# Lets BentoML be imported; of no index, but in {FOLDER}/ here.\n"
        f"--find-links {FOLDER}\n"
        f"{_NAME.replace('_', '-')}=={_VERSION} \\\n    --hash=sha256:{digest}\n"
    )


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
