# syntax=docker/dockerfile:1

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# Told by `ringback --version`; the folder that git would read it from is not in the build context.
ARG COMMIT=""
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    RINGBACK_COMMIT="$COMMIT" cargo build --profile dist --locked --package ringback-cli \
    && install -D target/dist/ringback /out/ringback

FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/ringback --shell /usr/sbin/nologin ringback \
    && install -d -o ringback -g ringback -m 0750 /var/lib/ringback
COPY --from=build /out/ringback /usr/local/bin/ringback
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/ringback/

# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
# The embedded queue and store keep their state here; with RabbitMQ and Redis nothing is written anywhere.
WORKDIR /var/lib/ringback
ENV RINGBACK_DATA_DIR=/var/lib/ringback/data
# Freed memory goes back after a tenth of a second in place of one: some 2 MB less of 60.
ENV MIMALLOC_PURGE_DELAY=100
# The system's signal to stop: takes nothing new, lets attempts under way end.
STOPSIGNAL SIGTERM
EXPOSE 8080
ENTRYPOINT ["ringback"]
CMD ["serve"]
