# The backend and its workers. CPU by default; for NVIDIA GPUs (the wheels of PyPI bring their CUDA libraries):
#   docker build --build-arg TORCH_INDEX=https://pypi.org/simple -t clickmask:cuda .
# The machine then needs only the driver and the container toolkit.
FROM python:3.11-slim-bookworm

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

RUN useradd --create-home --uid 10001 clickmask \
    && install -d -o clickmask -g clickmask /data
WORKDIR /app

# PyTorch is large and changes rarely: a layer of its own.
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" torch==2.13.0

COPY pyproject.toml README.md ./
COPY backend backend
COPY fine_tune fine_tune
COPY model model
RUN pip install --no-cache-dir . 's3fs>=2024.6'

# By number: Kubernetes checks that it is not root without knowing names.
USER 10001
ENV CLICKMASK_HOME=/data \
    CLICKMASK_HOST=0.0.0.0 \
    PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 9090
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9090/health', timeout=2)"]
ENTRYPOINT ["clickmask"]
CMD ["serve"]
