# Shakes hands with `openssl s_client`; sourced.

# shakes EXPECTED WHAT FLAG...: checks that openssl's output about a handshake has EXPECTED in it and that openssl succeeds, or, if
# EXPECTED is `refused: WORDS`, that the output has WORDS in it and openssl fails. In the latter case openssl waits until the
# server closes the connection, since TLS 1.3 refuses a client's certificate only after the handshake.
shakes() {
    local expected=$1 what=$2 status=0 words=${1#refused: } said
    shift 2
    local flags=(-connect "$target" -verify_return_error)
    [[ $expected == "$words" ]] || flags+=(-ign_eof)
    said=$(openssl s_client "${flags[@]}" "$@" </dev/null 2>&1 | tr -d '\0') || status=$?
    if [[ $said != *"$words"* ]] || { [[ $expected == "$words" ]] && ((status != 0)); } \
        || { [[ $expected != "$words" ]] && ((status == 0)); }; then
        printf 'FAILED  %s: no "%s", or openssl ended with %d:\n%s\n' "$what" "$words" "$status" "$said"
        exit 1
    fi
    echo "ok      $what"
}

# The handshakes of a server with TLS that asks for no certificate.
tls_handshakes() {
    local trusted=(-CAfile "$certificates/root.pem" -verify_ip 127.0.0.1 -alpn h2)
    shakes "Verification: OK" "the certificate is of the root, by way of the one between" "${trusted[@]}"
    shakes "Verification: OK" "it is the one of its name" -CAfile "$certificates/root.pem" -verify_hostname evenkeel.example
    shakes "New, TLSv1.3" "TLS 1.3 is chosen" "${trusted[@]}"
    shakes "New, TLSv1.2" "TLS 1.2 is spoken" "${trusted[@]}" -tls1_2
    shakes "ALPN protocol: h2" "HTTP/2 is agreed upon in TLS 1.3" "${trusted[@]}" -tls1_3
    shakes "ALPN protocol: h2" "HTTP/2 is agreed upon in TLS 1.2" "${trusted[@]}" -tls1_2
    shakes "refused: SSL alert number" "TLS 1.1 is refused" "${trusted[@]}" -tls1_1 -cipher DEFAULT@SECLEVEL=0
    shakes "refused: alert no application protocol" "HTTP/1.1 is refused" "${trusted[@]:0:4}" -alpn http/1.1
    shakes "refused: unable to get local issuer certificate" "another authority is not the root's" \
        -CAfile "$certificates/other.pem" -alpn h2
    shakes "refused: hostname mismatch" "another name is not the server's" \
        -CAfile "$certificates/root.pem" -verify_hostname other.example -alpn h2
}

# The handshakes of a server that requires a client certificate.
mutual_handshakes() {
    local trusted=(-CAfile "$certificates/root.pem" -verify_ip 127.0.0.1 -alpn h2)
    local known=(-cert "$certificates/client.pem" -key "$certificates/client.key")
    local stranger=(-cert "$certificates/stranger.pem" -key "$certificates/stranger.key")
    local version
    for version in -tls1_3 -tls1_2; do
        shakes "ALPN protocol: h2" "a known client is let in, $version" "${trusted[@]}" "$version" "${known[@]}"
        shakes "refused: alert unknown ca" "a stranger is not, $version" "${trusted[@]}" "$version" "${stranger[@]}"
    done
    shakes "refused: alert certificate required" "nor is who shows nothing, -tls1_3" "${trusted[@]}" -tls1_3
    shakes "refused: alert" "nor is who shows nothing, -tls1_2" "${trusted[@]}" -tls1_2
}
