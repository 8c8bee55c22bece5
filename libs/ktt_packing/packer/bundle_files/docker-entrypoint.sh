#!/bin/sh
# Starts what follows. Two processes answer unless BENTOML_GUNICORN_WORKERS says how many: BentoML itself would start one.
set -eu
export BENTOML_GUNICORN_WORKERS="${BENTOML_GUNICORN_WORKERS:-2}"
exec "$@"
