# Makes certificates with `openssl` in the folder `$certificates`; sourced.

# request NAME COMMON-NAME KEY-OPTION...: a key and a request for a certificate.
request() {
    local name=$1 common=$2
    shift 2
    openssl req -new -nodes -subj "/CN=$common" -newkey "$@" -keyout "$certificates/$name.key" \
        -out "$certificates/$name.csr" 2>/dev/null
}

# signed NAME BY EXTENSION...: the certificate that BY signs for the request of NAME.
signed() {
    local name=$1 by=$2
    shift 2
    openssl x509 -req -in "$certificates/$name.csr" -days 1 -CA "$certificates/$by.pem" -CAkey "$certificates/$by.key" \
        -CAcreateserial -extfile <(printf '%s\n' "$@") -out "$certificates/$name.pem" 2>/dev/null
}

# authority NAME: a self-signed authority.
authority() {
    openssl req -x509 -nodes -days 1 -subj "/CN=$1" -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
        -addext keyUsage=critical,keyCertSign -keyout "$certificates/$1.key" -out "$certificates/$1.pem" 2>/dev/null
}

elliptic=(ec -pkeyopt ec_paramgen_curve:prime256v1)
here_and_named=subjectAltName=IP:127.0.0.1,DNS:evenkeel.example

authority root
authority other
authority clients

# The server's first certificate: signed by an intermediate, which the root has signed and which is sent along. Elliptic curves.
request between "between root and server" "${elliptic[@]}"
signed between root basicConstraints=critical,CA:TRUE,pathlen:0 keyUsage=critical,keyCertSign
request leaf server "${elliptic[@]}"
signed leaf between "$here_and_named" extendedKeyUsage=serverAuth
cat "$certificates"/{leaf,between}.pem >"$certificates/server.pem"
cp "$certificates/leaf.key" "$certificates/server.key"

# The certificate that replaces it: of another authority, with RSA, and with the key in the older format.
request next server rsa:2048
signed next other "$here_and_named" extendedKeyUsage=serverAuth
openssl rsa -traditional -in "$certificates/next.key" -out "$certificates/next.key" 2>/dev/null

# Client certificates: one of the authority that the server trusts, and one of another.
for name in client stranger; do
    request $name $name "${elliptic[@]}"
done
signed client clients extendedKeyUsage=clientAuth
signed stranger other extendedKeyUsage=clientAuth

printf 'first\nsecond\n' >"$certificates/tokens"
echo second >"$certificates/token"
