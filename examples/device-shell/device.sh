#!/bin/sh
# Enrolls a device and keeps its certificate fresh, with nothing but a POSIX shell, curl and openssl (1.1.1 or newer).
#
#   device.sh enroll URL FINGERPRINT ID FOLDER   reads the enrollment token from standard input
#   device.sh renew FOLDER                       renews if it is due; run it twice a day from cron
#
# Files in FOLDER: identity.pem (key, certificate, issuers) and ca.pem (the trusted root certificates).
# key.pem, cert.pem and chain.pem are links to identity.pem, which programs accept for each of the three. All is in
# one file because a rename replaces one file atomically: a crash never leaves a key and a certificate that do not
# belong together.
#
# Environment of "renew":
#   MQTTS=host:port   tests the new certificate at the broker (default: at the enrollment service)
#   HOOK=program      runs after a renewal, with FOLDER as its argument, until it has succeeded once
#   JITTER=seconds    waits a random time up to this before it starts, so that a fleet does not call in one moment
#   FORCE=1           renews although it is not due
#
# Exit code: 0 done, not due, or another run is busy with it; 1 failed, try again later; 2 wrong usage.
set -eu
umask 077
PATH=$PATH:/usr/sbin:/sbin

say() { echo "device.sh: $*"; }
fail() {
  echo "device.sh: $*" >&2
  exit 1
}
usage() {
  echo 'usage: device.sh enroll URL FINGERPRINT ID FOLDER <TOKEN-FILE | device.sh renew FOLDER' >&2
  exit 2
}

# Prevents two runs at a time: with flock where it exists, otherwise with a hard link, which only one can create.
lock() {
  if command -v flock >/dev/null 2>&1; then
    exec 9>>.lock
    flock -n 9 || busy
    return 0
  fi
  boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown)
  echo "$$" >".owner-$$"
  trap 'rm -f ".owner-$$"' EXIT
  trap 'exit 1' HUP INT TERM
  # A lock of an earlier boot has another name.
  ln ".owner-$$" ".lock-$boot" 2>/dev/null || break_lock
  trap 'rm -f ".owner-$$" ".lock-$boot"' EXIT
}
busy() {
  say 'another run is busy with this folder'
  exit 0
}
# The owner may have been killed. Only one run can rename its lock, and it checks what it has renamed.
break_lock() {
  owner=$(cat ".lock-$boot" 2>/dev/null || true)
  if [ -z "$owner" ] || kill -0 "$owner" 2>/dev/null; then busy; fi
  mv ".lock-$boot" ".broken-$$" 2>/dev/null || busy
  if [ "$(cat ".broken-$$")" != "$owner" ]; then
    ln ".broken-$$" ".lock-$boot" 2>/dev/null || true
    rm -f ".broken-$$"
    busy
  fi
  rm -f ".broken-$$"
  ln ".owner-$$" ".lock-$boot" 2>/dev/null || busy
}

# request PATH [curl options]: writes the body to .next/answer and prints the HTTP status, 000 without an answer.
# 9>&- here and below: a program that outlives this one must not keep the lock.
request() {
  path=$1
  shift
  curl -sS -m 60 --proto '=https' -o .next/answer -w '%{http_code}' "$@" "$url$path" 9>&- || true
}
# What the service said about a refusal, in one line.
answer() { tr -d '\r' <.next/answer 2>/dev/null | tr '\n' ' ' | cut -c 1-300; }

# Converts an EST response to PEM: base64 of PKCS#7 (RFC 7030, 4.2.3).
certificates() {
  tr -d '\r\n' <.next/answer | openssl base64 -d -A | openssl pkcs7 -inform DER -print_certs |
    sed -n '/^-----BEGIN/,/^-----END/p'
}
# fetch_cas [curl options]: writes the CA certificates to .next/ca-1.pem, .next/ca-2.pem … (RFC 7030, 4.1).
fetch_cas() {
  status=$(request /.well-known/est/cacerts "$@")
  [ "$status" = 200 ] || fail "no CA certificates: HTTP $status"
  rm -f .next/ca-*.pem
  certificates | awk '/^-----BEGIN/ { n++ } { print > (".next/ca-" n ".pem") }'
  [ -s .next/ca-1.pem ] || fail 'no CA certificates: the answer cannot be read'
}
name_of() { openssl x509 -noout "-$1_hash" -in "$2"; }
fingerprint_of() { openssl x509 -in "$1" -outform DER | openssl dgst -sha256 -r | cut -c 1-64; }

