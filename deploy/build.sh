#!/usr/bin/env bash
# Builds the images of a release and pushes them: for two platforms, on base images pinned by digest, with an SBOM and provenance.
#
#     deploy/build.sh REGISTRY VERSION [OPTION OF docker buildx build…]
#     deploy/build.sh registry.example.com/orders 1.2.0 --cache-to type=registry,mode=max,ref=registry.example.com/orders/cache
#
# Prints the digest of each image, for `kustomize edit set image`. PLATFORMS replaces linux/amd64,linux/arm64. A platform that is not
# the machine's own is emulated, which takes hours: give the builder a node of each (`docker buildx create --append`).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ $# -lt 2 ]; then
    sed -n 's/^#     //p' "${BASH_SOURCE[0]}" >&2
    exit 64
fi
registry="$1" version="$2"
shift 2
if [ -n "$(git status --porcelain)" ]; then
    echo "the checkout has changes that the revision does not name" >&2
    exit 1
fi
revision="$(git rev-parse HEAD)"
metadata="$(mktemp)"
trap 'rm -f "$metadata"' EXIT

# The default of a build argument of the Dockerfile, with other arguments in it replaced.
argument() {
    local value
    value="$(sed -n "s/^ARG $1=//p" deploy/Dockerfile)"
    echo "${value/\$\{RUST_VERSION\}/$(sed -n 's/^ARG RUST_VERSION=//p' deploy/Dockerfile)}"
}

# An image with the digest that its tag has now.
pinned() {
    echo "$1@$(docker buildx imagetools inspect "$1" --format '{{.Manifest.Digest}}')"
}

builder="$(pinned "$(argument BUILDER)")"
runtime="$(pinned "$(argument RUNTIME)")"
echo "base images: $builder $runtime"
for image in order-service processing-service orders-load; do
    docker buildx build --file deploy/Dockerfile --target "$image" \
        --platform "${PLATFORMS:-linux/amd64,linux/arm64}" \
        --build-arg BUILDER="$builder" --build-arg RUNTIME="$runtime" \
        --build-arg VERSION="$version" --build-arg REVISION="$revision" \
        --build-arg RELEASE="$version+${revision:0:12}" \
        --provenance=mode=max --sbom=true \
        --tag "$registry/$image:$version" --metadata-file "$metadata" --push "$@" .
    digest="$(sed -n 's/.*"containerimage.digest": "\(sha256:[0-9a-f]*\)".*/\1/p' "$metadata")"
    echo "$image=$registry/$image@$digest"
done
