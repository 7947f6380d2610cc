# PostgreSQL, the artifact store, and what keeps both: docker build --file infra/docker/stores.Dockerfile --target store .
FROM postgres:17.7-bookworm AS database
COPY --chmod=0555 infra/docker/guard.sh /usr/local/bin/guard
COPY --chmod=0555 infra/docker/databases.sh /docker-entrypoint-initdb.d/databases.sh
USER postgres
EXPOSE 5432
HEALTHCHECK --interval=5s --timeout=5s --retries=20 CMD ["pg_isready", "--host=127.0.0.1", "--username=postgres"]
ENTRYPOINT ["guard", "POSTGRES_PASSWORD", "MLFLOW_DATABASE_PASSWORD", "PREFECT_DATABASE_PASSWORD", "--", "docker-entrypoint.sh"]
CMD ["postgres"]

# PostgreSQL's image once more, so that pg_dump and the server are of one version.
FROM postgres:17.7-bookworm AS keeper
RUN apt-get update \
 && apt-get install --yes --no-install-recommends rclone \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin foldcam \
 && install --directory --owner=foldcam --group=foldcam --mode=0700 /backups
COPY --chmod=0555 infra/docker/guard.sh /usr/local/bin/guard
COPY --chmod=0555 infra/backup/backup.sh /usr/local/bin/backup
COPY --chmod=0555 infra/backup/restore.sh /usr/local/bin/restore
COPY --chmod=0555 infra/backup/make-bucket.sh /usr/local/bin/make-bucket
COPY --chmod=0444 infra/backup/common.sh /usr/local/lib/foldcam/common.sh
ENV HOME=/tmp FOLDCAM_BACKUP_LIB=/usr/local/lib/foldcam/common.sh
USER 10001:10001
WORKDIR /tmp
HEALTHCHECK --interval=10m --timeout=10s --start-period=10m --retries=2 CMD ["backup", "--fresh"]
ENTRYPOINT ["guard", "PGPASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "--"]
CMD ["backup"]

# SeaweedFS (Apache-2.0). Its program alone: its image brings a configuration and rights of its own.
FROM chrislusf/seaweedfs:4.40 AS seaweedfs

FROM alpine:3.22.2 AS store
RUN adduser -D -H -u 10001 -h /tmp -s /sbin/nologin foldcam \
 && install -d -o foldcam -g foldcam -m 0700 /store
COPY --from=seaweedfs /usr/bin/weed /usr/local/bin/weed
COPY --chmod=0555 infra/docker/guard.sh /usr/local/bin/guard
COPY --chmod=0555 infra/docker/store.sh /usr/local/bin/store
ENV HOME=/tmp STORE_FOLDER=/store STORE_CONFIGURATION=/tmp/store.json
USER 10001:10001
WORKDIR /tmp
EXPOSE 8333
HEALTHCHECK --interval=5s --timeout=5s --retries=20 \
  CMD ["wget", "--quiet", "--output-document=/dev/null", "http://127.0.0.1:8333/healthz"]
ENTRYPOINT ["guard", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "--"]
CMD ["store"]
