"""The end of packing where BentoML is: the program that makes bundles, ``<packer> REQUEST.json``.

`pack` makes one, with `layout` for its folders, `sources` for the code in it, and `import_wheel`
for the one package that no index has.
"""
