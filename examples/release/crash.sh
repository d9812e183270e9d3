#!/usr/bin/env bash
# Releases three services and kills fmsh with -9 each time: in the middle of a request, of a process, and of a wait for a
# callback. Each release must end well all the same, with nothing done twice. Status 1 and a reason if not.
# PYTHON names the interpreter that has fmsh; by default that of the checkout's .venv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

python=${PYTHON:-../../.venv/bin/python}
[[ -x $python ]] || python=$(command -v "$python" || command -v python3)
fmsh=("$python" -m fmsh)
place=$(mktemp -d "${TMPDIR:-/tmp}/fmsh-crash.XXXXXX")
out=$place/out
mkdir "$out" "$place/state"
export FMSH_STATE_DIR=$place/state FMSH_RUNTIME_DIR=$place/run
services_pid=
fmsh_pid=

fail() {
  echo "crash.sh: $*" >&2
  exit 1
}

clean_up() {
  "${fmsh[@]}" daemon stop >/dev/null 2>&1 </dev/null || true
  for pid in $fmsh_pid $services_pid; do
    kill "$pid" 2>/dev/null || true
  done
  rm -rf "$place"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# until_true WHAT COMMAND…: looks again and again until COMMAND succeeds, for 30 s at most.
until_true() {
  local what=$1 give_up_at=$((SECONDS + 30))
  shift
  until "$@"; do
    ((SECONDS < give_up_at)) || fail "waited 30 s for $what"
    [[ -z $fmsh_pid ]] || kill -0 "$fmsh_pid" 2>/dev/null || fail "fmsh ended before $what"
    sleep 0.05
  done
}

in_request() { "$python" log.py in-flight "$ci" "$1"; }
in_process() { [[ -e $out/$1-1.4.0.runs && ! -e $out/$1-1.4.0.tar ]]; }
in_wait() { "${fmsh[@]}" jobs show last --json 2>/dev/null | grep -q '"kind": *"callback"'; }

# release_and_kill SERVICE MOMENT: releases SERVICE, kills fmsh as soon as MOMENT holds, and waits for the job's end.
release_and_kill() {
  local service=$1 moment=$2
  echo "--- releasing $service, to be killed ${moment/_/ }"
  "${fmsh[@]}" release.fmsh "$service" --version 1.4.0 --out "$out" \
    --ci "$ci" --deploy "$deploy" --metrics "$metrics" </dev/null &
  fmsh_pid=$!
  until_true "the moment ${moment/_/ }" "$moment" "$service"
  kill -9 "$fmsh_pid" || fail "fmsh had ended before it could be killed ${moment/_/ }"
  wait "$fmsh_pid" 2>/dev/null || true
  fmsh_pid=
  echo "--- killed ${moment/_/ }; waiting for the job"
  "${fmsh[@]}" jobs wait last --timeout 90s </dev/null || fail "the release of $service ended with status $?"
  "${fmsh[@]}" jobs output last </dev/null
}

"$python" services.py --think 2 --delay 4 >"$place/services.json" </dev/null &
services_pid=$!
until_true "the services" grep -q '}' "$place/services.json"
address() { sed "s/.*\"$1\": \"\([^\"]*\)\".*/\1/" "$place/services.json"; }
ci=$(address ci) deploy=$(address deploy) metrics=$(address metrics)

release_and_kill api in_request
release_and_kill web in_process
release_and_kill mail in_wait

echo "--- what the services saw"
"$python" log.py verify "$ci" "$out" api web mail || fail "something was done twice, or not at all"
echo "--- killed three times; every release was done once"
