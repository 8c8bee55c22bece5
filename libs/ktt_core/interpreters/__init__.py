"""The Python interpreters that KTT needs: found on this machine, or fetched with uv into the cache.

`search` finds them, `provision` fetches missing ones, `uv` installs the pinned uv from the package
index in pip's settings (`pip_configuration`, `package_index`).

``./pants`` runs this package before anything else is installed, with any ``python3`` of a machine:
it keeps to the standard library of CPython 3.9 and later, and needs neither pip nor venv.
"""
