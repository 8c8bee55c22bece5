"""Packing of bundles: folders that serve a model without an installation of KTT.

The service in a bundle is BentoML's, whose packages are not KTT's. So a separate program makes it,
the *packer*, and this package has both ends:

- `client` runs where a model is: it stages the sources, writes the request, and finds the packer
  and runs it;
- `packer` is that program. It runs on BentoML's packages, and to the client's Python it is data;
- `contents` and `request` are what the two have in common: which of KTT's sources a bundle carries,
  and what the one asks of the other.
"""
