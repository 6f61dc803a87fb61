# RabbitMQ from Debian, with as much of the official image's manners as compose.yaml relies on.
FROM debian:bookworm-slim
RUN printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d \
 && apt-get -qq update \
 && apt-get -qq install -y --no-install-recommends rabbitmq-server >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/lib/rabbitmq /var/lib/rabbitmq/.erlang.cookie \
 && install -d -o rabbitmq -g rabbitmq -m 700 /var/lib/rabbitmq \
 && install -d /etc/rabbitmq/conf.d && chmod 1777 /var/log/rabbitmq \
 && echo '[rabbitmq_management].' > /etc/rabbitmq/enabled_plugins \
 && printf '#!/bin/sh\nexec "$@"\n' > /usr/local/bin/docker-entrypoint.sh \
 && chmod +x /usr/local/bin/docker-entrypoint.sh
ENV PATH=/usr/lib/rabbitmq/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin RABBITMQ_LOGS=- LANG=C.UTF-8
EXPOSE 5672 15672
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["rabbitmq-server"]
