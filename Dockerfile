# One image for every service and the admin step: a Debian with its own Python 3.11, non-root.
# Nothing in it depends on the processor: docker buildx build --platform linux/arm64,linux/amd64 .
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS python
# Ceph's libraries for Python exist only as Debian's packages.
RUN apt-get -qq update \
 && apt-get -qq install -y --no-install-recommends python3 python3-rados python3-rbd ca-certificates >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /var/cache/debconf/*

FROM python AS packages
RUN apt-get -qq update && apt-get -qq install -y --no-install-recommends python3-venv >/dev/null
# The base's trust store counts for pip too, so that a registry behind a private CA works.
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements-services.lock /build/
RUN python3 -m venv --system-site-packages /opt/colobus \
 && /opt/colobus/bin/pip install -q --no-cache-dir --no-deps --only-binary=:all: --require-hashes \
      -r /build/requirements-services.lock \
 && /opt/colobus/bin/pip uninstall -q -y pip
COPY shared /opt/colobus/app/shared
COPY services /opt/colobus/app/services
# Libraries' own tests are of no use here. Files are found unchanged by their hash, not by their date:
# the same sources, the same bytes.
RUN find /opt/colobus -name __pycache__ -prune -exec rm -r {} + \
 && find /opt/colobus/lib -type d -name tests -prune -exec rm -r {} + \
 && /opt/colobus/bin/python -m compileall -q --invalidation-mode unchecked-hash \
      /opt/colobus/lib /opt/colobus/app

FROM python
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Colobus" \
      org.opencontainers.image.description="The provisioning bus of a developer cloud: every service" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN groupadd --gid 10001 colobus \
 && useradd --uid 10001 --gid colobus --no-create-home --home-dir /nonexistent colobus
COPY --from=packages /opt/colobus /opt/colobus
COPY LICENSE /opt/colobus/
ENV PATH=/opt/colobus/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 LANG=C.UTF-8 \
    COLOBUS_HTTP_HOST=0.0.0.0 COLOBUS_HTTP_PORT=8080
WORKDIR /opt/colobus/app
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s CMD ["python", "-m", "shared.runtime.probe"]
ENTRYPOINT ["python", "-m"]
CMD ["services.front_door"]