# Keeps key and request until the certificate is there: the service gives a repeated request the same answer.
make_request() {
  [ -s .next/request.b64 ] && return 0
  openssl ecparam -name prime256v1 -genkey -noout -out .next/key.pem
  openssl req -new -key .next/key.pem -subj "/CN=$id" -outform DER -out .next/request.der
  openssl base64 -A -in .next/request.der -out .next/request.tmp
  sync
  mv .next/request.tmp .next/request.b64
}

# Writes .next/identity.pem: the key, the new certificate in .next/cert.pem, and the issuers up to the root.
assemble() {
  certified=$(openssl x509 -noout -pubkey -in .next/cert.pem)
  [ "$certified" = "$(openssl pkey -pubout -in .next/key.pem)" ] || fail 'the certificate is for another key'
  cat .next/key.pem .next/cert.pem >.next/identity.tmp
  below=.next/cert.pem
  for _ in 1 2 3 4; do
    found=
    for one in .next/ca-*.pem; do
      [ "$(name_of subject "$one")" = "$(name_of issuer "$below")" ] || continue
      [ "$(name_of subject "$one")" = "$(name_of issuer "$one")" ] || found=$one
    done
    [ -n "$found" ] || break
    cat "$found" >>.next/identity.tmp
    below=$found
  done
  sync
  mv .next/identity.tmp .next/identity.pem
}

# Makes .next/identity.pem the current identity.
activate() {
  : >.hook-due
  sync
  mv .next/identity.pem identity.pem
  sync
  rm -rf .next
  say "the certificate is valid until $(openssl x509 -noout -enddate -in identity.pem | cut -d = -f 2)"
}

