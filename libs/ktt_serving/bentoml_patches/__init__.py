"""What is changed in BentoML, and in what it is built on, while a bundle is served.

`apply` lists every change: what it replaces, why, and the version it is made for. The other modules
make them.
"""
