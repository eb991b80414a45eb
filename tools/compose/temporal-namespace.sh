#!/bin/sh
# Creates the namespace, once. TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE come from the environment.
set -eu
until temporal operator cluster health; do sleep 1; done
temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" ||
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention 30d
