#!/bin/sh
# A worker with curl: implements the function `upper`, which jobs of fmsh call with `invoke upper "text"`.
# worker.sh [N]: ends after N calls; without N it goes on.
socket=$(fmsh daemon status --json | sed 's/.*"socket": *"\([^"]*\)".*/\1/') || exit 1
ask() { curl --silent --show-error --unix-socket "$socket" "$@"; }

left=${1:--1}
while [ "$left" -ne 0 ]; do
    call=$(ask 'http://fmsh/v1/functions/upper/calls?wait=30s') || exit 1
    [ -n "$call" ] || continue
    id=$(printf %s "$call" | sed 's/.*"id":"\([^"]*\)".*/\1/')
    value=$(printf %s "$call" | sed 's/.*"value":\("[^"]*"\).*/\1/')
    printf %s "$value" | tr '[:lower:]' '[:upper:]' |
        ask --data-binary @- "http://fmsh/v1/calls/$id/result"
    left=$((left - 1))
done
