# The proxy that people reach, with TLS:  docker build --file infra/docker/proxy.Dockerfile --target proxy .
FROM caddy:2.10.2-alpine AS caddy
# A copy leaves the file's capabilities behind: the proxy listens above port 1024 and may do nothing more.
RUN cp /usr/bin/caddy /usr/local/bin/caddy

FROM alpine:3.22.2 AS proxy
RUN adduser -D -H -u 10001 -h /tmp -s /sbin/nologin foldcam \
 && install -d -o foldcam -g foldcam -m 0700 /state
COPY --from=caddy /usr/local/bin/caddy /usr/local/bin/caddy
COPY --chmod=0444 infra/proxy/Caddyfile /etc/caddy/Caddyfile
ENV HOME=/tmp XDG_DATA_HOME=/state XDG_CONFIG_HOME=/tmp
USER 10001:10001
WORKDIR /tmp
EXPOSE 8443 8444
HEALTHCHECK --interval=10s --timeout=5s --retries=6 \
  CMD ["wget", "--quiet", "--output-document=/dev/null", "http://127.0.0.1:8082/health"]
CMD ["caddy", "run", "--config=/etc/caddy/Caddyfile"]
