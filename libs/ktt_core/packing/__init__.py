"""Making a bundle: a folder that serves a model with nothing of KTT around it.

The service in a bundle is BentoML's, which runs on an older Python than KTT. So a *packer* makes
it, a program of its own: `environment` and `discovery` say which, `staging` gives it the sources
that go into the bundle, and `bundle` is all of it in one call.

Nothing here imports what runs in a bundle: its sources are data to this Python.
"""
