"""Packing of bundles: folders that serve a model without an installation of KTT.

The service in a bundle is BentoML's, which needs an older Python than KTT. So a *packer* makes it,
a separate program: `environment` and `discovery` provide it, `staging` copies the sources that go
into the bundle, and `bundle` does all of it in one call.

Nothing here imports the code of bundles: for this Python its files are data.
"""
