# The service as a container image: `docker build --tag evenkeel .` (or buildah, podman). See deploy/ for how to run it.

FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# Cache mounts keep crates and build output between builds; only the binary is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --profile image --locked --bin evenkeel \
    && install -D --target-directory=/out target/image/evenkeel

FROM docker.io/library/debian:bookworm-slim
COPY --from=build /out/evenkeel /usr/local/bin/evenkeel
# The user needs no name, and its number shows Kubernetes that it is not root.
USER 65532:65532
# Clients outside the container cannot reach its loopback. The operator chooses the networks that reach the port; if that
# is not protection enough, mount certificates and set EVENKEEL_TLS_CERT and EVENKEEL_TLS_KEY.
ENV EVENKEEL_LISTEN=0.0.0.0:50051 EVENKEEL_ALLOW_PLAINTEXT=true
EXPOSE 50051
# Checks the server at EVENKEEL_LISTEN through gRPC's health service; with TLS, set EVENKEEL_CLIENT_TLS_CA for it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["evenkeel", "health"]
ENTRYPOINT ["evenkeel"]
CMD ["serve"]
