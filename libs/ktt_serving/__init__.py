"""The code that runs inside an exported bundle.

A bundle holds this package, the part of ``ktt_core`` that needs numpy alone, and one model's
``bentoml`` folder. A model's BentoService is based on `service`:

- `adapters` and `reading`: requests in, answers out, independently of others in the batch;
- `artifact`, `scores` and `scoring`: the model's files, and scorers that read them;
- `monitor` and `rows`: rows for the monitoring service, in the background;
- `metrics`, `server`, `privacy`: additions to BentoML's server, and removals from it;
- `bentoml_patches`: the changes to BentoML itself, each with its reason.

All of it runs without torch. `ktt_packing` makes bundles.
"""

from ktt_serving.bentoml_patches.imports import install

# Before anything here imports BentoML.
install()
