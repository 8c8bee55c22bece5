"""Finding, listing and loading the transformer encoders that models stand on."""
