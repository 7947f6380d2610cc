# MLflow's and Prefect's servers:  docker build --file infra/docker/servers.Dockerfile --target mlflow .
FROM python:3.11.14-slim-bookworm AS python
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PATH=/opt/foldcam/bin:$PATH HOME=/tmp
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin foldcam

FROM python AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/foldcam

FROM build AS build-mlflow
COPY infra/docker/mlflow.lock /tmp/packages.lock
RUN /opt/foldcam/bin/pip install --require-hashes --no-deps --only-binary=:all: -r /tmp/packages.lock \
 && /opt/foldcam/bin/python -m compileall -q /opt/foldcam/lib

FROM build AS build-prefect
COPY infra/docker/prefect.lock /tmp/packages.lock
RUN /opt/foldcam/bin/pip install --require-hashes --no-deps --only-binary=:all: -r /tmp/packages.lock \
 && /opt/foldcam/bin/python -m compileall -q /opt/foldcam/lib

FROM python AS mlflow
COPY --from=build-mlflow /opt/foldcam /opt/foldcam
COPY --chmod=0555 infra/docker/guard.sh /usr/local/bin/guard
COPY --chmod=0444 mlflow/basic_auth.ini /etc/foldcam/basic_auth.ini
ENV MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
    MLFLOW_AUTH_CONFIG_PATH=/etc/foldcam/basic_auth.ini
USER 10001:10001
WORKDIR /tmp
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --retries=12 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:5000/health', timeout=5)"]
ENTRYPOINT ["guard", "PGPASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY", "--"]
CMD ["mlflow", "server", "--app-name=basic-auth", "--host=0.0.0.0", "--port=5000"]

FROM python AS prefect
COPY --from=build-prefect /opt/foldcam /opt/foldcam
COPY --chmod=0555 infra/docker/guard.sh /usr/local/bin/guard
ENV PREFECT_HOME=/tmp/prefect PREFECT_SERVER_UI_STATIC_DIRECTORY=/tmp/prefect-pages DO_NOT_TRACK=true \
    PREFECT_SERVER_ANALYTICS_ENABLED=false PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT=false
USER 10001:10001
WORKDIR /tmp
EXPOSE 4200
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --retries=12 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:4200/api/health', timeout=5)"]
ENTRYPOINT ["guard", "PREFECT_SERVER_DATABASE_PASSWORD", "PREFECT_SERVER_API_AUTH_STRING", "--"]
CMD ["prefect", "server", "start", "--host=0.0.0.0", "--port=4200"]