# The broker accepts the certificate if it answers CONNECT with success, or rejects only the client id, which is
# not the device's own: a second connection with that one would end the first (MQTT 3.1.1, 3.1.4 and 3.2.2.3).
broker_accepts() {
  probe="$id/probe"
  host=${MQTTS%:*}
  case $host in
    \[*\]) host=${host#\[} host=${host%\]} check=-verify_ip ;;
    *[!0-9.]*) check=-verify_hostname ;;
    *) check=-verify_ip ;;
  esac
  limit=
  if command -v timeout >/dev/null 2>&1; then limit='timeout 60'; fi
  octal=$(printf '\\020\\%03o\\000\\004MQTT\\004\\002\\000\\036\\000\\%03o' $((12 + ${#probe})) ${#probe})
  # DISCONNECT follows, so that the broker closes the connection.
  code=$(printf "$octal%s\\340\\000" "$probe" |
    $limit openssl s_client -quiet -connect "$MQTTS" -CAfile ca.pem -verify_return_error "$check" "$host" \
      -cert "$1" -key "$1" -cert_chain "$1" 2>.next/s_client.log 9>&- | od -An -tx1 -N4 | tr -d ' \n')
  [ "$code" = 20020000 ] || [ "$code" = 20020002 ]
}
connects() {
  if [ -n "${MQTTS:-}" ]; then
    broker_accepts "$1"
  else
    [ "$(request /v1/whoami --cacert ca.pem --cert "$1" --key "$1")" = 200 ]
  fi
}

# Trusts the roots that the service publishes now, if a connection with them succeeds (RFC 7030, 4.1.3).
update_roots() {
  : >.next/ca.pem
  for one in .next/ca-*.pem; do
    if [ "$(name_of subject "$one")" = "$(name_of issuer "$one")" ]; then cat "$one" >>.next/ca.pem; fi
  done
  cmp -s .next/ca.pem ca.pem && return 0
  [ "$(request /v1/ca --cacert .next/ca.pem)" = 200 ] && mv .next/ca.pem ca.pem
  return 0
}

# The service names the time. Without an answer, the time of the last answer counts; without one, it is due.
is_due() {
  [ -z "${FORCE:-}" ] || return 0
  status=$(request /v1/renewal-info --cacert ca.pem --cert identity.pem --key identity.pem)
  seconds=$(sed -n 's/.*"renewInSeconds":\([0-9]\{1,9\}\).*/\1/p' .next/answer 2>/dev/null || true)
  serial=$(openssl x509 -noout -serial -in identity.pem)
  if [ "$status" = 200 ] && [ -n "$seconds" ]; then
    echo "$serial $(($(date +%s) + seconds))" >.renew-at
    [ "$seconds" -eq 0 ]
  else
    read -r known at 2>/dev/null <.renew-at || known=
    [ "$known" != "$serial" ] || [ "$(date +%s)" -ge "$at" ]
  fi
}

run_hook() {
  [ -e .hook-due ] && [ -n "${HOOK:-}" ] || return 0
  "$HOOK" "$PWD" 9>&- || fail "$HOOK failed; it runs again next time"
  rm -f .hook-due
}

enroll() {
  fingerprint=$1
  [ ! -e identity.pem ] || fail 'the folder already contains an identity; use renew'
  read -r token || [ -n "$token" ] || usage
  fetch_cas -k
  for one in .next/ca-*.pem; do
    if [ "$(fingerprint_of "$one")" = "$fingerprint" ]; then cp "$one" .next/root.pem; fi
  done
  [ -s .next/root.pem ] || fail 'stop: no root certificate has this fingerprint'
  make_request
  # The token reaches curl through its standard input, so that it is on no command line.
  status=$(printf 'header = "Authorization: Bearer %s"\n' "$token" |
    request /.well-known/est/simpleenroll -K - --cacert .next/root.pem \
      -H 'Content-Type: application/pkcs10' --data-binary @.next/request.b64)
  [ "$status" != 202 ] || fail 'the request waits for an operator; run the same command again later'
  [ "$status" = 200 ] || fail "not enrolled: HTTP $status $(answer)"
  certificates >.next/cert.pem
  # Again, now over a verified connection: the issuers become part of the identity.
  fetch_cas --cacert .next/root.pem
  assemble
  mv .next/root.pem ca.pem
  for name in key cert chain; do ln -sf identity.pem "$name.pem"; done
  printf '%s\n%s\n' "$url" "$id" >enrollment
  activate
  rm -f .hook-due
}

renew() {
  cp identity.pem .next/before.pem
  # An earlier run may have been stopped after the service saw its new certificate.
  if [ -s .next/identity.pem ] && connects .next/identity.pem; then
    activate
    return 0
  fi
  is_due || {
    say 'not due'
    return 0
  }
  make_request
  status=$(request /.well-known/est/simplereenroll --cacert ca.pem --cert identity.pem --key identity.pem \
    -H 'Content-Type: application/pkcs10' --data-binary @.next/request.b64)
  if [ "$status" != 200 ]; then
    case $status in
      429) ;; # Too many requests: later.
      # Refused for good: the next run sends another request.
      4??) rm -f .next/request.b64 ;;
    esac
    fail "not renewed: HTTP $status $(answer)"
  fi
  certificates >.next/cert.pem
  fetch_cas --cacert ca.pem
  assemble
  update_roots
  connects .next/identity.pem || fail 'the new certificate does not connect; the current one stays'
  cmp -s identity.pem .next/before.pem || fail 'another program has replaced the identity'
  activate
}

case "${1:-} $#" in
  'enroll 5')
    url=${2%/} id=$4
    mkdir -p "$5"
    cd "$5"
    lock
    mkdir -p .next
    enroll "$(printf %s "${3#sha256:}" | tr A-F a-f)"
    ;;
  'renew 2')
    cd "$2" 2>/dev/null || usage
    [ -s identity.pem ] && [ -s enrollment ] || usage
    { read -r url && read -r id; } <enrollment
    if [ "${JITTER:-0}" -gt 0 ]; then sleep $(($(od -An -N2 -tu2 /dev/urandom) * JITTER / 65536)); fi
    lock
    mkdir -p .next
    renew
    run_hook
    ;;
  *) usage ;;
esac
