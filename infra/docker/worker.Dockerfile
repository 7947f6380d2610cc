# foldcam itself, for workers and for its command:  docker build --file infra/docker/worker.Dockerfile --target cpu .
# Target gpu holds CUDA's libraries as Python packages: the machine needs the driver and NVIDIA's container toolkit.
FROM python:3.11.14-slim-bookworm AS python
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PATH=/opt/foldcam/bin:$PATH
RUN useradd --uid 10001 --user-group --create-home --shell /usr/sbin/nologin foldcam \
 && install --directory --owner=foldcam --group=foldcam /var/cache/foldcam

FROM python AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/foldcam && python -m venv /opt/build
COPY infra/docker/build.lock /tmp/build.lock
RUN /opt/build/bin/pip install --require-hashes --no-deps --only-binary=:all: -r /tmp/build.lock
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY flows flows
COPY tasks tasks
COPY infra/prefect.yaml infra/prefect.yaml
COPY infra/notices infra/notices
RUN /opt/build/bin/hatchling build --target wheel --directory /dist

FROM build AS build-cpu
COPY infra/docker/worker-cpu.lock /tmp/packages.lock
RUN /opt/foldcam/bin/pip install --require-hashes --no-deps -r /tmp/packages.lock \
 && /opt/foldcam/bin/pip install --no-deps --no-index /dist/*.whl \
 && /opt/foldcam/bin/python -m compileall -q /opt/foldcam/lib

FROM build AS build-gpu
COPY infra/docker/worker-gpu.lock /tmp/packages.lock
RUN /opt/foldcam/bin/pip install --require-hashes --no-deps -r /tmp/packages.lock \
 && /opt/foldcam/bin/pip install --no-deps --no-index /dist/*.whl \
 && /opt/foldcam/bin/python -m compileall -q /opt/foldcam/lib

FROM python AS ready
COPY --chmod=0555 infra/docker/guard.sh /usr/local/bin/guard
COPY --chmod=0555 infra/docker/worker-account.sh /usr/local/bin/worker-account
ENV FOLDCAM_HOME=/var/cache/foldcam PREFECT_HOME=/var/cache/foldcam/prefect KERAS_HOME=/var/cache/foldcam/keras \
    MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true PREFECT_SERVER_ANALYTICS_ENABLED=false
USER 10001:10001
WORKDIR /tmp
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=5 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8081/health', timeout=5)"]
ENTRYPOINT ["guard", "MLFLOW_TRACKING_PASSWORD", "PREFECT_API_AUTH_STRING", "--"]
CMD ["foldcam", "--help"]

FROM ready AS gpu
COPY --from=build-gpu /opt/foldcam /opt/foldcam
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM ready AS cpu
COPY --from=build-cpu /opt/foldcam /opt/foldcam
