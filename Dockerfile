# The backend and its workers, for x86-64. On CPU by default; for NVIDIA GPUs (driver R580 or newer, and the container
# toolkit):
#   docker build --build-arg TORCH=cuda --build-arg TORCH_INDEX= -t clickmask:cuda .
# Podman leaves HEALTHCHECK out unless it is told `podman build --format docker`.
FROM python:3.11.14-slim-bookworm

# cpu or cuda: which of the two lists in deploy/ is installed, and where the CPU build of PyTorch lies besides.
ARG TORCH=cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

# Redis for `clickmask up`, tini to pass signals on and to reap what jobs leave behind. Not pinned: Debian keeps only the
# newest build of a release, which differs from earlier ones by security fixes alone.
# The group is root's, and may write: OpenShift and `--user` bring users without a name, who are in that group.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends redis-server tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/* \
    && useradd --uid 10001 --gid 0 --no-create-home --home-dir /tmp clickmask \
    && install -d -o clickmask -g root -m 2775 /data
WORKDIR /app

# Everything but clickmask itself, by version and hash (`make lock` renews the lists): a layer that no change of the code
# touches. What is taken out again: the tests of libraries, headers, plugins for Intel's GPUs and NPUs, which need drivers,
# and what zstandard has for interpreters other than CPython.
COPY deploy/${TORCH}.lock requirements.lock
RUN pip install --no-cache-dir --no-deps --require-hashes ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
        --requirement requirements.lock \
    && site="$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    && find "$site/torch/bin" -type f ! -name torch_shm_manager -delete \
    && rm -rf "$site/torch/test" "$site/torch/include" "$site/openvino/include" "$site/openvino/libs/cache.json" \
        "$site"/openvino/libs/libopenvino_intel_[gn]pu_plugin.so "$site"/zstandard/_cffi.*.so \
    && find "$site/matplotlib" "$site/mpmath" "$site/networkx" "$site/numpy" "$site/scipy" "$site/sympy" \
        -type d -name tests -prune -exec rm -rf {} +

RUN --mount=type=bind,target=/src,rw pip install --no-cache-dir --no-deps --no-build-isolation /src

# By number: Kubernetes checks that it is not root without knowing names.
USER 10001
ENV CLICKMASK_HOME=/data \
    CLICKMASK_HOST=0.0.0.0 \
    HOME=/tmp \
    PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 9090
# The web server's; a worker is asked with `clickmask health worker`.
HEALTHCHECK --interval=10s --timeout=15s --start-period=120s CMD ["clickmask", "health"]
ENTRYPOINT ["tini", "--", "clickmask"]
CMD ["serve"]
