"""The end of packing where a model is: `bundle` makes a bundle of its files in one call.

`staging` copies the sources that go into the bundle, `monitoring` writes what its monitor goes by,
`discovery` and `environment` provide the packer. Nothing here imports the code of bundles, nor what
packs them: for this Python their files are data.
"""
