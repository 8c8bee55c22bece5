"""What runs inside an exported bundle.

A bundle holds this package, the part of ``ktt_core`` that needs numpy alone, and one model's
``bentoml`` folder. `service` is what a model's BentoService builds on:

- `adapters` and `reading`: requests in, answers out, each on its own in a batch of strangers;
- `artifact`, `scores` and `scoring`: the model's files, and what answers texts from them;
- `monitor` and `rows`: rows for the monitoring service, in the background;
- `metrics`, `server`, `privacy`: what is added to BentoML's own server, and what is taken from it;
- `bentoml_patches`: what is changed in BentoML itself for that, each with its reason.

All of it runs without torch. `ktt_packing` makes bundles.
"""

from ktt_serving.bentoml_patches.imports import install

# Before anything here imports BentoML.
install()
