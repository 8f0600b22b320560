# The service as a container image: `docker build --tag evenkeel .` (or buildah, podman). See deploy/ for how to run it.

FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# Crates and build output are kept between builds in cache mounts; the binary alone leaves them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin evenkeel \
    && install -D --target-directory=/out target/release/evenkeel

FROM docker.io/library/debian:bookworm-slim
COPY --from=build /out/evenkeel /usr/local/bin/evenkeel
# No name is needed for it, and a number lets Kubernetes see that it is not root.
USER 65532:65532
# Inside a container loopback would be reachable by nobody. Whoever runs it chooses who reaches the port; mount
# certificates and set EVENKEEL_TLS_CERT and EVENKEEL_TLS_KEY where that is not enough.
ENV EVENKEEL_LISTEN=0.0.0.0:50051 EVENKEEL_ALLOW_PLAINTEXT=true
EXPOSE 50051
# Asks the server at EVENKEEL_LISTEN through gRPC's health service; one with TLS needs EVENKEEL_CLIENT_TLS_CA here.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["evenkeel", "health"]
ENTRYPOINT ["evenkeel"]
CMD ["serve"]
