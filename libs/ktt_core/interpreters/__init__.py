"""The Pythons that KTT needs: found on this machine, or fetched with uv into the user's cache.

`search` finds them, `provision` fetches what is missing, `uv` installs the pinned uv from the
package index that pip's settings name (`pip_configuration`, `package_index`).

``./pants`` runs this package before there is anything else, with whatever ``python3`` a machine
has: it keeps to the standard library of CPython 3.9 and later, and needs neither pip nor venv.
"""
