"""Changes to BentoML and its dependencies while a bundle is served.

`apply` lists every change: what it replaces, why, and for which version. The other modules
implement them.
"""
