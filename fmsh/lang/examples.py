"""Programs to show with the help of commands and statements whose effects cannot be tried beside it.

What only computes has examples with their results in its own docstring. A test checks these: each is a program without
problems.
"""

from __future__ import annotations

EXAMPLES: dict[str, str] = {
    "api": """\
api github https://api.github.com --auth bearer:GITHUB
GET github/user | get login""",
    "ask": 'let answer = ask "Deploy to production?" --choices [yes, no]',
    "await": """\
let hook = callback
let result = await $hook --timeout 2h""",
    "callback": """\
let hook = callback --ttl 1d
POST https://ci.local/builds {notify: $hook.url}
let result = await $hook""",
    "cd": """\
cd src
cd build { make -j4 }""",
    "channel": """\
let lines = channel 10
spawn { for n in 1..3 { send $lines $n }; close $lines }
for n in $lines { print $n }""",
    "close": """\
let numbers = channel 10
send $numbers 1
close $numbers""",
    "confirm": 'if (confirm "Remove the backups?") { rm -r backups }',
    "cron": 'cron "0 9 * * 1-5" { ./report }',
    "emit": """\
def naturals() { for n in 1..100 { emit $n } }
naturals | first 3""",
    "every": "every 10m { ./check-disks }",
    "exit": "exit 3",
    "fail": 'fail "no disk has room"',
    "follow": "follow app.log | where { $it =~ ERROR } | each { print $it }",
    "GET": "GET https://api.local/users --query {page: 2} | get name",
    "HEAD": "HEAD https://files.local/image.iso | get headers",
    "OPTIONS": "OPTIONS https://api.local/users",
    "POST": "POST https://api.local/users {name: Ann} --auth bearer:API",
    "PUT": "PUT https://api.local/users/1 {name: Ann}",
    "PATCH": "PATCH https://api.local/users/1 {name: Ann}",
    "DELETE": "DELETE https://api.local/users/1 --ok 404",
    "http": "http PURGE https://cache.local/page",
    "inbox": "let approval = await (inbox approval) --timeout 1d",
    "invoke": 'invoke resize {file: "a.png"} --timeout 5m',
    "jobs": "jobs | where { .state == parked } | select id command",
    "limit": "1..100 | each --parallel 20 { |n| limit api --rate 10/s { GET https://api.local/users/$n } }",
    "lock": "lock deploy { ./deploy }",
    "now": "let begun = now",
    "once": "once { ./charge-card }",
    "parallel": "parallel { make } { make docs }",
    "perform": 'perform rows next {file: "shop.db", table: orders}',
    "poll": "poll --every 1s --timeout 1m { test -f ready.txt; true }",
    "publish": "publish builds {branch: main, ok: true}",
    "race": "race { GET https://a.local/x } { GET https://b.local/x }",
    "random": "let port = random 1024 65535",
    "reply": """\
let hook = callback --many --reply
let call = await $hook
reply $call {ok: true}""",
    "retry": "retry --times 5 --backoff 10s { ./flaky-upload }",
    "reveal": """\
let token = secret CI_TOKEN
reveal $token | ./needs-it-on-standard-input""",
    "run-script": 'run-script {file: "hello.fmsh", text: "print hello", arguments: []}',
    "secret": "let token = secret CI_TOKEN",
    "send": """\
let numbers = channel 10
send $numbers 1""",
    "signal": "signal 12 approval {by: ann}",
    "sleep": """\
sleep 10s
sleep --until 2026-12-24T18:00""",
    "spawn": """\
let build = spawn { make }
await $build""",
    "start": """\
let child = start { ./long-work }
await $child""",
    "subscribe": "for event in (subscribe builds) { print $event }",
    "uuid": "let id = uuid",
    "within": "within 30s { ./slow-check }",
    "let": """\
let name = "shop"
let {id, state: s} = {id: 7, state: ready}""",
    "if": "if (1 + 1) == 2 { print yes } else { print no }",
    "while": """\
let n = 3
while $n > 0 { print $n; $n = $n - 1 }""",
    "for": "for file in *.txt { print $file }",
    "match": "match 3 { 1 => { print one }  _ => { print more } }",
    "try": "try { ./deploy } catch e { print $e.message } finally { ./clean-up }",
    "defer": """\
mkdir scratch
defer { rm -r scratch }""",
    "undo": """\
undo { ./stop-server }
./start-server""",
    "def": """\
def greet(name: string, --loud) { print "hello $name" }
greet Ann""",
    "param": """\
param service: string  # which one
param --count (-n): int = 1  # how many
print $service $count""",
    "return": """\
def double(n: int) { return ($n * 2) }
double 4""",
    "break": "for n in 1..10 { if $n == 3 { break } }",
    "continue": "for n in 1..10 { if $n == 3 { continue }; print $n }",
    "export": 'export PATH="$env.HOME/bin:$env.PATH"',
    "unset": "unset EDITOR",
    "alias": "alias ll = ls -l",
    "use": """\
use ./release.fmsh
release next 1.4.0""",
    "&&": "make && make install",
    "||": "./ping-server || print $error.message",
    "!": "if (! grep -q done log.txt) { print 'not yet' }",
    "&": """\
let server = ./serve &
await $server""",
}
EXAMPLES |= {"else": EXAMPLES["if"], "catch": EXAMPLES["try"], "finally": EXAMPLES["try"]}
